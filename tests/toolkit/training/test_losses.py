"""The losses of an episode, against values worked by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from metaser.toolkit.training.batches import EpisodeBatch
from metaser.toolkit.training.losses import LabelClassifier, distillation_loss, mean_weights, prototype_loss

SCALE = torch.tensor(10.0)


def batch(targets: list[int], shots: int, n_way: int = 2) -> EpisodeBatch:
    clips = n_way * shots + len(targets)
    return EpisodeBatch(
        0,
        torch.zeros(clips, 1),
        torch.ones(clips, dtype=torch.int64),
        torch.eye(n_way).repeat_interleave(shots, 1) / shots,
        torch.arange(n_way).repeat_interleave(shots),
        torch.tensor(targets),
        torch.zeros(clips, dtype=torch.int64),
        torch.zeros(clips, dtype=torch.int64),
        torch.arange(clips),
    )


def cross_entropy(cosines: list[float], target: int) -> float:
    logits = 10 * np.array(cosines)
    return float(np.log(np.exp(logits).sum()) - logits[target])


def embeddings() -> Tensor:
    """Supports at 0 and 90 degrees; queries of class 0 at 0 and of class 1 at 53.1 degrees, of any length."""
    return torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 0.0], [3.0, 4.0]])


def test_queries_are_classified_by_the_prototypes_of_the_support() -> None:
    loss, accuracy = prototype_loss(embeddings(), batch([0, 1], 1), SCALE, symmetric_loss=False)
    assert float(loss) == pytest.approx((cross_entropy([1, 0], 0) + cross_entropy([0.6, 0.8], 1)) / 2, rel=1e-5)
    assert float(accuracy) == 1


def test_both_ways_is_the_mean_of_the_two_directions() -> None:
    one, _ = prototype_loss(embeddings(), batch([0, 1], 1), SCALE, symmetric_loss=False)
    back = (cross_entropy([1, 0.6], 0) + cross_entropy([0, 0.8], 1)) / 2
    loss, _ = prototype_loss(embeddings(), batch([0, 1], 1), SCALE, symmetric_loss=True)
    assert float(loss) == pytest.approx((float(one) + back) / 2, rel=1e-5)


def test_both_ways_changes_nothing_where_support_and_queries_are_alike() -> None:
    alike = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    one, _ = prototype_loss(alike, batch([0, 0, 1, 1], 2), SCALE, symmetric_loss=False)
    both, _ = prototype_loss(alike, batch([0, 0, 1, 1], 2), SCALE, symmetric_loss=True)
    assert float(both) == pytest.approx(float(one), rel=1e-6)


def test_queries_of_unequal_number_have_equal_weight_within_their_class() -> None:
    assert mean_weights(torch.tensor([0, 1, 1, 1])).tolist() == [[1, 0, 0, 0], pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])]


def test_labels_are_classified_by_direction_and_not_by_length() -> None:
    classifier = LabelClassifier(3, 5, 10.0)
    vectors = torch.randn(4, 3)
    assert torch.allclose(classifier(vectors), classifier(7 * vectors), atol=1e-5)
    assert float(classifier(3 * classifier.directions).diagonal().detach().min()) == pytest.approx(10, abs=1e-4)


def test_the_loss_to_teachers_is_one_minus_the_mean_cosine() -> None:
    wanted = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert float(distillation_loss(torch.tensor([[3.0, 0.0], [1.0, 0.0]]), wanted)) == pytest.approx(0.5)  # 1 and 0
