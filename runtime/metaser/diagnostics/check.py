"""The result of one check of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """The result of a check."""

    fine = "fine"
    notice = "notice"
    """Matters only for some uses, or could be better."""

    problem = "problem"
    """Must be fixed before metaser works reliably."""


@dataclass(frozen=True)
class Check:
    """One check and its result."""

    name: str
    state: State
    found: str
    fix: str | None = None
    """The command or advice that fixes it."""
