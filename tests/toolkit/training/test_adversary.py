"""Domain-adversarial training: the sign of the gradient, the schedule, and the effect on embeddings."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from metaser.runtime.errors import InputError
from metaser.toolkit.config import AdversaryConfig
from metaser.toolkit.data.utterances import Utterance
from metaser.toolkit.training.adversary import Discriminator, GradientReversal, domains_of, reversal_strength


def clip(corpus: str, language: str = "en") -> Utterance:
    return Utterance(Path("a.wav"), "joy", "1", language, corpus, "joy")


def test_reversal_changes_no_value_and_turns_the_gradient_round() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    y = GradientReversal.apply(x, 0.3)  # type: ignore[no-untyped-call]
    assert torch.equal(y, x)
    gradient = torch.randn(4, 3)
    y.backward(gradient)
    torch.testing.assert_close(x.grad, -0.3 * gradient)


def test_the_discriminator_learns_what_the_embeddings_unlearn() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(6, 2, 16)
    embeddings = torch.randn(8, 6, requires_grad=True)
    domains = torch.tensor([0, 1] * 4)
    F.cross_entropy(discriminator(embeddings, 1.0), domains).backward()
    plain = embeddings.detach().requires_grad_()
    direction = F.normalize(plain, dim=-1) * 6**0.5
    loss = F.cross_entropy(discriminator.output(F.relu(discriminator.hidden(direction))), domains)
    expected = torch.autograd.grad(loss, [plain, discriminator.hidden.weight])
    torch.testing.assert_close(embeddings.grad, -expected[0])
    torch.testing.assert_close(discriminator.hidden.weight.grad, expected[1])


def test_the_length_of_an_embedding_tells_the_discriminator_nothing() -> None:
    torch.manual_seed(0)
    discriminator, embeddings = Discriminator(6, 2, 16), torch.randn(8, 6)
    torch.testing.assert_close(discriminator(embeddings, 1.0), discriminator(5 * embeddings, 1.0))


def test_the_strength_follows_its_schedule() -> None:
    dann = AdversaryConfig(weight=0.5)
    assert reversal_strength(dann, 0.0) == 0
    assert reversal_strength(dann, 0.1) == pytest.approx(0.5 * (2 / (1 + math.exp(-1)) - 1))
    assert reversal_strength(dann, 1.0) == pytest.approx(0.5, abs=1e-4)
    assert reversal_strength(AdversaryConfig(weight=0.5, schedule="constant"), 0.0) == 0.5


def test_domains_are_sorted_and_at_least_two() -> None:
    clips = [clip("b", "de"), clip("a", "en"), clip("b", "de")]
    assert domains_of(clips, AdversaryConfig()) == ()
    assert domains_of(clips, AdversaryConfig(on="corpus")) == ("a", "b")
    assert domains_of(clips, AdversaryConfig(on="language")) == ("de", "en")
    with pytest.raises(InputError, match="all clips are of a"):
        domains_of([clip("a")], AdversaryConfig(on="corpus"))
    with pytest.raises(InputError, match="1 clips have none"):
        domains_of([clip("a"), clip("b", "")], AdversaryConfig(on="language"))
