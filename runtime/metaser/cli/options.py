"""The options that several commands share, each declared once."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from metaser.cli.paths import name_or_folder, profile_file


class Provider(str, Enum):
    """What runs the network."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    tensorrt = "tensorrt"
    openvino = "openvino"


class Unknown(str, Enum):
    """When the answer is that it is unknown."""

    off = "off"
    calibrated = "calibrated"
    strict = "strict"


BundleOption = Annotated[
    str | None,
    typer.Option(
        "--bundle",
        envvar="METASER_BUNDLE",
        metavar="NAME|DIR",
        callback=name_or_folder,
        help="The bundle: a folder, or the name of one that came with metaser. Without it, the default one.",
    ),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        envvar="METASER_PROFILE",
        metavar="FILE",
        callback=profile_file,
        help="The profile's file. Without it, your own default one; `metaser info` shows where that is.",
    ),
]
ProviderOption = Annotated[
    Provider,
    typer.Option(
        "--provider",
        metavar="PROVIDER",
        help="What runs the network: cpu, cuda, tensorrt or openvino; auto takes the best the bundle is for.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="How many threads to use, on one clip or on as many clips at once. Without it, one per core that this "
        "process may use.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line, on standard output.")]
UnknownOption = Annotated[
    Unknown,
    typer.Option(
        "--unknown",
        metavar="off|calibrated|strict",
        help="When to say unknown: never, as the profile is calibrated, or also for all but the closest likeness.",
    ),
]
AcceptPrecisionOption = Annotated[
    bool,
    typer.Option("--accept-precision", help="Take a profile of the same model in another precision."),
]


def profile_path(profile: str | None) -> Path:
    """The profile that was asked for, or the user's default one.

    Raises:
        InputError: none was asked for and the user has no home folder.
    """
    if profile is not None:
        return Path(profile)
    from metaser.runtime.system.user_folders import default_profile

    return default_profile()
