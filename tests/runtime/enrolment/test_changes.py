"""Adding and removing clips: exact in any order, and without traces of a removed clip."""

from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaser.runtime import (
    Calibration,
    Clip,
    Engine,
    InputWarning,
    Profile,
    ProfileError,
    SupportError,
    load_audio,
    undo,
)
from metaser.runtime.audio.quality import ClipQuality
from metaser.runtime.enrolment.changes import recalibrate
from metaser.runtime.enrolment.profile_file import undo_path
from metaser.runtime.scoring.calibration import ExpectedRates, fit_temperature
from metaser.runtime.scoring.decision import unit
from metaser.runtime.tuning.head import HeadTuningSettings

pytestmark = pytest.mark.filterwarnings("ignore:Most correct labels become unknown")  # of few clips

QUICK = HeadTuningSettings(steps=3, learning_rate=1e-3)
QUALITY = ClipQuality(3.0, 2.5, -25.0, 30.0, 0.001)
EMBEDDINGS = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
CLIPS = [Clip("abcd"[row // 2], f"{row:064d}", f"{row}.wav", f"/{row}.wav", quality=QUALITY) for row in range(8)]


def profile_of(rows: list[int]) -> Profile:
    return Profile("model", "graph", "tiny", Calibration(0.5, 0.4), tuple(CLIPS[row] for row in rows), EMBEDDINGS[rows])


FIRST = profile_of([0, 1, 2, 3])


@given(st.lists(st.sets(st.integers(0, 7), min_size=1, max_size=4), max_size=6), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_any_order_of_adding_and_removing_gives_the_same_bytes(changes: list[set[int]], random: object) -> None:
    held, profile = {0, 1, 2, 3}, FIRST
    for change in changes:
        added = sorted(change - held)
        random.shuffle(added)  # type: ignore[attr-defined]
        if added:
            profile = profile.with_clips([CLIPS[row] for row in added], EMBEDDINGS[added])
            held |= set(added)
        for row in sorted(change - set(added)):
            if len({CLIPS[left].label for left in held - {row}}) > 1:
                profile = profile.without(CLIPS[row].title)
                held -= {row}
    at_once = profile_of(sorted(held))
    assert profile.clips == at_once.clips
    assert profile.prototypes.tobytes() == at_once.prototypes.tobytes()


def test_a_clip_that_is_enrolled_already_counts_once_at_its_newer_place() -> None:
    moved = replace(CLIPS[0], path="/new/0.wav", name="new.wav")
    profile = FIRST.with_clips([moved], EMBEDDINGS[[0]])
    assert [clip.path for clip in profile.clips if clip.sha256 == moved.sha256] == ["/new/0.wav"]
    assert profile.prototypes.tobytes() == FIRST.prototypes.tobytes()


def test_a_clip_of_another_class_is_refused_with_the_way_out() -> None:
    with pytest.raises(
        SupportError, match=r"b/0\.wav is already enrolled as a/0.wav: remove it there first, `metaser enroll"
    ):
        FIRST.with_clips([replace(CLIPS[0], label="b")], EMBEDDINGS[[0]])


@pytest.mark.parametrize("what", ["a/kitchen/0.wav", "a/0.wav", f"a/{0:064d}"])
def test_a_clip_is_named_by_its_folder_its_name_or_its_content(what: str) -> None:
    profile = replace(FIRST, clips=(replace(CLIPS[0], group="kitchen"), *FIRST.clips[1:]))
    assert [clip.name for clip in profile.without(what).clips] == ["1.wav", "2.wav", "3.wav"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("rage", "no class or clip rage is enrolled: there are a, b"),
        ("a/9.wav", "no class or clip a/9.wav is enrolled: there are a/0.wav, a/1.wav"),
        ("", "no class or clip was named: name one of a, b, or LABEL/CLIP"),
        ("a", "without a b would be left and at least two classes are needed"),
    ],
)
def test_what_cannot_be_removed_is_refused(what: str, message: str) -> None:
    with pytest.raises(SupportError, match=message):
        FIRST.without(what)


def test_all_there_is_of_a_profile_comes_back(tmp_path: Path) -> None:
    contours = [np.full((4, frames), frames, np.uint8) for frames in (70, 90)]
    first = replace(CLIPS[0], copies=("a/again.wav",), group="kitchen", contour=contours[0])
    clips = (first, *FIRST.clips[1:])
    other = Clip("", "f" * 64, "traffic.wav", "/traffic.wav", quality=QUALITY, contour=contours[1])
    profile = replace(
        FIRST,
        clips=clips,
        calibration=Calibration(0.5, 0.4, 0.1, 0.3, 0.6),
        reliability=ExpectedRates(0.1, 0.2, 0.3, None, None, 0.05),
        others=(other,),
        other_embeddings=EMBEDDINGS[[5]],
    )
    profile.save(tmp_path / "me.safetensors")
    loaded = Profile.load(tmp_path / "me.safetensors")
    assert (loaded.calibration, loaded.reliability) == (profile.calibration, profile.reliability)
    came_back, saved = ((*each.clips, *each.others) for each in (loaded, profile))
    assert [clip.contour is None for clip in came_back] == [clip.contour is None for clip in saved]
    for one, own in zip(came_back, saved, strict=True):
        assert asdict(replace(one, contour=None)) == asdict(replace(own, contour=None))
        np.testing.assert_array_equal(one.contour, own.contour)
    assert loaded.other_embeddings is not None
    np.testing.assert_array_equal(loaded.other_embeddings, EMBEDDINGS[[5]])


def test_a_profile_without_distance_threshold_cannot_be_strict() -> None:
    with pytest.raises(ProfileError, match="has no distance threshold"):
        FIRST.answering("strict")
    assert FIRST.answering("calibrated") is FIRST


@pytest.mark.parametrize(
    "broken",
    [
        {"others": (CLIPS[4],)},
        {"other_embeddings": EMBEDDINGS[[5]]},
        {"others": (CLIPS[4],), "other_embeddings": EMBEDDINGS[[5], :2]},
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, broken: dict[str, object]) -> None:
    replace(FIRST, **broken).save(tmp_path / "me.safetensors")  # type: ignore[arg-type] # each is of its field's type
    with pytest.raises(ProfileError, match="damaged"):
        Profile.load(tmp_path / "me.safetensors")


WHOLE = replace(
    FIRST,
    others=(CLIPS[4],),
    other_embeddings=EMBEDDINGS[[5]],
    reliability=ExpectedRates(0.1, 0.2, 0.3, None, None, 0.05),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_refused_or_read_as_a_sound_profile(tmp_path: Path, changes: list[tuple[int, int]]) -> None:
    path = tmp_path / "me.safetensors"
    path.unlink(missing_ok=True)
    WHOLE.save(path)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    path.write_bytes(content)
    with suppress(ProfileError):
        loaded = Profile.load(path)
        assert np.isfinite(loaded.prototypes).all()
        assert loaded.prototypes.shape == (len(loaded.labels), 4)


def test_two_writers_of_one_profile_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    profiles = [profile_of([0, 1, 2, 3]), profile_of([0, 1, 2, 3, 4, 5])]
    profiles[0].save(path)
    writers = [Thread(target=lambda own=own: [own.save(path) for _ in range(40)]) for own in profiles]
    for writer in writers:
        writer.start()
    read = []
    while any(writer.is_alive() for writer in writers):
        read.append(Profile.load(path).clips)
    for writer in writers:
        writer.join()
    assert {*read, Profile.load(path).clips} <= {own.clips for own in profiles}
    assert sorted(tmp_path.iterdir()) == [path, undo_path(path)]


def test_unknown_may_be_off_calibrated_or_strict() -> None:
    profile = replace(FIRST, calibration=Calibration(0.5, 0.4, 0.1, 0.3, 0.6))
    assert profile.answering("off").calibration == Calibration(0.5)
    assert profile.answering("strict").calibration == Calibration(0.5, 0.4, 0.1, 0.6, 0.6)
    assert profile.answering("calibrated") is profile


def test_noise_is_unknown_when_strict_and_has_a_label_when_off(engine: Engine, profile: Profile) -> None:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 32_000).astype(np.float32)
    with pytest.warns(InputWarning, match="the clip: no speech was found"):
        assert engine.classify(noise, profile.answering("strict")).label is None
    with pytest.warns(InputWarning, match="no speech was found"):
        assert engine.classify(noise, profile.answering("off")).label is not None


@pytest.fixture(scope="module")
def other_folder(support_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips that nobody enrols."""
    import soundfile

    folder = tmp_path_factory.mktemp("others")
    rng = np.random.default_rng(0)
    soundfile.write(folder / "noise.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    samples, rate_hz = soundfile.read(min((support_folder / "joy").iterdir()))
    soundfile.write(folder / "reversed.wav", samples[::-1], rate_hz)
    return folder


@pytest.fixture(scope="module")
def tuned(engine: Engine, profile: Profile, other_folder: Path) -> Profile:
    """The demonstration clips with other speech and a tuned head."""
    with_others = engine.calibrate(profile, false_accepts=0.3, others=engine.embed_others(other_folder, profile))
    return engine.tune(with_others, force=True, settings=QUICK).profile


def test_nothing_of_a_removed_clip_is_in_the_file(engine: Engine, tuned: Profile, tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    tuned.save(path)
    before = path.read_bytes()
    assert tuned.tuned is not None
    gone = [row for row, clip in enumerate(tuned.clips) if clip.label == "joy"]
    ends = np.cumsum(tuned.tuned.lengths)
    traces = {b'\\"joy\\"', b"/joy/", *(tuned.clips[row].sha256.encode() for row in gone)}
    traces |= {tuned.embeddings[row].tobytes() for row in gone}
    traces |= {tuned.tuned.embeddings[row].tobytes() for row in gone}
    traces |= {tuned.tuned.frames[ends[row] - 1].tobytes() for row in gone}
    assert all(trace in before for trace in traces)
    engine.remove(tuned, "joy").save(path)
    after = path.read_bytes()
    assert not any(trace in after for trace in traces)
    assert sorted(tmp_path.iterdir()) == [path, undo_path(path)]
    undo(path)
    assert path.read_bytes() == before


def test_a_profile_changed_and_changed_back_is_the_profile_of_before(engine: Engine, profile: Profile) -> None:
    row = 7
    without = engine.remove(profile, profile.clips[row].title)
    back = recalibrate(engine.model, without.with_clips([profile.clips[row]], profile.embeddings[[row]]), without)
    assert (back.clips, back.calibration, back.reliability) == (
        profile.clips, profile.calibration, profile.reliability,
    )  # fmt: skip


def test_a_change_keeps_the_wanted_rate_and_the_other_speech(engine: Engine, tuned: Profile) -> None:
    assert tuned.reliability.wanted_false_accepts == 0.3
    fewer = engine.remove(tuned, "joy")
    assert fewer.tuned is None
    assert fewer.reliability.wanted_false_accepts == 0.3
    assert [clip.name for clip in fewer.others] == [clip.name for clip in tuned.others] != []


def test_other_speech_is_embedded_by_the_head_in_force(engine: Engine, profile: Profile, tuned: Profile) -> None:
    folder = Path(tuned.others[0].path).parent
    assert tuned.other_embeddings is not None
    by_base, by_tuned = (engine.embed_others(folder, each).embeddings for each in (profile, tuned))
    np.testing.assert_array_equal(tuned.other_embeddings, by_tuned)
    assert np.abs(by_base - by_tuned).max() > 1e-3
    fewer = engine.remove(tuned, "joy")
    assert fewer.other_embeddings is not None
    np.testing.assert_array_equal(fewer.other_embeddings, by_base)


def test_other_speech_whose_files_are_gone_is_left_out_with_the_head(engine: Engine, tuned: Profile) -> None:
    lost = replace(tuned, others=tuple(replace(clip, path="/gone.wav") for clip in tuned.others))
    assert engine.remove(lost, "joy").others == ()


def test_a_tuned_head_is_calibrated_from_clips_it_was_not_tuned_on(engine: Engine, tuned: Profile) -> None:
    assert tuned.tuned is not None
    assert tuned.tuned.cross_fitted is not None
    fitted = tuned.cross_fitted
    np.testing.assert_array_equal(fitted.cosines, tuned.tuned.cross_fitted)
    base = engine.bundle.manifest.calibration.temperature
    assert tuned.calibration.temperature == fit_temperature(fitted, tuned.tuned.scale, base)
    own = np.array(tuned.targets)
    seen = np.einsum("me,me->m", unit(tuned.embedded), tuned.prototypes[own])
    assert np.mean(fitted.cosines[np.arange(len(own)), own]) < np.mean(seen) - 1e-4


def test_a_head_tuned_without_a_guard_keeps_the_bundles_calibration(engine: Engine, profile: Profile) -> None:
    first: dict[str, int] = {}
    for row, clip in enumerate(profile.clips):
        first.setdefault(clip.label, row)
    rows = [row for row, clip in enumerate(profile.clips) if clip.label != "joy" or row == first["joy"]]
    single = replace(profile, clips=tuple(profile.clips[row] for row in rows), embeddings=profile.embeddings[rows])
    tuned = engine.tune(single, force=True, settings=QUICK).profile
    assert tuned.tuned is not None
    assert tuned.tuned.cross_fitted is None
    assert tuned.calibration == engine.bundle.manifest.calibration
    assert tuned.reliability.false_accepts is None


def test_other_speech_that_is_enrolled_is_refused(engine: Engine, profile: Profile, support_folder: Path) -> None:
    with pytest.raises(SupportError, match="cannot be both"):
        engine.calibrate(profile, others=engine.embed_others(support_folder / "joy", profile))


def test_calibrating_again_without_other_speech_gives_what_enrolment_gave(
    engine: Engine, profile: Profile, other_folder: Path
) -> None:
    calibrated = engine.calibrate(profile, false_accepts=0.1, others=engine.embed_others(other_folder, profile))
    assert calibrated.calibration.min_cosine > -1
    assert engine.calibrate(calibrated.without_others()).calibration == profile.calibration


def test_a_name_of_several_clips_is_refused_unless_it_is_the_whole_name_of_one() -> None:
    kitchen, bedroom = (replace(CLIPS[row], name="1.wav", group=group) for row, group in ((0, "kitchen"), (1, "bed")))
    profile = replace(FIRST, clips=(kitchen, bedroom, *FIRST.clips[2:]))
    with pytest.raises(SupportError, match=r"a/1.wav is the name of 2 clips: name one of a/kitchen/1.wav, a/bed/1.wav"):
        profile.without("a/1.wav")
    outside = replace(profile, clips=(replace(kitchen, group=""), bedroom, *FIRST.clips[2:]))
    assert [clip.title for clip in outside.without("a/1.wav").clips] == ["a/bed/1.wav", "b/2.wav", "b/3.wav"]


def test_clips_of_one_name_in_one_folder_are_named_by_their_content() -> None:
    profile = replace(FIRST, clips=(*(replace(clip, name="1.wav") for clip in CLIPS[:2]), *FIRST.clips[2:]))
    with pytest.raises(SupportError, match=f"name one of a/{0:064d}, a/{1:064d}"):
        profile.without("a/1.wav")
    assert len(profile.without(f"a/{1:064d}").clips) == 3


def test_arrays_that_are_added_get_names_of_their_own(engine: Engine, profile: Profile) -> None:
    rng = np.random.default_rng(5)
    takes = [[rng.normal(0, 0.1, 16_000).astype(np.float32) for _ in range(2)] for _ in range(2)]
    with pytest.warns(InputWarning, match="should be recorded again"):
        first = engine.add(profile, {"joy": takes[0]})
    with pytest.warns(InputWarning, match="should be recorded again"):
        second = engine.add(first, {"joy": takes[1]})
    names = [clip.name for clip in second.clips if clip.name.startswith("array")]
    assert sorted(names) == ["array 0", "array 1", "array 2", "array 3"]
    assert len(engine.remove(second, "joy/array 2").clips) == len(second.clips) - 1


def test_clips_of_another_model_are_refused(engine: Engine, profile: Profile, support_folder: Path) -> None:
    read = engine.embed_support(support_folder)
    with pytest.raises(SupportError, match="another model than default embedded the clips"):
        engine.add(profile, replace(read, model_id="other"))
    others = engine.embed_others(support_folder / "joy", profile)
    with pytest.raises(SupportError, match="another model than default"):
        engine.calibrate(profile, others=replace(others, model_id="other"))


def test_clips_embedded_without_the_profile_are_compared_with_it_when_added(
    engine: Engine, profile: Profile, support_folder: Path
) -> None:
    clips = [0.7 * load_audio(path) for path in sorted((support_folder / "joy").iterdir())]
    with pytest.raises(SupportError, match="is already enrolled as joy/"):
        engine.add(profile, engine.embed_support({"anger": clips, "new": [clips[0][::-1].copy()]}))
    with pytest.warns(InputWarning, match="copies of what is enrolled, and not added"):
        added = engine.add(profile, engine.embed_support({"joy": clips, "new": [clips[0][::-1].copy()]}))
    assert len(added.clips) == len(profile.clips) + 1
