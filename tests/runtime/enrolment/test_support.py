"""Reading a support set: its labels, and its skipped files."""

import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from metaser.runtime import Engine, InputWarning, Profile, SupportError
from metaser.runtime.audio.load import LoadedAudio
from metaser.runtime.enrolment.support import read_others, read_support
from tests.rights import without_rights

pytestmark = pytest.mark.filterwarnings("ignore:.* should be recorded again")  # noise stands for clips

NFC, NFD = "Ärger", unicodedata.normalize("NFD", "Ärger")


def clip(seed: int) -> npt.NDArray[np.float32]:
    """A second of noise of its own colour."""
    noise = np.random.default_rng(seed).normal(size=16_000)
    return (0.1 * np.convolve(noise, np.ones(1 + seed % 7) / 3, "same")).astype(np.float32)


@pytest.fixture
def support(tmp_path: Path) -> Path:
    folder = tmp_path / "support"
    for label, seeds in (("calm", (0, 7)), ("keen", (1, 8))):
        (folder / label).mkdir(parents=True)
        for seed in seeds:
            soundfile.write(folder / label / f"{seed}.wav", clip(seed), 16_000)
    return folder


def test_folders_whose_labels_are_the_same_are_one_class(support: Path) -> None:
    for number, label in enumerate((NFC, NFD, f"{NFC} ")):
        (support / label).mkdir()
        soundfile.write(support / label / f"{number}.wav", clip(20 + number), 16_000)
    found = read_support(support)
    assert [each.clip.label for each in found.clips] == [*["calm"] * 2, *["keen"] * 2, *[NFC] * 3]
    assert len(found.notices) == 1
    assert f"3 folders are one class, {NFC}" in found.notices[0]


def test_keys_whose_labels_are_the_same_are_one_class_with_a_warning(engine: Engine) -> None:
    with pytest.warns(InputWarning, match="2 labels are one class, Ärger"):
        profile = engine.enroll({NFC: [clip(0)], NFD: [clip(7)], "joy": [clip(1), clip(8)]})
    assert profile.labels == ("joy", NFC)
    assert [each.name for each in profile.clips if each.label == NFC] != ["array 0", "array 0"]


def test_labels_that_differ_in_case_are_two_classes_with_a_warning(engine: Engine) -> None:
    with pytest.warns(InputWarning, match="Anger and anger differ only in case"):
        profile = engine.enroll({"Anger": [clip(0)], "anger": [clip(1)]})
    assert profile.labels == ("Anger", "anger")


@pytest.mark.parametrize("labels", [(9, 10), (9, "ten"), (np.int64(1), "joy"), (True, "joy"), (None, "joy")])
def test_labels_that_are_no_text_are_refused_with_what_to_do(engine: Engine, labels: tuple[Any, Any]) -> None:
    with pytest.raises(SupportError, match=r"labels are text: give str\(label\)"):
        engine.enroll({label: [clip(number)] for number, label in enumerate(labels)})


@pytest.mark.parametrize("label", ["unknown", "Unknown", " unknown", "", " "])
def test_a_class_without_a_name_of_its_own_is_refused(engine: Engine, label: str) -> None:
    with pytest.raises(SupportError, match=r"cannot be called|is empty"):
        engine.enroll({label: [clip(0)], "joy": [clip(1)]})


def test_what_is_left_out_is_a_warning_of_the_library(engine: Engine, support: Path) -> None:
    (support / "calm" / "gone.wav").symlink_to("nowhere.wav")
    (support / "calm" / "notes.txt").write_text("about")
    with pytest.warns(InputWarning, match="left out|Left out") as caught:
        assert len(engine.enroll(support).clips) == 4
    assert sorted(str(each.message) for each in caught if "recorded again" not in str(each.message)) == [
        f"Left out: {support / 'calm' / 'gone.wav'} is a link to nothing",
        f"Not audio, and left out: {support / 'calm' / 'notes.txt'}",
    ]


def test_clips_beside_the_class_folders_are_named(support: Path) -> None:
    soundfile.write(support / "loose.wav", clip(3), 16_000)
    (support / "README.txt").write_text("about")
    (support / "gone").symlink_to("nowhere")
    (support / "round").symlink_to(support)
    found = {each.path.name: each.reason for each in read_support(support).left_out}
    assert found == {
        "loose.wav": "is not in a class folder",
        "README.txt": "is not audio",
        "gone": "is a link to nothing",
        "round": "is a link to a folder that it lies in",
    }


def test_a_linked_class_is_a_class(support: Path, tmp_path: Path) -> None:
    shutil.move(support / "keen", tmp_path / "real")
    (support / "keen").symlink_to(tmp_path / "real")
    assert len(read_support(support).clips) == 4


def test_a_folder_that_may_not_be_read_is_not_called_empty(support: Path) -> None:
    with without_rights(support / "keen"), pytest.raises(SupportError, match=r"keen cannot be read \(Permission de"):
        read_support(support)
    with without_rights(support), pytest.raises(SupportError, match=r"support cannot be read \(Permission denied"):
        read_support(support)
    words = r"class keen has no clips that can be read .*Permission denied\) and 1 more"
    with without_rights(*(support / "keen").iterdir()), pytest.raises(SupportError, match=words):
        read_support(support)
    with without_rights(support / "keen"), pytest.raises(SupportError, match=r"keen cannot be read \(Permission de"):
        read_others(support / "keen")


def test_a_file_that_cannot_be_read_any_more_is_an_error_of_that_clip(
    engine: Engine, support: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: str) -> Any:
        if path.endswith("7.wav"):
            raise OSError(5, "Input/output error")
        return LoadedAudio(clip(len(path)), ("a part is missing",))

    monkeypatch.setattr("metaser.runtime.enrolment.support.read_audio", load)
    read = engine.embed_support(support)
    assert [str(error) for error in read.errors] == ["calm/7.wav cannot be read (Input/output error)"]
    assert len(read.clips) == 3
    assert read.notices == tuple(f"{each.title}: a part is missing" for each in read.clips)


def test_labels_with_slashes_can_be_enrolled_and_removed(engine: Engine) -> None:
    profile = engine.enroll({"a/b": [clip(0), clip(7)], "joy": [clip(1)], "../x": [clip(2)]})
    assert engine.remove(profile, "a/b").labels == ("../x", "joy")
    assert engine.remove(profile, "../x").labels == ("a/b", "joy")
    assert len(engine.remove(profile, "a/b/array 0").clips) == 3


def test_a_name_of_a_class_and_of_a_clip_is_refused_and_not_guessed(engine: Engine) -> None:
    profile = engine.enroll({"a": [clip(0), clip(7)], "a/array 0": [clip(1)], "joy": [clip(2)]})
    with pytest.raises(SupportError, match="is both a class and a clip of another class: name the clip LABEL/SHA256"):
        engine.remove(profile, "a/array 0")
    with pytest.raises(SupportError, match="9 is an int: give the label as text"):
        engine.remove(profile, 9)  # type: ignore[arg-type]


def test_a_class_is_removed_however_its_name_is_typed(engine: Engine) -> None:
    profile = engine.enroll({NFC: [clip(0), clip(7)], "joy": [clip(1)], "calm": [clip(2)]})
    for typed in (NFD, f" {NFC} ", f"{NFD}/"):
        assert engine.remove(profile, typed).labels == ("calm", "joy")
    assert len(engine.remove(profile, f"{NFD}/array 1").clips) == 3


def test_a_profile_of_before_with_untidy_labels_is_read_and_added_to(engine: Engine, tmp_path: Path) -> None:
    made = engine.enroll({"a": [clip(0), clip(7)], "b": [clip(1)], "c": [clip(2)]})
    old = relabelled(made, {"a": NFD, "b": "joy ", "c": "joy"})
    old.save(tmp_path / "profile")
    read = Profile.load(tmp_path / "profile")
    assert read.labels == (NFD, "joy", "joy ")
    assert engine.remove(read, "joy ").labels == (NFD, "joy")
    added = engine.add(read, {NFC: [clip(14)]})
    assert (
        added.embeddings.tobytes()
        == engine.add(read, engine.embed_support({NFC: [clip(14)]}, add_to=read)).embeddings.tobytes()
    )
    assert {label: sum(each.label == label for each in added.clips) for label in added.labels} == {"joy": 2, NFC: 3}


def test_labels_that_numpy_takes_for_one_are_two(engine: Engine) -> None:
    profile = engine.enroll({"a": [clip(0), clip(7)], "a\0": [clip(1)], "\udce4": [clip(2)]})
    assert profile.targets.tolist() == [0, 0, 1, 2]
    assert np.isfinite(profile.prototypes).all()


def relabelled(profile: Profile, labels: dict[str, str]) -> Profile:
    """The profile as if its classes had other labels, which enrolment may refuse."""
    return replace(profile, clips=tuple(replace(each, label=labels[each.label]) for each in profile.clips))


@pytest.fixture
def nest(tmp_path: Path) -> Callable[[str], Path]:
    """`nest("a/b/1 a/2")` is a folder with these clips."""

    def make(names: str) -> Path:
        for seed, name in enumerate(names.split()):
            path = tmp_path / "my nest" / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, clip(seed), 16_000)
        return tmp_path / "my nest"

    return make


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("s1/joy/1 s1/sad/2 s2/joy/3 s2/sad/4", r"s1, s2 in .*my nest only hold folders of clips \(joy, sad\)\. If "),
        ("s1/joy/1 s2/sad/2", r"only hold folders of clips \(joy, sad\)"),
        ("s1/joy/1 s1/sad/2", r"s1 in .*my nest only holds folders of clips \(joy, sad\)"),
        ("joy/1 s1/joy/2 s1/sad/3", r"s1 in .* only holds folders"),
    ],
)
def test_folders_inside_class_folders_that_look_like_classes_are_refused(
    nest: Callable[[str], Path], names: str, said: str
) -> None:
    folder = nest(names)
    with pytest.raises(SupportError, match=said) as caught:
        read_support(folder)
    assert f"If those are the classes: `metaser enroll '{folder / 's1'}'`" in str(caught.value)
    assert str(caught.value).endswith("If they only group clips of one class: --groups")
    assert len(read_support(folder, command="add", groups=True).clips) == len(names.split())


def test_the_advice_for_nested_classes_is_that_of_the_command(nest: Callable[[str], Path]) -> None:
    folder = nest("s1/joy/1 s1/sad/2 s2/joy/3 s2/sad/4")
    for command, one, other in (
        ("enroll", "metaser enroll", "metaser enroll --add"),
        ("add", "metaser enroll --add", "metaser enroll --add"),
        ("test", "metaser test", "metaser test"),
    ):
        with pytest.raises(SupportError, match=f"`{one} '{folder / 's1'}'`, then `{other} '{folder / 's2'}'`"):
            read_support(folder, command=command)  # type: ignore[arg-type] # each is one


def test_a_clip_that_is_twice_in_nested_classes_does_not_hide_that(nest: Callable[[str], Path]) -> None:
    folder = nest("s1/joy/1 s1/sad/2 s2/joy/3 s2/sad/4")
    shutil.copy(folder / "s1" / "joy" / "1.wav", folder / "s2" / "joy" / "again.wav")
    with pytest.raises(SupportError, match="only hold folders of clips"):
        read_support(folder)
    with pytest.raises(SupportError, match="the same recording is in two classes"):
        read_support(folder, groups=True)


@pytest.mark.parametrize(
    ("names", "notices"),
    [
        ("joy/kitchen/1 joy/2 sad/3", 1),
        ("joy/kitchen/1 sad/kitchen/2", 1),
        ("joy/1 joy/2 sad/3", 0),
        ("joy/kitchen/1 joy/garden/2 joy/3 sad/4", 1),
    ],
)
def test_folders_inside_class_folders_next_to_clips_are_groups(
    nest: Callable[[str], Path], names: str, notices: int
) -> None:
    folder = nest(names)
    assert len(read_support(folder).notices) == notices
    assert read_support(folder, groups=True).notices == ()


def test_clips_without_speech_are_a_warning_of_enrolment(engine: Engine) -> None:
    words = r"clips? should be recorded again: joy/array 0 \(no speech found\)"
    with pytest.warns(InputWarning, match=f"^2 of 2 {words}, sad/array 0"):
        profile = engine.enroll({"joy": [clip(0)], "sad": [clip(1)]})
    with pytest.warns(InputWarning, match=f"^1 of 1 {words}$"):
        engine.add(profile, {"joy": [clip(2)]})


@pytest.mark.parametrize("inside", ["keen", "Keen", "kitchen/keen"])
def test_a_folder_inside_a_class_that_is_called_like_another_class_is_refused(support: Path, inside: str) -> None:
    (support / "calm" / inside).mkdir(parents=True)
    soundfile.write(support / "calm" / inside / "2.wav", clip(2), 16_000)
    with pytest.raises(SupportError, match="is called like the class keen: move its clips to that class, or give --gr"):
        read_support(support)
    assert len(read_support(support, groups=True).clips) == 5


def test_a_folder_that_is_called_like_an_enrolled_class_is_refused(support: Path) -> None:
    shutil.rmtree(support / "keen")
    (support / "calm" / "joy").mkdir()
    soundfile.write(support / "calm" / "joy" / "2.wav", clip(2), 16_000)
    with pytest.raises(SupportError, match="is called like the class joy"):
        read_support(support, command="add", enrolled=("anger", "joy"))
    (notice,) = read_support(support, command="add").notices
    assert notice.endswith("calm; the folder inside them (joy) only groups clips of one class")
