"""Commands of metaser in messages: they name the profile that was used, because without it they change another."""

from __future__ import annotations

from contextvars import ContextVar

_profile_option: ContextVar[str] = ContextVar("profile_option", default="")


def use_profile_option(option: str) -> None:
    """Set what is added to each command in a message: nothing, or ` --profile FILE` as it is typed."""
    _profile_option.set(option)


def command_line(words: str) -> str:
    """`metaser WORDS`, with the option that names the profile if one was given to this command."""
    return f"metaser {words}{_profile_option.get()}"
