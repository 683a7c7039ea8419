"""Base class of every backbone: the first L layers of a pre-trained speech encoder, waveform in, frames out.

The modules and their names are those of transformers; only the order of calls is metaser's, so that every clip of a
padded batch gives the same frames as alone.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PreTrainedConfig

from metaser.toolkit.model.layer_sum import WeightedSum


@dataclass(frozen=True)
class MaskedPart:
    """The tensor that SpecAugment masks: the output of a module, [B, N, D] or, with frequencies, [B, F, M]."""

    module: nn.Module
    hop_samples: int
    has_frequencies: bool


class Backbone(nn.Module):
    """Waveform [B, T] float32 at 16 kHz, lengths [B] int64 -> frames [B, N, D], frame_lengths [B] int64.

    Frames are transformers' `hidden_states[L]` of each clip alone, before any final norm. With a `layer_sum` they are
    that sum over `hidden_states[0 ... L]`. Padded frames are exactly 0.
    In train mode dropout is active, as configured; transformers' own SpecAugment and LayerDrop are never active.
    `strides` holds kernel and stride of each convolution between samples and frames.
    """

    family: ClassVar[str]
    """'wav2vec2' (raw waveform) or 'whisper' (log-mel inside)."""

    depth_field: ClassVar[str]
    """The field of the transformers configuration that counts the layers."""

    described_fields: ClassVar[tuple[str, ...]]
    """The other fields of the transformers configuration that the modules depend on."""

    is_divisible: ClassVar[bool] = False
    """Whether `listen` and `attend` run separately, so that layers can start from stored frames or a subset of them."""

    def __init__(self, config: PreTrainedConfig, strides: list[tuple[int, int]], do_normalize: bool) -> None:
        super().__init__()
        self.config = config
        self.model_type: str = config.model_type
        self.width: int = config.hidden_size
        self.layers: int = getattr(config, self.depth_field)
        self.do_normalize = do_normalize
        self.strides = strides
        self.hop_samples = math.prod(stride for _, stride in strides)
        self.receptive_field_samples = receptive_field(strides)
        self.layer_sum: WeightedSum | None = None

    @property
    def max_samples(self) -> int | None:
        """Longest supported clip; None: no limit."""
        return None

    @property
    def front_end(self) -> tuple[nn.Module, ...]:
        """The modules before the first layer that are frozen together, such as convolutions."""
        raise NotImplementedError

    @property
    def masked_part(self) -> MaskedPart:
        """The tensor that SpecAugment masks."""
        raise NotImplementedError

    def limited_to(self, max_samples: int) -> "Backbone":  # noqa: ARG002 # a family may need none
        """The backbone without the parts that only longer clips need."""
        return self

    def keep_float32(self) -> None:
        """Exempt the parts that need the range of float32 from autocast."""

    def listen(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] and [B] -> the input of the first layer, [B, N, D], and the number of frames of each clip, [B]."""
        raise NotImplementedError

    def attend(
        self, frames: Tensor, frame_lengths: Tensor, start: int = 0, stop: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run layers `start` to `stop` - 1: the input of the first one, or some of its frames -> [B, N, D] and [B]."""
        raise NotImplementedError

    def combine(self, states: Iterable[Tensor]) -> Tensor:
        """The input of the first layer and the output of each layer, [B, N, D] -> frames [B, N, D]."""
        if self.layer_sum is not None:
            return self.layer_sum(states)
        return deque(states, maxlen=1).pop()

    def description(self) -> dict[str, Any]:
        """The input of `build_backbone` for this backbone, without weights; JSON, without paths."""
        fields = {name: getattr(self.config, name) for name in self.described_fields if hasattr(self.config, name)}
        summed = {"weighted_sum": True} if self.layer_sum is not None else {}
        return {
            "model_type": self.model_type,
            "layers": self.layers,
            "do_normalize": self.do_normalize,
            **summed,
            "config": {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()},
        }


def receptive_field(strides: list[tuple[int, int]]) -> int:
    """Receptive field in samples of convolutions with these kernels and strides."""
    samples, hop = 1, 1
    for kernel, stride in strides:
        samples += (kernel - 1) * hop
        hop *= stride
    return samples
