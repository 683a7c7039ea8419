"""Wav2Vec2 and related encoders, unaffected by padding: the order of calls around transformers' modules."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from metaser.runtime.errors import InputError
from metaser.toolkit.model.encoder import Backbone, MaskedPart
from metaser.toolkit.model.masking import attention_bias, frame_mask, masked_standardise

INPUT_EPS = 1e-7
"""The value that transformers' feature extractor adds to a clip's variance."""


class Wav2Vec2Backbone(Backbone):
    """Wav2Vec2, XLS-R, HuBERT, WavLM and data2vec-audio: strided convolutions, positions, transformer layers."""

    family = "wav2vec2"
    depth_field = "num_hidden_layers"
    described_fields = (
        *("hidden_size", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps"),
        *("conv_dim", "conv_kernel", "conv_stride", "conv_bias", "feat_extract_norm", "feat_extract_activation"),
        *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "do_stable_layer_norm", "adapter_attn_dim"),
        *("feat_proj_layer_norm", "conv_pos_batch_norm"),  # HuBERT
        *("num_buckets", "max_bucket_distance"),  # WavLM
        "conv_pos_kernel_size",  # data2vec
        *("hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout"),
    )

    def __init__(self, model: Any, do_normalize: bool) -> None:
        config = model.config
        strides = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        super().__init__(config, strides, do_normalize)
        self.feature_extractor = model.feature_extractor
        self.feature_projection = model.feature_projection
        self.encoder = model.encoder
        if getattr(config, "do_stable_layer_norm", False):
            self.encoder.layer_norm = nn.Identity()  # in these encoders it is the final norm, after hidden_states[L]
        if self.model_type == "wavlm":
            for layer in self.encoder.layers:
                layer.attention.__class__ = PaddedWavLMAttention

    @property
    def front_end(self) -> tuple[nn.Module, ...]:
        """The convolutions."""
        return (self.feature_extractor,)

    @property
    def masked_part(self) -> MaskedPart:
        """The projected features."""
        return MaskedPart(self.feature_projection, self.hop_samples, has_frequencies=False)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] and [B] -> [B, N, D] and [B]; clips shorter than the receptive field have no frame."""
        if waveform.shape[1] < self.receptive_field_samples:
            needed = self.receptive_field_samples
            raise InputError(f"{self.model_type} needs {needed} samples or more, got {waveform.shape[1]}; add zeros")
        valid = frame_mask(lengths, waveform.shape[1])  # [B, T]
        clip = waveform.masked_fill(valid == 0, 0.0)
        if self.do_normalize:
            clip = masked_standardise(clip, valid, INPUT_EPS)
        features, frame_lengths = self._convolve(clip, lengths)  # [B, N, C]
        projected = self.feature_projection(features)  # [B, N, D]
        if isinstance(projected, tuple):  # all but HuBERT also return the normalised features
            projected = projected[0]
        mask = frame_mask(frame_lengths, projected.shape[1])  # [B, N]
        frames = projected * mask[..., None]
        frames = frames + self._positions(frames.transpose(1, 2), mask[:, None]).transpose(1, 2)
        frames = self.encoder.dropout(self.encoder.layer_norm(frames))
        frames = self.combine(self._attend(frames, attention_bias(mask)))
        return frames * mask[..., None], frame_lengths

    def _convolve(self, clip: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] -> [B, N, C], with the number of frames of each clip."""
        x = clip[:, None]  # [B, 1, T]
        for layer, (kernel, stride) in zip(self.feature_extractor.conv_layers, self.strides, strict=True):
            lengths = strided_length(lengths, kernel, stride)
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):  # one channel per group: its statistics run over the clip's time
                x = layer.conv(x)
                x = masked_standardise(x, frame_mask(lengths, x.shape[2])[:, None], norm.eps)
                x = layer.activation(x * norm.weight[:, None] + norm.bias[:, None])
            else:
                x = layer(x)
        return x.transpose(1, 2), lengths

    def _positions(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, D, N] -> [B, D, N]; each convolution sees zeros beyond the clip, as with the clip alone."""
        embedding = self.encoder.pos_conv_embed
        if self.model_type == "data2vec-audio":
            for layer in embedding.layers:
                x = layer(x) * mask
            return x
        if getattr(embedding, "batch_norm", None) is not None:
            x = embedding.batch_norm(x) * mask
        return embedding.activation(embedding.padding(embedding.conv(x)))

    def _attend(self, frames: Tensor, bias: Tensor) -> Iterator[Tensor]:
        """[B, N, D] -> itself, then the output of each transformer layer, [B, N, D]."""
        yield frames
        positions = None  # of WavLM: computed by the first layer, gated again by each layer
        for layer in self.encoder.layers:
            if self.model_type == "wavlm":
                frames, positions = layer(frames, attention_mask=bias, position_bias=positions)
            else:
                frames = layer(frames, attention_mask=bias)
            yield frames


class PaddedWavLMAttention(WavLMAttention):
    """WavLM's attention with an additive padding mask and torch's fused product.

    The stock module mixes a boolean padding mask with a float bias. Torch deprecates that, and it gives NaN for a clip
    without frames. It also repeats the position bias for each clip, and folds the heads into the batch; PyTorch 2.11
    cannot export that for any length.
    """

    def split(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, heads, N, D / heads]."""
        return x.view(x.shape[0], x.shape[1], self.num_heads, -1).transpose(1, 2)

    def forward(  # type: ignore[override]  # a position bias without a batch
        self, hidden_states: Tensor, attention_mask: Tensor, position_bias: Tensor | None = None, **_: object
    ) -> tuple[Tensor, None, Tensor]:
        """[B, N, D], [B, 1, N, N] and [heads, N, N] or None -> [B, N, D], no attention weights, [heads, N, N]."""
        batch, n, _dimension = hidden_states.shape
        if position_bias is None:  # in the first layer
            position_bias = self.compute_bias(n, n)
        projected = self.gru_rel_pos_linear(self.split(hidden_states))  # [B, heads, N, 8]
        gate, gate_of_gate = torch.sigmoid(projected.unflatten(-1, (2, 4)).sum(-1)).chunk(2, dim=-1)
        gate = gate * (gate_of_gate * self.gru_rel_pos_const - 1) + 2  # [B, heads, N, 1]
        attended = F.scaled_dot_product_attention(
            self.split(self.q_proj(hidden_states)),
            self.split(self.k_proj(hidden_states)),
            self.split(self.v_proj(hidden_states)),
            attn_mask=gate * position_bias + attention_mask,
            dropout_p=self.dropout if self.training else 0.0,
        )  # [B, heads, N, D / heads]
        # a clone, because the ONNX exporter drops .contiguous() here and then fails on the view
        rows = attended.transpose(1, 2).clone(memory_format=torch.contiguous_format)
        return self.out_proj(rows.view(batch, n, -1)), None, position_bias


def strided_length(lengths: Tensor, kernel: int, stride: int) -> Tensor:
    """[B] -> [B], the number of outputs of an unpadded convolution; 0 if the input is shorter than the kernel."""
    return torch.div((lengths - kernel + stride).clamp(min=0), stride, rounding_mode="floor")
