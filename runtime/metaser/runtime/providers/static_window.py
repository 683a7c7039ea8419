"""An encoder whose graph has one static window: shorter clips are padded, and the frames of the padding removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from metaser.runtime.arrays import Frames, Waveform
from metaser.runtime.errors import AudioError, BundleError
from metaser.runtime.providers.session import run_all
from metaser.runtime.words import counted

if TYPE_CHECKING:
    import onnxruntime


def has_static_window(session: onnxruntime.InferenceSession) -> bool:
    """Whether the graph takes one clip of one length.

    Raises:
        BundleError: its input is not a clip.
    """
    return isinstance(_input_shape(session)[-1], int)


def _input_shape(session: onnxruntime.InferenceSession) -> list[int | str | None]:
    shapes = {given.name: list(given.shape) for given in session.get_inputs()}
    if "input_values" not in shapes:
        raise BundleError(f"this graph takes {', '.join(shapes)} and is not an encoder: export the bundle again")
    return shapes["input_values"]


class StaticEncoder:
    """A session of `encoder.tensorrt.onnx` on any provider."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        match _input_shape(session):
            case [1, int(samples)]:
                self.window_samples = samples
            case shape:
                raise BundleError(f"the graph takes {shape}, not one clip of one length: export the bundle again")

    def frames(self, waveform: Waveform) -> Frames:
        """Float32 [T], T at most `window_samples` -> [N, D].

        Raises:
            AudioError: the clip is longer than the window.
        """
        if len(waveform) > self.window_samples:
            raise AudioError(
                f"a window of {counted(len(waveform), 'sample')}: this graph takes at most {self.window_samples}"
            )
        padded = np.zeros((1, self.window_samples), np.float32)
        padded[0, : len(waveform)] = waveform
        feeds = {"input_values": padded, "input_lengths": np.array([len(waveform)], np.int64)}
        found = run_all(self._session, feeds, ["last_hidden_state", "frame_lengths"])
        frames, lengths = found["last_hidden_state"], found["frame_lengths"]
        return frames[0, : int(lengths[0])]  # of [1, N, D]
