"""The heads, prototypes and logits against values worked out by hand."""

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metaser.runtime.errors import InputError
from metaser.toolkit.model.network import (
    GLU,
    HEADS,
    LateralInhibition,
    MeanFC,
    ProtoNet,
    cosine_logits,
    frame_mask,
    identity_head,
    make_head,
    prototypes,
    surrogate_step,
)

if TYPE_CHECKING:
    from tests.toolkit.conftest import Pretrained

FRAMES = torch.tensor([[[1.0, 2.0], [3.0, -4.0], [100.0, 100.0]]])  # [1, 3, 2], the last one masked
MASK = torch.tensor([[1.0, 1.0, 0.0]])


def set_linear(linear: torch.nn.Linear, weight: list[list[float]], bias: list[float]) -> None:
    linear.weight.data = torch.tensor(weight)
    linear.bias.data = torch.tensor(bias)


def test_mean_fc_is_the_linear_layer_of_the_masked_mean() -> None:
    head = MeanFC(2, 3)
    set_linear(head.projection, [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.0, 10.0])
    # the mean of (1, 2) and (3, -4) is (2, -1)
    assert head(FRAMES, MASK).tolist() == [[2.0, -1.0, 11.0]]


def test_lateral_inhibition_lets_the_other_features_switch_each_feature() -> None:
    head = LateralInhibition(2, 2)
    set_linear(head.projection, [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    set_linear(head.inhibition, [[50.0, 1.0], [1.0, 50.0]], [0.0, -2.0])  # 50 is on the diagonal and does not count
    # (1, 2): z = (2, 1 - 2) -> gates 1, 0 -> (1, 0);  (3, -4): z = (-4, 3 - 2) -> gates 0, 1 -> (0, -4)
    assert head(FRAMES, MASK).tolist() == [[0.5, -2.0]]


def test_the_diagonal_of_lateral_inhibition_is_never_trained() -> None:
    head = LateralInhibition(2, 2)
    head(FRAMES, MASK).sum().backward()
    gradient = head.inhibition.weight.grad
    assert gradient is not None
    assert gradient.diagonal().tolist() == [0.0, 0.0]


def test_glu_is_the_mean_of_the_gated_frames() -> None:
    head = GLU(2, 1)
    set_linear(head.value, [[1.0, 1.0]], [0.0])
    set_linear(head.gate, [[0.0, 0.0]], [0.0])  # sigmoid(0) = 1/2
    # 1 + 2 = 3 and 3 - 4 = -1, halved: 1.5 and -0.5
    assert head(FRAMES, MASK).tolist() == [[0.5]]
    set_linear(head.gate, [[1.0, 0.0]], [-2.0])  # gates sigmoid(-1) and sigmoid(1)
    expected = (3 * torch.sigmoid(torch.tensor(-1.0)) - torch.sigmoid(torch.tensor(1.0))) / 2
    torch.testing.assert_close(head(FRAMES, MASK)[0, 0], expected)


@pytest.mark.parametrize("kind", HEADS)
def test_masked_frames_do_not_matter_and_a_clip_without_frames_gives_zeros(kind: str) -> None:
    torch.manual_seed(1)
    head = make_head(kind, 2, 4)
    cut = head(FRAMES[:, :2], MASK[:, :2])
    torch.testing.assert_close(head(FRAMES, MASK), cut)
    assert cut.abs().max() > 0
    assert (head(FRAMES, torch.zeros(1, 3)) == 0).all()


@pytest.mark.parametrize("kind", HEADS)
def test_every_head_has_its_sizes_and_a_learnable_scale_of_ten(kind: str) -> None:
    head = make_head(kind, 6, 4)
    assert head(torch.ones(2, 5, 6), torch.ones(2, 5)).shape == (2, 4)
    assert head.scale.requires_grad
    assert dict(head.named_parameters())["scale"].item() == 10.0


def test_the_step_is_zero_at_zero_and_exact_everywhere() -> None:
    z = torch.tensor([-1e9, -0.3, -1e-9, 0.0, 1e-9, 0.3, 1e9])
    assert surrogate_step(z).tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


@settings(deadline=None)
@given(z=st.floats(-3, 3))
def test_the_surrogate_gradient_is_the_product_of_two_sigmoids(z: float) -> None:
    point = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(surrogate_step(point), point)
    expected = 1 / (1 + torch.exp(torch.tensor(-10 * z, dtype=torch.float64)))
    torch.testing.assert_close(gradient, expected * (1 - expected))


def test_the_identity_head_gives_the_mean_frame() -> None:
    assert identity_head(2)(FRAMES, MASK).tolist() == [[2.0, -1.0]]


def test_an_unknown_head_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'max' is not known; known are mean-fc, lateral-inhibition, glu"):
        make_head("max", 2)


def test_frame_mask_counts_frames_from_the_start() -> None:
    assert frame_mask(torch.tensor([0, 2, 3]), 3).tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_prototypes_are_normalised_after_the_mean() -> None:
    embeddings = torch.tensor([[8.0, 0.0], [0.0, 6.0], [0.0, -2.0]])
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    # the mean (4, 3) has length 5; normalised before, it would be (1, 1) / sqrt(2)
    torch.testing.assert_close(prototypes(embeddings, weights), torch.tensor([[0.8, 0.6], [0.0, -1.0]]))


def test_logits_are_scaled_cosines() -> None:
    queries = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    classes = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    logits = cosine_logits(queries, classes, torch.tensor(10.0))
    torch.testing.assert_close(logits, torch.tensor([[6.0, -8.0], [0.0, 0.0]]))


def clips(count: int) -> tuple[Tensor, Tensor]:
    return torch.randn(count, 1_500), torch.arange(1_500, 1_500 - 100 * count, -100)


def test_an_episode_goes_from_clips_to_logits(network: ProtoNet) -> None:
    support, query = clips(4), clips(3)
    weights = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    logits = network(support, query, weights)
    expected = torch.stack([network.embed(*support)[:2].mean(0), network.embed(*support)[2:].mean(0)])
    cosines = torch.cosine_similarity(network.embed(*query)[:, None], expected[None], dim=-1)
    torch.testing.assert_close(logits, 10 * cosines)


def test_the_loss_of_an_episode_reaches_head_scale_and_backbone(network: ProtoNet) -> None:
    logits = network(clips(2), clips(2), torch.eye(2))
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 0])).backward()
    for parameter in (network.head.scale, *network.head.parameters(), *network.backbone.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert network.head.scale.grad != 0


def test_a_head_of_another_width_is_refused(wav2vec2: "Pretrained") -> None:
    with pytest.raises(InputError, match="width 16, the backbone gives 32"):
        ProtoNet(wav2vec2.loaded, make_head("glu", 16))
