"""Compare ONNX Runtime with PyTorch on the written graphs before they become a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from metaser.export.golden import voiced_waveform
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Waveform
from metaser.runtime.bundles.manifest import Precision
from metaser.runtime.errors import WorkError
from metaser.runtime.providers.session import ENCODER_NAMES, HEAD_NAMES, open_session, run
from metaser.runtime.scoring.decision import unit
from metaser.toolkit.model.network import ProtoNet

COSINE_AT_LEAST = {"fp32": 0.99999, "fp16": 0.999, "int8": 0.99}
FP32_DIFFERENCE_AT_MOST = 1e-4
FP32_PADDING_AT_MOST = 1e-5


@dataclass(frozen=True)
class Parity:
    """Differences between the graphs and PyTorch in float32, over clips of several lengths.

    Differences are divided by the largest absolute value of the reference if that is above 1.
    """

    lengths_samples: list[int]
    frames_max_difference: float
    embedding_cosine_min: float
    padding_max_difference: float | None
    """Between a clip alone and in a padded batch; None if the graph runs one clip at a time."""

    clips: int
    """Number of speech clips that were also compared."""

    clips_embedding_cosine_min: float | None


class Graphs:
    """Runs the written encoder and head on the CPU."""

    def __init__(self, folder: Path, network: ProtoNet) -> None:
        self._encoder = open_session(folder / "encoder.onnx", "cpu", None, ENCODER_NAMES)
        self._head = open_session(folder / "head.onnx", "cpu", None, HEAD_NAMES)
        taken = {given.name for given in self._head.get_inputs()}
        parameters = {f"parameter.{name}": value.detach().numpy() for name, value in network.head.named_parameters()}
        self._parameters = {name: value for name, value in parameters.items() if name in taken}

    def frames(self, waveform: npt.NDArray[np.float32], lengths: list[int]) -> npt.NDArray[np.float32]:
        """[B, T] and lengths -> [B, N, D]."""
        feeds = {"input_values": waveform, "input_lengths": np.array(lengths, np.int64)}
        return run(self._encoder, "last_hidden_state", feeds)

    def embed(self, clip: Waveform) -> Embedding:
        """[T] -> [E]."""
        return self.embedding(self.frames(clip[None], [len(clip)]))[0]

    def embedding(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[1, N, D] -> [1, E]."""
        feeds = {"frames": frames, "frame_mask": np.ones(frames.shape[:2], np.float32), **self._parameters}
        return run(self._head, "embedding", feeds)


def measure_parity(
    folder: Path, network: ProtoNet, precision: Precision, max_window_s: float, clips: Sequence[Waveform] = ()
) -> Parity:
    """Compare the graphs in `folder` with the network, from the shortest clip to the longest window, and on `clips`.

    Raises:
        WorkError: they differ by more than the precision's tolerance.
    """
    shortest, longest = network.backbone.receptive_field_samples, int(max_window_s * SAMPLE_RATE_HZ)
    wanted = {shortest, shortest + 1, shortest + network.backbone.hop_samples, 16_000, 33_333, longest}
    lengths = sorted(samples for samples in wanted if samples <= longest)
    graphs = Graphs(folder, network)
    differences, cosines = [], []
    for seed, samples in enumerate(lengths):
        waveform = voiced_waveform(samples, seed)[None]
        reference, embedding = _reference(network, waveform)
        frames = graphs.frames(waveform, [samples])
        if frames.shape != reference.shape:
            raise WorkError(f"the {precision} graph gives {frames.shape} frames and PyTorch {reference.shape}")
        differences.append(_difference(frames, reference))
        # the embedding of one or two frames is not informative
        if samples >= SAMPLE_RATE_HZ:
            cosines.append(float(unit(graphs.embedding(frames)[0]) @ unit(embedding[0])))
    spoken = []
    for clip in clips:
        _, embedding = _reference(network, clip[None])
        spoken.append(float(unit(graphs.embed(clip)) @ unit(embedding[0])))
    parity = Parity(
        lengths_samples=lengths,
        frames_max_difference=max(differences),
        embedding_cosine_min=min(cosines),
        padding_max_difference=None if precision == "int8" else _padding_difference(graphs, shortest),
        clips=len(clips),
        clips_embedding_cosine_min=min(spoken, default=None),
    )
    _check(parity, precision)
    return parity


def _reference(network: ProtoNet, waveform: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], ...]:
    clip, lengths = torch.from_numpy(waveform), torch.tensor([waveform.shape[1]])
    with torch.inference_mode():
        return network.backbone(clip, lengths)[0].numpy(), network.embed(clip, lengths).numpy()


def _difference(found: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    return float(np.abs(found - reference).max() / max(1.0, float(np.abs(reference).max())))


def _padding_difference(graphs: Graphs, shortest: int) -> float:
    """Compare clips of unequal lengths in one batch, with noise in their padding, with each clip alone."""
    lengths = [12_345, shortest, 16_000]
    noise = np.random.default_rng(0).standard_normal((len(lengths), max(lengths))).astype(np.float32)
    clips: list[Waveform] = [voiced_waveform(length, seed) for seed, length in enumerate(lengths)]
    for row, clip in zip(noise, clips, strict=True):
        row[: len(clip)] = clip
    batch = graphs.frames(noise, lengths)
    alone = [graphs.frames(clip[None], [len(clip)])[0] for clip in clips]
    return max(_difference(row[: len(one)], one) for row, one in zip(batch, alone, strict=True))


def _check(parity: Parity, precision: Precision) -> None:
    problems = []
    cosine = min(parity.embedding_cosine_min, 1.0 if parity.clips == 0 else parity.clips_embedding_cosine_min or 0.0)
    if not cosine >= COSINE_AT_LEAST[precision]:
        problems.append(f"embedding cosine {cosine:.5f} below {COSINE_AT_LEAST[precision]}")
    if precision == "fp32" and not parity.frames_max_difference <= FP32_DIFFERENCE_AT_MOST:
        problems.append(f"frames differ by {parity.frames_max_difference:.1e}, more than {FP32_DIFFERENCE_AT_MOST:.0e}")
    if precision == "fp32" and not (parity.padding_max_difference or 0.0) <= FP32_PADDING_AT_MOST:
        problems.append(f"padding changes frames by {parity.padding_max_difference:.1e}")
    if problems:
        raise WorkError(f"the {precision} graphs do not match PyTorch ({'; '.join(problems)}): nothing was written")
