"""The engine on the shipped bundle: embeddings, enrolment, decisions and what it refuses."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import soundfile

from metaser.runtime import (
    AudioError,
    Engine,
    InputError,
    InputWarning,
    MissingDependencyError,
    NotFoundError,
    Profile,
    ProfileError,
    SupportError,
    load_audio,
)
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.providers.session import choose_providers

Audio = npt.NDArray[np.float32]


def noise(samples: int, seed: int = 0) -> Audio:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


def test_the_golden_vectors_are_reproduced_on_this_machine(engine: Engine) -> None:
    verification = engine.verify()
    assert verification.passed
    assert verification.embedding_cosine >= 0.99


def test_int8_is_exact_on_processors_without_vnni_too() -> None:
    frozen = Engine.open("frozen", provider="cpu")
    assert frozen.bundle.manifest.precision == "int8"
    assert frozen.verify().embedding_cosine > 0.9998  # 0.9985 where pairs of products overflow 16 bits


def test_a_long_clip_is_the_mean_of_equal_windows(engine: Engine, conversation: Audio) -> None:
    clip = conversation[: 2 * engine.model.max_samples + 1000]
    windows = np.array_split(clip, 3)
    expected = np.mean([engine.model.pool(engine.model.frames(window)) for window in windows], axis=0)
    np.testing.assert_allclose(engine.embed(clip), expected, rtol=1e-5)


def test_a_clip_needs_one_frame(engine: Engine) -> None:
    assert engine.embed(noise(engine.model.min_samples)).shape == (engine.bundle.manifest.head.embedding_size,)
    with pytest.raises(AudioError, match=f"{engine.model.min_samples - 1} samples is too short: the model needs"):
        engine.embed(noise(engine.model.min_samples - 1))


def test_frames_take_one_window(engine: Engine) -> None:
    hop = engine.bundle.manifest.audio.hop_samples
    longest = engine.model.frames(noise(engine.model.max_samples))
    assert longest.shape == (math.ceil(engine.model.max_samples / hop), engine.bundle.manifest.backbone.width)
    with pytest.raises(AudioError, match="the encoder takes"):
        engine.model.frames(noise(engine.model.max_samples + 1))


def test_enrolled_classes_are_recognised(
    engine: Engine, profile: Profile, conversation: Audio, truth: list[dict[str, object]]
) -> None:
    said, heard = [], []
    for segment in truth:
        start, end = (round(float(str(segment[key])) * SAMPLE_RATE_HZ) for key in ("start_s", "end_s"))
        said.append(segment["label"])
        heard.append(
            max((scores := engine.classify(conversation[start:end], profile).scores), key=lambda label: scores[label])
        )
    assert np.mean([a == b for a, b in zip(said, heard, strict=True)]) >= 0.75


def test_a_folder_and_its_arrays_give_the_same_prototypes(
    engine: Engine, profile: Profile, support_folder: Path
) -> None:
    arrays = {folder.name: [load_audio(path) for path in folder.iterdir()] for folder in support_folder.iterdir()}
    # the rows are in the order of different hashes, so the float64 means may differ in their last bit
    np.testing.assert_allclose(engine.enroll(arrays).prototypes, profile.prototypes, rtol=1e-6, atol=1e-7)


@pytest.mark.filterwarnings("ignore:.* should be recorded again")  # noise stands for clips
def test_enrolment_reports_its_progress(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []
    engine.enroll(
        {"a": [noise(16_000)], "b": [noise(16_000, 1)]}, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.filterwarnings("ignore:.* should be recorded again")  # noise stands for clips
def test_the_same_recording_counts_once_in_a_class_and_never_in_two(engine: Engine) -> None:
    with pytest.warns(InputWarning, match=r"1 clip is a copy .* and is not enrolled: a/array 1 \(a/array 0\)"):
        profile = engine.enroll({"a": [noise(16_000), noise(16_000)], "b": [noise(16_000, 1)]})
    assert [clip.label for clip in profile.clips] == ["a", "b"]
    with pytest.raises(SupportError, match="the same recording is in two classes"):
        engine.enroll({"a": [noise(16_000)], "b": [noise(16_000)]})


def test_a_class_given_as_the_support_set_is_told_from_an_empty_folder(engine: Engine, support_folder: Path) -> None:
    with pytest.raises(SupportError, match="holds clips but no folders: give the folder above it"):
        engine.enroll(support_folder / "joy")


@pytest.mark.filterwarnings("ignore:.* should be recorded again")  # noise stands for clips
def test_folders_inside_a_class_become_groups(engine: Engine, tmp_path: Path) -> None:
    for index, name in enumerate(["a/kitchen/1.wav", "a/2.wav", "b/3.wav", "b/.hidden/4.wav", ".git/5.wav"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / name, noise(16_000, index), 16_000, format="WAV")
    with pytest.warns(InputWarning, match=r"the folder inside them \(kitchen\) only groups clips of one class"):
        profile = engine.enroll(tmp_path)
    assert {(clip.label, clip.name, clip.group) for clip in profile.clips} == {
        ("a", "1.wav", "kitchen"),
        ("a", "2.wav", ""),
        ("b", "3.wav", ""),
    }


@pytest.mark.parametrize(
    ("support", "message"),
    [
        ({}, "no classes"),
        ({"a": [noise(16_000)]}, r"one class \(a\) but at least two"),
        ({"a": [noise(16_000)], "b": []}, "class b has no clips"),
    ],
)
def test_support_sets_that_cannot_be_enrolled_are_refused(
    engine: Engine, support: dict[str, list[Audio]], message: str
) -> None:
    with pytest.raises(SupportError, match=message):
        engine.enroll(support)


def test_folders_that_cannot_be_enrolled_are_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such folder"):
        engine.enroll(tmp_path / "nowhere")
    with pytest.raises(SupportError, match="no classes: put clips in"):
        engine.enroll(tmp_path)
    for label in "ab":
        (tmp_path / label).mkdir()
    soundfile.write(tmp_path / "a" / "1.wav", noise(16_000), 16_000)
    with pytest.raises(SupportError, match="class b has no audio files"):
        engine.enroll(tmp_path)
    (tmp_path / "b" / "1.m4a").write_bytes(b"x")
    with pytest.raises(AudioError, match=r"b/1\.m4a cannot be read as audio"):
        engine.enroll(tmp_path)


def test_every_bad_clip_is_counted_and_the_first_few_are_named(engine: Engine, tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "silent.wav", np.zeros(16_000 + ord(label)), 16_000)
        soundfile.write(tmp_path / label / "good.wav", noise(16_000, ord(label)), 16_000)
    soundfile.write(tmp_path / "b" / "short.wav", noise(100), 16_000)
    with pytest.raises(
        AudioError, match=r"3 clips cannot be used: a/silent\.wav is silent .*; b/short\.wav: .*; b/silent\.wav"
    ):
        engine.enroll(tmp_path)


def test_a_clip_is_named_with_its_class(engine: Engine, tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "1.wav", noise(16_000, ord(label)), 16_000)
    soundfile.write(tmp_path / "b" / "2.wav", np.zeros(16_000), 16_000)
    with pytest.raises(AudioError, match=r"^b/2\.wav is silent"):
        engine.enroll(tmp_path)
    soundfile.write(tmp_path / "b" / "2.wav", noise(300), 16_000)
    with pytest.raises(AudioError, match=r"^b/2\.wav: a clip of 300 samples is too short"):
        engine.enroll(tmp_path)


def test_auto_goes_to_the_processor_where_a_gpu_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    available = onnxruntime.get_available_providers()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*available, "CUDAExecutionProvider"])
    assert choose_providers("auto", ["cuda", "cpu"], "fp16") == ["cuda", "cpu"]
    assert choose_providers("auto", ["cpu"], "int8") == ["cpu"]
    with pytest.raises(InputError, match="int8 bundle is for the CPU"):
        choose_providers("cuda", ["cpu"], "int8")


def test_a_profile_of_another_model_is_refused(engine: Engine, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    values = {
        "bundle_name": "other",
        "calibration": profile.calibration,
        "clips": profile.clips,
        "embeddings": profile.embeddings,
    }
    Profile(model_id="other", graph_id=profile.graph_id, **values).save(path)  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match=r"made with the bundle other .* another model"):
        engine.open_profile(path)
    with pytest.raises(ProfileError, match="another model"):
        engine.open_profile(path, accept_precision=True)


def test_a_profile_of_another_export_needs_consent(engine: Engine, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "me.safetensors"
    values = {
        "bundle_name": "fp32",
        "calibration": profile.calibration,
        "clips": profile.clips,
        "embeddings": profile.embeddings,
    }
    Profile(model_id=profile.model_id, graph_id="other", **values).save(path)  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match=r"another export of the same model .* --accept-precision"):
        engine.open_profile(path)
    assert engine.open_profile(path, accept_precision=True).labels == profile.labels


def test_a_saved_profile_decides_as_the_one_in_memory(
    engine: Engine, profile: Profile, conversation: Audio, tmp_path: Path
) -> None:
    profile.save(tmp_path / "me.safetensors")
    opened = engine.open_profile(tmp_path / "me.safetensors")
    clip = conversation[16_000:64_000]
    assert engine.classify(clip, opened) == engine.classify(clip, profile)


def test_what_was_asked_for_is_checked_at_opening() -> None:
    with pytest.raises(InputError, match="no provider is called 'npu'"):
        Engine.open(provider="npu")
    with pytest.raises(InputError, match="threads is 0"):
        Engine.open(provider="cpu", threads=0)
    with pytest.raises(MissingDependencyError, match="provider tensorrt is not in this onnxruntime"):
        Engine.open(provider="tensorrt")


def test_threads_change_nothing_but_time(engine: Engine, conversation: Audio) -> None:
    one = Engine.open(provider="cpu", threads=1)
    np.testing.assert_allclose(one.embed(conversation[:48_000]), engine.embed(conversation[:48_000]), atol=1e-4)
