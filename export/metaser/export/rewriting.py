"""Backbones in the form that runs fastest: convolutions as matrix products, attention as one operator, no transposes.

The results are the same. The parameters are shared with the original backbone, except for the reshaped convolutions.
Parts that keep their plain form are reported.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metaser.export.products import StridedProduct
from metaser.toolkit.model.encoder import Backbone
from metaser.toolkit.model.masking import frame_mask, masked_standardise
from metaser.toolkit.model.wav2vec2 import Wav2Vec2Backbone, strided_length
from metaser.toolkit.model.whisper import WhisperBackbone

PLAIN = {
    "wavlm": "WavLM's attention, whose position bias is gated by each layer",
    "data2vec-audio": "data2vec's positional convolutions",
}
"""Parts that stay as PyTorch exports them, by model type."""


def rewritten(backbone: Backbone, *, portable: bool = False) -> Backbone:
    """The same backbone in its fast form, for inference only; a portable one keeps attention in plain operators."""
    shared = {id(tensor): tensor for tensor in chain(backbone.parameters(), backbone.buffers())}
    copied = copy.deepcopy(backbone, shared)  # new modules around the same tensors
    product, attention = FAST[copied.family]
    if not portable and copied.model_type not in PLAIN:
        for layer in copied.get_submodule("encoder.layers").children():
            setattr(layer, attention, OneOperatorAttention(getattr(layer, attention)))
    return product(copied).eval()


class ProductWav2Vec2(Wav2Vec2Backbone):
    """A wav2vec2-like backbone whose strided convolutions are matrix products over rows [B, T, C]."""

    def __init__(self, backbone: Wav2Vec2Backbone) -> None:
        super().__init__(backbone, backbone.do_normalize)
        self.layer_sum = backbone.layer_sum
        layers = list(self.feature_extractor.conv_layers)
        self.products = nn.ModuleList(StridedProduct(layer.conv) for layer in layers)
        self.norms = nn.ModuleList(getattr(layer, "layer_norm", None) or nn.Identity() for layer in layers)
        self.activations = nn.ModuleList(layer.activation for layer in layers)
        del self.feature_extractor
        positions = self.encoder.pos_conv_embed
        if hasattr(positions, "conv"):
            positions.conv = folded(positions.conv)

    def _convolve(self, clip: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] -> [B, N, C], with the number of frames of each clip."""
        x = clip[..., None]  # [B, T, 1]
        layers = zip(self.products, self.norms, self.activations, self.strides, strict=True)
        for product, norm, activation, (kernel, stride) in layers:
            x = product(x)
            lengths = strided_length(lengths, kernel, stride)
            if isinstance(norm, nn.GroupNorm):  # one channel per group: its statistics run over the clip's time
                x = masked_standardise(x, frame_mask(lengths, x.shape[1])[..., None], norm.eps, dim=1)
                x = x * norm.weight + norm.bias
            else:
                x = norm(x)
            x = activation(x)
        return x, lengths


def folded(convolution: nn.Conv1d) -> nn.Conv1d:
    """The same convolution without weight norm, which the graph would compute at every session start."""
    plain = nn.Conv1d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size[0],
        padding=int(convolution.padding[0]),
        groups=convolution.groups,
    )
    plain.weight, plain.bias = nn.Parameter(convolution.weight.detach()), convolution.bias
    return plain


class ProductWhisper(WhisperBackbone):
    """Whisper's encoder with its two convolutions as matrix products over rows."""

    def __init__(self, backbone: WhisperBackbone) -> None:
        super().__init__(backbone.encoder, backbone.do_normalize)
        self.layer_sum = backbone.layer_sum
        self.products = nn.ModuleList(StridedProduct(conv) for conv in (self.encoder.conv1, self.encoder.conv2))
        del self.encoder.conv1, self.encoder.conv2

    def _convolve(self, mel: Tensor) -> Tensor:
        """[B, mel_bins, M] -> [B, N, D]."""
        rows = mel.transpose(1, 2)  # [B, M, mel_bins]
        for product in self.products:
            rows = F.gelu(product(rows))
        return rows


class OneOperatorAttention(nn.Module):
    """The attention of a stock layer as ONNX's operator over rows [B, N, D], which needs no split into heads."""

    def __init__(self, stock: Any) -> None:
        super().__init__()
        self.heads: int = stock.num_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = stock.q_proj, stock.k_proj, stock.v_proj, stock.out_proj

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, **_: object) -> tuple[Tensor, None]:
        """[B, N, D] and a bias [B, 1, N, N] on the scores -> [B, N, D]; no weights, as the stock layers expect."""
        attended = torch.onnx.ops.attention(
            self.q_proj(hidden_states),
            self.k_proj(hidden_states),
            self.v_proj(hidden_states),
            attention_mask,
            q_num_heads=self.heads,
            kv_num_heads=self.heads,
        )[0]
        return self.out_proj(attended), None


FAST: dict[str, tuple[Any, str]] = {
    "wav2vec2": (ProductWav2Vec2, "attention"),
    "whisper": (ProductWhisper, "self_attn"),
}
"""Family -> the backbone with matrix products for convolutions, and the name of the attention in its layers."""
