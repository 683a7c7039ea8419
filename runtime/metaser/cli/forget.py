"""`metaser forget`: delete a profile and everything kept of it."""

from typing import Annotated

import typer

from metaser.cli.console import can_ask, people, plain
from metaser.cli.options import ProfileOption, profile_path


def forget(
    profile: ProfileOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the profile and the copy kept for undo.

    Nothing of the clips remains in metaser afterwards. The clips themselves are not touched.
    """
    from metaser.runtime import InputError
    from metaser.runtime import forget as delete
    from metaser.runtime.profile import undo_path

    path = profile_path(profile)
    if not yes and (path.is_file() or undo_path(path).is_file()):
        if not can_ask():
            raise InputError(f"nobody can be asked here: metaser forget --yes deletes {path} without a question")
        if not typer.confirm(f"Delete the profile {plain(path)} and its undo copy?"):
            people(as_json=False).say("Nothing was deleted.")
            return
    for file in delete(path):
        people(as_json=False).say(f"Deleted {file}")
