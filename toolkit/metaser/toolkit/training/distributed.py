"""One run on several processes: shared sums, through Accelerate over torch.distributed.

With one process every function here returns its input.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import reduce  # type: ignore[import-untyped]
from torch import Tensor, nn

from metaser.runtime.errors import InputError, MissingDependencyError


class Processes:
    """The processes of a run; `accelerate launch` starts them, otherwise there is one.

    Raises:
        InputError: the device is neither auto nor a CPU or CUDA device.
        MissingDependencyError: there is no such CUDA device.
    """

    def __init__(self, device: str) -> None:
        wanted = choose_device(device)
        state = PartialState(cpu=wanted.type == "cpu")
        self.count: int = state.num_processes
        self.rank: int = state.process_index
        self.device: torch.device = wanted if self.count == 1 else state.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def own(self, items: range) -> range:
        """This process's share: every `count`-th of a step's episodes or a validation's batches."""
        return items[self.rank :: self.count]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes."""
        if self.count == 1:
            return tensor
        return reduce(tensor, "sum")

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients of all processes."""
        if self.count > 1:
            for parameter in parameters:
                own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                parameter.grad = self.sum(own)

    def wait(self) -> None:
        """Wait for all processes.

        A sum on the run's own device, because Accelerate waits on a GPU even if the processes compute on CPUs.
        """
        self.sum(torch.zeros((), device=self.device)).item()


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N`, checked."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device is {name!r}: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MissingDependencyError(
            f"device is {name!r} and PyTorch sees {torch.cuda.device_count()} CUDA devices: check the driver and the "
            "PyTorch build, or use device 'cpu'"
        )
    return device
