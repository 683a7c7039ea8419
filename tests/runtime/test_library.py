"""Common uses of the library: copies, rates, files in memory, paths for arrays and arrays for paths."""

import copy
import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soxr

from metaser.runtime import AudioError, Engine, InputError, Profile, ProfileError, SupportError, load_audio
from metaser.runtime.bundles.bundle import open_bundle
from metaser.runtime.enrolment.profile import undo
from metaser.runtime.enrolment.profile_file import forget
from metaser.runtime.enrolment.support import read_others
from metaser.runtime.errors import BundleError
from metaser.runtime.system.locks import profile_lock
from metaser.runtime.words import kind_of

Clips: TypeAlias = Mapping[str, list[npt.NDArray[np.float32]]]
COPIES: dict[str, Callable[[object], object]] = {"pickle": pickle.dumps, "copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.fixture(scope="module")
def clips(support_folder: Path) -> Clips:
    """Two clips of each of two classes at 16 kHz."""
    folders = sorted(folder for folder in support_folder.iterdir() if folder.is_dir())[:2]
    return {folder.name: [load_audio(path) for path in sorted(folder.iterdir())[:2]] for folder in folders}


def at(rate_hz: int, clip: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return soxr.resample(clip, 16_000, rate_hz)


@pytest.mark.parametrize("how", COPIES)
def test_an_engine_and_a_stream_say_that_they_cannot_be_copied(engine: Engine, profile: Profile, how: str) -> None:
    with pytest.raises(InputError, match=r"an engine can neither be pickled nor copied: call Engine\.open in each pro"):
        COPIES[how](engine)
    with pytest.raises(InputError, match=r"a stream can neither be pickled nor copied: open one with Engine\.stream"):
        COPIES[how](engine.stream(profile))


def test_a_profile_and_a_decision_can_be_pickled(engine: Engine, profile: Profile, clips: Clips) -> None:
    decision = engine.classify(next(iter(clips.values()))[0], profile)
    assert pickle.loads(pickle.dumps(decision)) == decision  # noqa: S301
    assert pickle.loads(pickle.dumps(profile)).labels == profile.labels  # noqa: S301


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_arrays_at_another_rate_get_the_answer_of_16_khz(
    engine: Engine, profile: Profile, clips: Clips, rate_hz: int
) -> None:
    clip = next(iter(clips.values()))[0]
    narrow = at(16_000 if rate_hz > 16_000 else 8_000, clip)  # what the other rate can hold
    reference = soxr.resample(narrow, 8_000, 16_000).astype(np.float32) if rate_hz < 16_000 else clip
    other = at(rate_hz, clip)
    a, b = engine.embed(other, sample_rate_hz=rate_hz), engine.embed(reference)
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99
    expected = engine.classify(reference, profile)
    found = engine.classify(other, profile, sample_rate_hz=rate_hz)
    assert found.label == expected.label
    assert found.confidence == pytest.approx(expected.confidence, abs=0.05)


def test_a_support_set_at_another_rate_makes_the_same_profile(engine: Engine, clips: Clips) -> None:
    fast = {label: [at(48_000, clip) for clip in each] for label, each in clips.items()}
    expected = engine.enroll(clips)
    found = engine.enroll(fast, sample_rate_hz=48_000)
    for label, prototype in zip(found.labels, found.prototypes, strict=True):
        assert prototype @ expected.prototypes[expected.labels.index(label)] > 0.99
    assert engine.tune(found, fast, sample_rate_hz=48_000, force=True).kept


def test_the_rate_of_files_is_their_own(engine: Engine, support_folder: Path) -> None:
    with pytest.raises(InputError, match="sample_rate_hz=8000 with a folder, whose files state their own rate"):
        engine.enroll(support_folder, sample_rate_hz=8_000)


def test_16_bit_samples_give_the_answer_of_floats(engine: Engine, profile: Profile, clips: Clips) -> None:
    clip = next(iter(clips.values()))[0]
    coarse = np.round(clip * 32_768).astype(np.int16)
    found, expected = (engine.classify(each, profile) for each in (coarse, coarse.astype(np.float32) / 32_768))
    assert found == expected
    first, second = (engine.stream(profile).push(each) for each in (coarse, coarse.astype(np.float32) / 32_768))
    assert [(event.event, event.scores) for event in first] == [(event.event, event.scores) for event in second]
    assert engine.enroll(
        {label: [np.round(c * 32_768).astype(np.int16) for c in each] for label, each in clips.items()}
    )


@pytest.mark.parametrize("rate", [0, "16000", None])
def test_a_wrong_rate_is_refused_everywhere(engine: Engine, profile: Profile, clips: Clips, rate: Any) -> None:
    clip = next(iter(clips.values()))[0]
    calls: list[Callable[[], object]] = [
        lambda: engine.classify(clip, profile, sample_rate_hz=rate),
        lambda: engine.embed(clip, sample_rate_hz=rate),
        lambda: engine.enroll(clips, sample_rate_hz=rate),
        lambda: engine.stream(profile, sample_rate_hz=rate),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"a sample rate of .* Hz: give the samples"):
            call()


@pytest.mark.parametrize("given", [None, "clip.wav", b"00", [[0.1, 0.2], [0.3]], np.zeros((2, 16_000), np.float32)])
def test_what_is_no_clip_is_refused_everywhere(engine: Engine, profile: Profile, clips: Clips, given: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: engine.classify(given, profile),
        lambda: engine.embed(given),
        lambda: engine.enroll({**clips, "other": [given]}),
        lambda: engine.stream(profile).push(given),
    ]
    for call in calls:
        with pytest.raises(AudioError, match=r"give float samples \[T\] in \[-1, 1\], or int16"):
            call()


def test_embed_refuses_samples_that_are_not_scaled(engine: Engine) -> None:
    with pytest.raises(AudioError, match=r"samples up to 20000 but the range is \[-1, 1\]"):
        engine.embed(np.full(16_000, 20_000, np.float32))


@pytest.mark.parametrize(
    ("support", "message"),
    [
        ([("a", np.zeros(16_000))], r"the support set is a list: give a folder of LABEL/clips, or \{label"),
        (None, "the support set is None: give a folder"),
        ({"a": np.zeros(16_000), "b": np.zeros(16_000)}, "class a is one waveform and not a list of them: give {'a'"),
        ({"a": "a.wav", "b": "b.wav"}, "class a is a str and not a list of waveforms"),
        ({"a": 3, "b": 4}, "class a is an int and not a list of waveforms"),
    ],
)
def test_what_is_no_support_set_is_refused(engine: Engine, support: Any, message: str) -> None:
    with pytest.raises(SupportError, match=message):
        engine.enroll(support)


@pytest.mark.parametrize("given", [io.BytesIO(b"RIFF"), None, b"clip.wav", 3, ["clip.wav"]])
def test_what_is_no_path_is_refused_everywhere(engine: Engine, profile: Profile, given: Any) -> None:
    kind = kind_of(given)
    with pytest.raises(AudioError, match=f"the clip is {kind}: give a path; samples in memory, .* sample_rate_hz"):
        load_audio(given)
    calls: list[tuple[type[InputError], Callable[[], object]]] = [
        (ProfileError, lambda: engine.open_profile(given)),
        (ProfileError, lambda: profile.save(given)),
        (ProfileError, lambda: undo(given)),
        (ProfileError, lambda: forget(given)),
        (ProfileError, lambda: profile_lock(given).__enter__()),
        (SupportError, lambda: read_others(given)),
    ]
    if given is not None:  # the default one
        calls += [(BundleError, lambda: open_bundle(given)), (BundleError, lambda: Engine.open(given))]
    for error, call in calls:
        with pytest.raises(error, match=f"is {kind}: give a path"):
            call()


@pytest.mark.parametrize("given", ["me.safetensors", Path("me.safetensors"), None, {}])
def test_what_is_no_profile_is_refused(engine: Engine, clips: Clips, given: Any) -> None:
    for call in (lambda: engine.classify(next(iter(clips.values()))[0], given), lambda: engine.stream(given)):
        with pytest.raises(ProfileError, match=r"the profile is .*: make one with Engine\.enroll or Engine\.open_pro"):
            call()


def test_a_profile_of_another_model_is_refused(profile: Profile, clips: Clips) -> None:
    other = Engine.open("tiny", provider="cpu")
    for call in (lambda: other.classify(next(iter(clips.values()))[0], profile), lambda: other.stream(profile)):
        with pytest.raises(ProfileError, match="the profile was made with the bundle default but this is tiny"):
            call()


def test_a_value_of_the_wrong_type_is_refused_with_what_to_give(engine: Engine, profile: Profile) -> None:
    wrong: Any = "0.3"
    calls: dict[str, Callable[[], object]] = {
        "give a number between 0 and 1": lambda: engine.calibrate(profile, false_accepts=wrong),
        "give engine.embed_others": lambda: engine.calibrate(profile, others=wrong),
        "threads is '0.3': give a whole number": lambda: Engine.open(threads=wrong),
        "workers is '0.3'": lambda: Engine.open(workers=wrong),
        "give HeadTuningSettings": lambda: engine.tune(profile, settings=wrong),
        "give StreamSettings": lambda: engine.stream(profile, settings=wrong),
        "choose off, calibrated or strict": lambda: profile.answering(wrong),
        "a sample rate of 16 Hz is too low": lambda: engine.stream(profile, sample_rate_hz=16),
    }
    for said, call in calls.items():
        with pytest.raises(InputError, match=said):
            call()
    with pytest.raises(ProfileError, match="the profile is a str"):
        engine.report(wrong)
