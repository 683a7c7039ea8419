"""`metaser forget`: delete a profile and everything kept of it."""

import os
from typing import Annotated

import typer

from metaser.cli.options import ProfileOption, profile_path
from metaser.cli.view.console import can_ask, plain
from metaser.cli.view.terminal import console_for


def forget(
    profile: ProfileOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the profile and the copy kept for undo.

    Nothing of the clips remains in metaser afterwards. The clips themselves are not touched. If the profile is a link,
    the file that it leads to is deleted with it.
    """
    from metaser.runtime import InputError
    from metaser.runtime import forget as delete
    from metaser.runtime.enrolment.profile_file import check_is_profile, undo_path
    from metaser.runtime.system.files import behind_links

    path = profile_path(profile)
    check_is_profile(behind_links(path))
    if not yes and (path.is_file() or undo_path(path).is_file()):
        if not can_ask():
            raise InputError(f"nobody can be asked here: metaser forget --yes deletes {path} without a question")
        if not typer.confirm(f"Delete the profile {plain(path)} and its undo copy?"):
            console_for(as_json=False).print_line("Nothing was deleted.")
            return
    for file in delete(path):
        emptied = os.path.lexists(file)
        console_for(as_json=False).print_line(
            f"Emptied {file}, which is a mount of its own" if emptied else f"Deleted {file}"
        )
