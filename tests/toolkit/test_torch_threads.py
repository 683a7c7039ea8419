"""PyTorch uses at most as many threads as the process may, unless a number is set."""

import os
from collections.abc import Iterator

import pytest
import torch

from metaser.toolkit.torch_threads import set_threads


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """The number of threads is the whole process's."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_pytorch_takes_no_more_threads_than_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    torch.set_num_threads(2)
    set_threads()
    assert torch.get_num_threads() == 1
    set_threads(2)
    assert torch.get_num_threads() == 2


def test_fewer_threads_than_cores_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    torch.set_num_threads(1)
    set_threads()
    assert torch.get_num_threads() == 1
