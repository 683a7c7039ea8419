"""`--adapt` and `--adapt=force`: the option of `metaser enroll`, and what people are told about the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from metaser.runtime import Profile
    from metaser.runtime.profile_adaptation import Adapted

AdaptOption = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="Also tune the head on your clips, and keep that only where clips left out of it gain. "
        "--adapt=force keeps it in any case.",
    ),
]
ForceAdaptOption = Annotated[bool, typer.Option("--force-adapt", hidden=True)]
WORDS = {"--adapt=auto": "--adapt", "--adapt=force": "--force-adapt"}


class AdaptCommand(TyperCommand):
    """A command with `--adapt`, whose value may be left out; an option of click would take SUPPORT for it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `--adapt=force` as a flag of its own."""
        return super().parse_args(ctx, [WORDS.get(word, word) for word in args])


def told(adapted: Adapted) -> str:
    """A line for people."""
    if adapted.guard is None:
        return "Head tuned, without a check: a class has a single clip."
    guard = adapted.guard
    change = f"log-loss {guard.log_loss_before:.2f} -> {guard.log_loss_after:.2f} on clips left out"
    if adapted.kept and guard.gain < 0:
        return f"Head tuned as you asked, though it looks harmful: {change}."
    return f"Head tuned: {change}." if adapted.kept else f"Head left as it was, tuning does not help here: {change}."


def lost_by_change(before: Profile | None, after: Profile, adapted: Adapted | None = None) -> list[str]:
    """A line for each thing that a changed profile no longer has."""
    lines = []
    if before and before.tuned and not after.tuned and not adapted:
        lines.append("The tuned head was dropped with this change: metaser enroll --adapt tunes again.")
    if before and (lost := len(before.others) - len(after.others)):
        lines.append(f"Other speech that is not there any more: {lost} of {len(before.others)} clips.")
    return lines


def adaptation_json(adapted: Adapted | None) -> dict[str, Any] | None:
    """The same for `--json`; None where nothing was tuned."""
    if adapted is None:
        return None
    guard = adapted.guard
    return {
        "kept": adapted.kept,
        "folds": guard.folds if guard else None,
        "log_loss_before": round(guard.log_loss_before, 4) if guard else None,
        "log_loss_after": round(guard.log_loss_after, 4) if guard else None,
    }
