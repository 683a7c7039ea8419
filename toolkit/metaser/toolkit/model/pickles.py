"""Read PyTorch's files without running their code, and raise one error for anything wrong with them."""

import struct
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch

from metaser.runtime.errors import InputError, NotFoundError

DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, OSError,
    RuntimeError, TypeError, UnpicklingError, ValueError, struct.error,
)  # fmt: skip
"""Exceptions of torch's readers for damaged files; the kind depends on the place of the damage."""


def load_pickle(path: Path, what: str, *, mapped: bool = False) -> dict[Any, Any]:
    """Read the dictionary in a file of `torch.save`; `what` describes the expected file for messages.

    Parameters
    ----------
    mapped : tensors stay in the file until they are used, if its format allows that

    Raises
    ------
    NotFoundError
        there is no such file
    InputError
        it is damaged, holds something else, or needs to run code
    """
    if not path.exists():
        raise NotFoundError(f"no {path.name} in {path.parent}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an unusual protocol: unreadable files raise anyway
            # files that are not archives, written by PyTorch before 1.6, cannot be mapped into memory
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped and is_zipfile(path))
    except DAMAGED as error:
        raise InputError(f"{path} is damaged or not {what}: {_reason(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__} and is not {what}")
    return content


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0]
