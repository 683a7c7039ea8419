"""Corpora found below a folder, what they report, and the columns that can be their classes."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from metaser.runtime.errors import InputError, NotFoundError
from metaser.toolkit.data.corpora import Column, Utterance, classes_by, read_corpus, readable, report
from metaser.toolkit.data.utterances import Problem, refuse_problems
from tests.rights import without_rights
from tests.toolkit.data.corpus_files import reasons, rows, write_clips


def test_hidden_and_other_files_are_not_clips(tmp_path: Path) -> None:
    write_clips(tmp_path, ["03a01Fa.wav", "._03a01Wa.wav", ".cache/03a01Na.wav"])
    (tmp_path / "README.txt").write_text("about")
    corpus = read_corpus(tmp_path)
    assert (len(corpus.utterances), corpus.problems) == (1, ())


def test_the_folder_name_decides_where_two_readers_fit_the_same_number(tmp_path: Path) -> None:
    names = ["03a01Fa.wav", "OAF_back_fear.wav"]
    assert read_corpus(write_clips(tmp_path / "my-TESS", names)).name == "tess"
    assert read_corpus(write_clips(tmp_path / "EmoDB", names)).name == "emodb"


def test_several_corpora_below_one_root_are_an_error_with_their_numbers(tmp_path: Path) -> None:
    write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav", "OAF_back_fear.wav", "SM0_anger_1.wav", "f1/gio-f1-b1.wav"])
    with pytest.raises(InputError, match=r"several corpora \(2 of emodb, 1 of tess, 1 of emovo, 1 of nemo\)"):
        read_corpus(tmp_path)


def test_a_named_reader_is_taken_whatever_fits_better(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav", "OAF_back_fear.wav"]), "tess")
    assert [clip.label for clip in corpus.utterances] == ["fear"]


def test_label_folders_are_the_corpus_where_no_reader_fits(tmp_path: Path) -> None:
    root = write_clips(
        tmp_path / "mine", ["Happy/ana/1.wav", "Happy/ben/1.wav", "anger/2.wav", "bored stiff/ana/3.wav", "loose.wav"]
    )
    corpus = read_corpus(root)
    assert corpus.name == "mine"
    assert rows(corpus) == [
        ("1", "joy", "Happy", "ana"),
        ("1", "joy", "Happy", "ben"),
        ("2", "anger", "anger", ""),
        ("3", "bored stiff", "bored stiff", "ana"),
    ]
    assert reasons(corpus) == {"loose.wav": "not in a folder that names its label"}


def test_label_folders_can_be_asked_for(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path / "mine", ["de/03a01Fa.wav", "at/03a01Wa.wav"]), "folders")
    assert [(clip.corpus, clip.label) for clip in corpus.utterances] == [("mine", "at"), ("mine", "de")]


def test_wrong_roots_and_readers_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such folder"):
        read_corpus(tmp_path / "none")
    with pytest.raises(InputError, match="no audio files"):
        read_corpus(tmp_path)
    with pytest.raises(InputError, match=r"no reader called 'ravdes': there are aesdd, .*emotiontts and folders"):
        read_corpus(tmp_path, "ravdes")
    write_clips(tmp_path, ["loose.wav"])
    with pytest.raises(InputError, match=r"none of the 1 audio files in .* can be used; loose.wav: not in a folder"):
        read_corpus(tmp_path)


def test_a_report_counts_clips_classes_speakers_minutes_and_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metaser.runtime.audio.file.has_media", lambda: False)
    write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav"], duration_s=3.0)
    write_clips(tmp_path, ["08a01Wa.wav"], duration_s=6.0, rate_hz=16_000)
    write_clips(tmp_path, ["08a02Wa.wav"], duration_s=0.0)
    (tmp_path / "08a03Wa.wav").write_bytes(b"not audio at all")
    (tmp_path / "08a04Wa.wav").write_bytes(b"")
    (tmp_path / "08a05Wa.m4a").write_bytes(b"\0\0\0\x18ftypM4A \0\0\0\0mp42isom\0\0\0\x08moovmp4a")
    (tmp_path / "notes.wav").write_bytes(b"")
    corpus = read_corpus(tmp_path)
    counted = report(corpus)
    assert (counted.name, counted.clips) == ("emodb", 3)
    assert counted.minutes == pytest.approx(0.2)
    assert list(counted.classes.items()) == [("anger", 2), ("joy", 1)]
    assert counted.speakers == {"emodb/03": 2, "emodb/08": 1}
    assert (counted.languages, counted.sample_rates_hz) == (("de",), (8000, 16_000))
    found = {problem.path.name: problem.reason for problem in counted.problems}
    assert list(found) == ["notes.wav", "08a02Wa.wav", "08a03Wa.wav", "08a04Wa.wav", "08a05Wa.m4a"]
    assert found["08a02Wa.wav"] == "holds no samples"
    assert found["08a03Wa.wav"].startswith("cannot be read as audio (")
    assert found["08a04Wa.wav"] == "an empty file"
    assert found["08a05Wa.m4a"].startswith("is AAC in MP4: install the decoder")
    assert readable(corpus).problems == counted.problems
    assert len(readable(corpus).utterances) == 3


def test_clips_are_known_by_content_and_labels_and_speakers_have_one_form(tmp_path: Path) -> None:
    nfc, nfd = "Ärger", unicodedata.normalize("NFD", "Ärger")
    root = write_clips(tmp_path / "mine", [f"{nfc}/{nfd}/1.wav", f"{nfd}/{nfc}/2.wav", "joy/ana/3.wav"])
    (root / "joy" / "ana" / "3.wav").rename(root / "joy" / "ana" / "3.wave")
    (root / "joy" / "ana" / "notes.txt").write_text("about")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "._1.wav").write_bytes(b"junk")
    corpus = read_corpus(root)
    assert sorted(rows(corpus)) == [("1", nfc, nfc, nfc), ("2", nfc, nfc, nfc), ("3", "joy", "joy", "ana")]
    assert corpus.problems == ()
    assert report(corpus).clips == 3


def test_what_cannot_be_read_is_a_problem_and_links_are_followed(tmp_path: Path) -> None:
    root = write_clips(tmp_path / "mine", ["joy/1.wav", "joy/2.wav", "joy/locked/3.wav"])
    write_clips(tmp_path / "far", ["4.wav"], duration_s=0.02)
    (root / "anger").symlink_to(tmp_path / "far")
    (root / "joy" / "gone.wav").symlink_to("nowhere.wav")
    (root / "joy" / "loop").symlink_to(root)
    with without_rights(root / "joy" / "2.wav", root / "joy" / "locked"):
        corpus = readable(read_corpus(root))
    assert rows(corpus) == [("4", "anger", "anger", ""), ("1", "joy", "joy", "")]
    assert reasons(corpus) == {
        "2.wav": "cannot be read (Permission denied)",
        "gone.wav": "is a link to nothing",
        "locked": "cannot be read (Permission denied)",
        "loop": "is a link to a folder that it lies in",
    }
    corpus = read_corpus(root / "joy", "folders")
    with without_rights(root / "joy" / "locked" / "3.wav"):
        assert reasons(readable(corpus))["3.wav"].startswith("cannot be read (Permission denied)")
    with without_rights(root / "joy"), pytest.raises(InputError, match=r"cannot be read \(Permission denied"):
        read_corpus(root / "joy")


def test_a_clip_that_vanished_is_a_problem_of_the_report(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav"]))
    corpus.utterances[0].path.unlink()
    assert [problem.reason for problem in report(corpus).problems] == ["no such file"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("label", {"anger": [1], "joy": [0, 2]}),
        ("original_label", {"Happy": [2], "anger": [1], "joy": [0]}),
        ("speaker", {"ana": [0, 1]}),
        ("language", {"de": [0], "pl": [1, 2]}),
        ("corpus", {"a": [0, 1, 2]}),
    ],
)
def test_any_column_can_be_the_class(column: Column, expected: dict[str, list[int]]) -> None:
    utterances = [
        Utterance(Path("1.wav"), "joy", "ana", "de", "a", "joy"),
        Utterance(Path("2.wav"), "anger", "ana", "pl", "a", "anger"),
        Utterance(Path("3.wav"), "joy", "", "pl", "a", "Happy"),
    ]
    assert {name: indices.tolist() for name, indices in classes_by(utterances, column).items()} == expected


def test_a_column_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match=r"no column 'emotion' can be the class: choose one of label, original_label"):
        classes_by([], "emotion")  # type: ignore[arg-type]


def test_expected_problems_are_never_fatal_and_others_are_counted() -> None:
    problems = [Problem(Path("song.wav"), "channel 02", expected=True), Problem(Path("a.wav"), "no such file")]
    refuse_problems(problems[:1], 9, "--strict")
    with pytest.raises(InputError, match=r"1 of 9 clips .* --strict does not allow .* a\.wav: no such file"):
        refuse_problems(problems, 9, "--strict")


def test_reading_and_sampling_load_neither_torch_nor_onnxruntime() -> None:
    program = (
        "import sys, metaser.toolkit.data.corpora, metaser.toolkit.episodes.sampler;"
        "import metaser.toolkit.evaluation.intervals;"
        "print([name for name in ('torch', 'transformers', 'onnxruntime', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["spk1/angry/1.wav", "spk2/sad/1.wav", "spk2/angry/2.wav"],
            r"\(spk1, spk2\) seem to be speakers, .*angry, sad",
        ),
        (["train/joy/1.wav", "Test/joy/2.wav"], r"Test, train, which are parts of a corpus .* such as .*Test"),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_corpus(write_clips(tmp_path, names))


def test_speakers_inside_labels_of_any_language_are_read(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["wut/anna/1.wav", "freude/anna/1.wav", "freude/ben/2.wav"]))
    assert {(clip.label, clip.speaker) for clip in corpus.utterances} == {
        ("wut", "anna"), ("freude", "anna"), ("freude", "ben"),
    }  # fmt: skip
    assert corpus.is_sorted


def test_copies_count_once_and_a_recording_with_two_labels_not_at_all(tmp_path: Path) -> None:
    write_clips(tmp_path, ["joy/a/1.wav", "joy/a/2.wav", "anger/b/3.wav", "anger/b/4.wav"])
    (tmp_path / "joy" / "b").mkdir()
    (tmp_path / "joy" / "b" / "copy.wav").write_bytes((tmp_path / "joy" / "a" / "1.wav").read_bytes())
    (tmp_path / "joy" / "a" / "wrong.wav").write_bytes((tmp_path / "anger" / "b" / "3.wav").read_bytes())
    corpus = read_corpus(tmp_path)
    assert [clip.path.name for clip in corpus.utterances] == ["4.wav", "1.wav", "2.wav"]
    found = reasons(corpus)
    assert found["copy.wav"].endswith("joy/a/1.wav")
    assert found["wrong.wav"] == found["3.wav"] == "the same recording is in the classes anger and joy"
