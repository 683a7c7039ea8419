"""Whisper's encoder from the waveform, for clips of any length, unaffected by padding."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from metaser.runtime.errors import InputError
from metaser.toolkit.model.encoder import Backbone, MaskedPart
from metaser.toolkit.model.logmel import HOP_SAMPLES, STEP_SAMPLES, WINDOW_SAMPLES, LogMel, encoder_steps
from metaser.toolkit.model.masking import attention_bias, frame_mask


class WhisperBackbone(Backbone):
    """The encoder of Whisper for clips of any length up to 30 s, including the log-mel."""

    family = "whisper"
    depth_field = "encoder_layers"
    described_fields = (
        *("d_model", "encoder_attention_heads", "encoder_ffn_dim", "activation_function"),
        *("num_mel_bins", "max_source_positions", "dropout", "attention_dropout", "activation_dropout"),
    )

    is_divisible = True

    def __init__(self, encoder: Any, do_normalize: bool = False) -> None:
        convolutions = [(conv.kernel_size[0], conv.stride[0]) for conv in (encoder.conv1, encoder.conv2)]
        super().__init__(encoder.config, [(WINDOW_SAMPLES, HOP_SAMPLES), *convolutions], do_normalize)
        self.encoder = encoder
        self.encoder.layer_norm = nn.Identity()  # the final norm, after hidden_states[L]
        self.log_mel = LogMel(encoder.config.num_mel_bins)

    @property
    def max_samples(self) -> int:
        """Longest clip that its positions cover."""
        positions: int = self.config.max_source_positions
        return positions * STEP_SAMPLES

    @property
    def front_end(self) -> tuple[nn.Module, ...]:
        """The convolutions and the fixed positions."""
        return self.encoder.conv1, self.encoder.conv2, self.encoder.embed_positions

    @property
    def masked_part(self) -> MaskedPart:
        """The log-mel."""
        return MaskedPart(self.log_mel, HOP_SAMPLES, has_frequencies=True)

    def limited_to(self, max_samples: int) -> "WhisperBackbone":
        """A copy without the later positions."""
        shorter = copy.deepcopy(self)
        embedding = shorter.encoder.embed_positions
        frames = -(-max_samples // shorter.hop_samples)
        embedding.weight = nn.Parameter(embedding.weight[:frames].detach().clone(), requires_grad=False)
        return shorter

    def keep_float32(self) -> None:
        """The log-mel: its powers exceed the range of half precision."""
        self.log_mel.keeps_float32 = True

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] and [B] -> [B, N, D] and [B], N = ceil(T / 320)."""
        return self.attend(*self.listen(waveform, lengths))

    def listen(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] and [B] -> the input of the first layer, [B, N, D], and the number of frames of each clip, [B]."""
        if waveform.shape[1] > self.max_samples:
            raise InputError(
                f"whisper takes {self.max_samples} samples at most, got {waveform.shape[1]}; split the clip"
            )
        mel = self.log_mel(waveform, lengths)  # [B, mel_bins, M], 0 beyond a clip as conv1's padding is
        frames = self._convolve(mel)  # [B, N, D]
        frames = frames + self.encoder.embed_positions.weight[: frames.shape[1]]
        return F.dropout(frames, p=self.config.dropout, training=self.training), encoder_steps(lengths)

    def attend(
        self, frames: Tensor, frame_lengths: Tensor, start: int = 0, stop: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run layers `start` to `stop` - 1: the input of the first one, or some of its frames -> [B, N, D] and [B]."""
        mask = frame_mask(frame_lengths, frames.shape[1])  # [B, N]
        states = self._states(frames, attention_bias(mask), self.encoder.layers[start:stop])
        return self.combine(states) * mask[..., None], frame_lengths

    def _convolve(self, mel: Tensor) -> Tensor:
        """[B, mel_bins, M] -> [B, N, D]; M_i is even, so the last step of conv2 ends within the clip."""
        x = F.gelu(self.encoder.conv1(mel))  # [B, D, M]
        return F.gelu(self.encoder.conv2(x)).transpose(1, 2).contiguous()  # plain strides export

    def _states(self, frames: Tensor, bias: Tensor, layers: Iterable[nn.Module]) -> Iterator[Tensor]:
        """[B, N, D] -> the input, then the output of each layer, [B, N, D]."""
        yield frames
        for layer in layers:
            frames = layer(frames, attention_mask=bias)
            yield frames
