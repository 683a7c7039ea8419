"""The fast form of a backbone: what stays and what changes."""

from typing import Any

import torch

from metaser.export.rewriting import rewritten


def test_weights_are_shared_and_the_backbone_stays_as_it_was(pretrained: Any) -> None:
    backbone = pretrained.backbone(2)
    names, clip, lengths = set(backbone.state_dict()), torch.randn(1, 4_000), torch.tensor([4_000])
    with torch.no_grad():
        before = backbone(clip, lengths)[0]
        fast = rewritten(backbone)
        torch.testing.assert_close(fast(clip, lengths)[0], before, atol=2e-5, rtol=0)
        torch.testing.assert_close(backbone(clip, lengths)[0], before, atol=0, rtol=0)
    assert set(backbone.state_dict()) == names
    shared = {tensor.data_ptr() for tensor in backbone.parameters()} & {
        tensor.data_ptr() for tensor in fast.parameters()
    }
    assert len(shared) >= len(list(backbone.encoder.parameters())) - 6


def test_no_convolution_is_left_in_the_front_end(graph: Any) -> None:
    weights = {tensor.name for tensor in graph.graph.initializer}
    convolutions = [node.input[1] for node in graph.graph.node if node.op_type == "Conv"]
    assert all("pos_conv" in name or "fourier" in name or name.startswith("val_") for name in convolutions)
    assert {f"backbone.products.{index}.weight" for index in range(2)} <= weights


def test_normalised_weights_are_folded(wav2vec2: Any) -> None:
    names = set(rewritten(wav2vec2.backbone(1)).state_dict())
    assert "encoder.pos_conv_embed.conv.weight" in names
    assert not any("parametrizations" in name for name in names)
