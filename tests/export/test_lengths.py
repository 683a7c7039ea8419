"""Every family in every precision at boundary lengths: no sample, one sample, the first frame, and long."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch

from metaser.export.golden import voiced_waveform
from metaser.export.precision import in_precision
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.providers.session import session_options
from metaser.runtime.scoring.decision import unit

LENGTHS = (0, 1, 399, 400, 401, 719, 12_345, 20_000)
LONGEST_SAMPLES = max(LENGTHS)
DIFFERENCE_AT_MOST = {"fp32": 1e-4, "fp16": 3e-2}
"""Largest difference of a frame value; the frames of these tiny models reach about 3."""

INT8_COSINE = 0.99
"""Largest difference of the mean frame, the head's input; single frames of random weights vary more."""


@pytest.fixture(scope="module")
def backbone(pretrained: Any) -> Any:
    return pretrained.backbone(2)


def frames_of(model: Any, clips: npt.NDArray[np.float32], lengths: list[int]) -> tuple[Any, Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options())
    feeds = {"input_values": clips, "input_lengths": np.array(lengths, np.int64)}
    frames, frame_lengths = session.run(["last_hidden_state", "frame_lengths"], feeds)
    return frames, frame_lengths


def alone(backbone: Any, clip: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[T] -> [N, D] by PyTorch; a clip too short for a frame is padded with zeros."""
    padded = np.zeros(max(len(clip), backbone.receptive_field_samples), np.float32)
    padded[: len(clip)] = clip
    with torch.no_grad():
        frames, frame_lengths = backbone(torch.from_numpy(padded)[None], torch.tensor([len(clip)]))
    return frames[0, : int(frame_lengths[0])].numpy()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_batch_of_all_lengths_gives_what_each_clip_gives_alone(
    backbone: Any, graph: Any, precision: Precision
) -> None:
    noise = np.random.default_rng(0).standard_normal((len(LENGTHS), LONGEST_SAMPLES)).astype(np.float32)
    clips = [
        voiced_waveform(length, seed) if length else np.zeros(0, np.float32) for seed, length in enumerate(LENGTHS)
    ]
    for row, clip in zip(noise, clips, strict=True):
        row[: len(clip)] = clip  # the padding is noise, and must not matter
    frames, frame_lengths = frames_of(in_precision(graph, precision), noise, list(LENGTHS))
    for row, n, clip in zip(frames, frame_lengths, clips, strict=True):
        expected = alone(backbone, clip)
        assert n == len(expected)
        np.testing.assert_allclose(row[:n], expected, atol=DIFFERENCE_AT_MOST[precision])
        assert not row[n:].any()


def test_int8_stays_near_at_every_length(backbone: Any, graph: Any) -> None:
    model = in_precision(graph, "int8")
    for length in LENGTHS:
        if length < backbone.receptive_field_samples:
            continue  # the runtime refuses a clip without a frame, as the test above checks
        clip = voiced_waveform(length, seed=1)
        frames, frame_lengths = frames_of(model, clip[None], [length])
        expected = alone(backbone, clip)
        assert frame_lengths[0] == len(frames[0]) == len(expected)
        assert unit(frames[0].mean(axis=0)) @ unit(expected.mean(axis=0)) >= INT8_COSINE, length
