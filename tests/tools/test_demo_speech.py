"""The demo material matches its script and its true segments."""

import itertools
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools/make_demo_speech.py"
DEMO = ROOT / "runtime/metaser/runtime/data/demo"
SAMPLE_RATE_HZ = 16_000


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def samples_of(path: Path) -> npt.NDArray[np.int16]:
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(samples, np.int16)


def truth() -> dict[str, Any]:
    return json.loads((DEMO / "conversation.json").read_text("utf-8"))


def spans_samples() -> list[tuple[int, int]]:
    return [
        (round(segment["start_s"] * SAMPLE_RATE_HZ), round(segment["end_s"] * SAMPLE_RATE_HZ))
        for segment in truth()["segments"]
    ]


def rms(samples: npt.NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader")
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run([sys.executable, str(SCRIPT), str(folder)], check=True, capture_output=True)
    return folder


def test_the_script_makes_the_committed_files_and_no_others(remade: Path) -> None:
    assert files_of(remade) == files_of(DEMO)


def test_the_script_makes_the_committed_samples(remade: Path) -> None:
    for name in files_of(remade):
        if name.endswith(".flac"):  # the bytes may differ with libsndfile's version, the samples may not
            np.testing.assert_array_equal(samples_of(remade / name), samples_of(DEMO / name), err_msg=name)


def test_the_script_makes_the_committed_texts(remade: Path) -> None:
    for name in ("README.md", "conversation.json"):
        assert (remade / name).read_bytes() == (DEMO / name).read_bytes()


def test_a_second_run_makes_the_same_bytes(remade: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=True, capture_output=True)
    for name in files_of(remade):
        assert (tmp_path / name).read_bytes() == (remade / name).read_bytes(), name


def test_without_the_synthesiser_the_script_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    espeak = runpy.run_path(str(SCRIPT))["espeak"]
    with pytest.raises(SystemExit, match="pip install 'espeakng-loader"), espeak():
        pass


def test_the_material_is_small() -> None:
    assert sum((DEMO / name).stat().st_size for name in files_of(DEMO)) <= 2_000_000


def test_every_class_has_the_same_five_voices() -> None:
    voices = {label.name: sorted(clip.name for clip in label.iterdir()) for label in (DEMO / "support").iterdir()}
    assert sorted(voices) == ["anger", "joy", "neutral", "sadness"]
    assert all(len(names) == 5 and names == voices["neutral"] for names in voices.values())


def test_every_clip_says_that_it_is_synthetic_and_is_not_clipped() -> None:
    for path in DEMO.rglob("*.flac"):
        with soundfile.SoundFile(path) as file:
            assert (file.format, file.subtype, file.channels, file.samplerate) == ("FLAC", "PCM_16", 1, SAMPLE_RATE_HZ)
            assert file.title == file.comment == "synthetic speech (espeak-ng)"
        assert np.abs(samples_of(path).astype(np.int32)).max() <= 0.7 * 32_768


def test_support_clips_last_about_three_seconds() -> None:
    for path in (DEMO / "support").rglob("*.flac"):
        assert 2.5 <= samples_of(path).size / SAMPLE_RATE_HZ <= 3.5, path.name


def test_segments_are_sorted_apart_and_inside_the_file() -> None:
    edges = np.array(spans_samples()).ravel()
    assert edges[0] > 0
    assert edges[-1] < samples_of(DEMO / "conversation.flac").size
    assert (np.diff(edges) > 0).all()


def test_the_truth_names_enrolled_labels_only() -> None:
    assert truth()["synthetic"] is True
    assert truth()["sample_rate_hz"] == SAMPLE_RATE_HZ
    enrolled = {label.name for label in (DEMO / "support").iterdir()}
    assert {segment["label"] for segment in truth()["segments"]} == enrolled


def test_the_conversation_has_a_voice_and_a_language_that_are_not_enrolled() -> None:
    enrolled = {tuple(path.stem.split("-")) for path in (DEMO / "support").rglob("*.flac")}
    heard = {tuple(segment["voice"].split("+")) for segment in truth()["segments"]}
    assert {language for language, _ in heard} - {language for language, _ in enrolled}
    assert {variant for _, variant in heard} - {variant for _, variant in enrolled}


def test_speech_is_in_the_segments_and_not_in_the_gaps() -> None:
    samples, spans = samples_of(DEMO / "conversation.flac"), spans_samples()
    loud = [rms(samples[start:end]) for start, end in spans]
    quiet = [rms(samples[end:start]) for (_, end), (start, _) in itertools.pairwise(spans)]
    assert min(loud) > 20 * max(quiet)
