"""The result of `metaser enroll --tune` as text and JSON, and what a changed profile lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaser.cli.view.console import percent

if TYPE_CHECKING:
    from metaser.runtime import Profile
    from metaser.runtime.enrolment.tune import TunedProfile


def tuning_line(tuned: TunedProfile) -> str:
    """The result as one line of text."""
    if tuned.guard is None:
        return "Head tuned, without a check: a class has a single clip."
    guard = tuned.guard
    change = f"log-loss {guard.log_loss_before:.2f} -> {guard.log_loss_after:.2f} on held-out clips"
    if tuned.kept and guard.gain < 0:
        return f"Head tuned as requested, although held-out clips got worse: {change}."
    if tuned.kept:
        return f"Head tuned: {change}."
    least = f"{change}; a head is kept if this falls by {percent(guard.margin)} or more"
    return f"Head not tuned, because it {'helps too little' if guard.gain > 0 else 'does not help'} here: {least}."


def tuning_json(tuned: TunedProfile | None) -> dict[str, Any] | None:
    """The result for `--json`; None if nothing was tuned."""
    if tuned is None:
        return None
    guard = tuned.guard
    return {
        "kept": tuned.kept,
        "folds": guard.folds if guard else None,
        "log_loss_before": round(guard.log_loss_before, 4) if guard else None,
        "log_loss_after": round(guard.log_loss_after, 4) if guard else None,
    }


def lost_by_change(before: Profile | None, after: Profile, tuned: TunedProfile | None = None) -> list[str]:
    """One line per thing that a changed profile no longer has."""
    from metaser.runtime.system.command_line import command_line

    lines = []
    if before and before.tuned and not after.tuned and not tuned:
        lines.append(f"This change dropped the tuned head; to tune again: {command_line('enroll --tune auto')}")
    wanted = before.reliability.wanted_false_accepts if before else None
    if wanted is not None and after.reliability.wanted_false_accepts is None:
        again = command_line(f"calibrate --false-accepts {wanted:g}")
        lines.append(f"The limit of {percent(wanted)} false accepts was dropped; to set it again: {again}")
    if before and (lost := len(before.others) - len(after.others)):
        lines.append(f"Background clips dropped: {lost} of {len(before.others)}.")
    return lines
