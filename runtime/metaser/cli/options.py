"""The options that several commands share, each declared once."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from metaser.cli.paths import name_or_folder, profile_file

FormatT = TypeVar("FormatT", bound=Enum)


class Provider(str, Enum):
    """The execution provider that runs the network."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    tensorrt = "tensorrt"
    openvino = "openvino"


class Unknown(str, Enum):
    """When to answer "unknown"."""

    off = "off"
    calibrated = "calibrated"
    strict = "strict"


MqttOption = Annotated[
    str | None,
    typer.Option(
        "--mqtt", metavar="HOST", help="Also publish the label to this MQTT broker; Home Assistant finds it by itself."
    ),
]
WebhookOption = Annotated[
    str | None, typer.Option("--webhook", metavar="URL", help="Also post each label to this address, as JSON.")
]


def _bundle_option(without: str) -> Any:
    return typer.Option(
        "--bundle",
        envvar="METASER_BUNDLE",
        metavar="NAME|DIR",
        callback=name_or_folder,
        help="The bundle that holds the model: a folder, or the name of a bundle shipped with metaser. "
        f"Without it, the {without}.",
    )


BundleOption = Annotated[str | None, _bundle_option("shipped bundle that made the profile, or else the default")]
AnyBundleOption = Annotated[str | None, _bundle_option("default one")]
"""For commands that use no profile."""

ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        envvar="METASER_PROFILE",
        metavar="FILE",
        callback=profile_file,
        help="The file that stores your classes, written by `metaser enroll`. Without it, your default profile; "
        "`metaser info` prints its path.",
    ),
]
ProviderOption = Annotated[
    Provider,
    typer.Option(
        "--provider",
        metavar="PROVIDER",
        help="The hardware back end that runs the network: cpu, cuda, tensorrt or openvino. auto picks the best one "
        "that the bundle supports.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="Number of threads. One clip uses all of them; several clips are processed in parallel. Without it, one "
        "thread per core that this process may use, and more are never faster. At most 64.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, one object per line.")]
UnknownOption = Annotated[
    Unknown,
    typer.Option(
        "--unknown",
        metavar="off|calibrated|strict",
        help="When to answer unknown instead of a label. off: never. calibrated: as set by `metaser calibrate`. "
        "strict: more often, so that about 1 in 20 clips of other classes gets a label.",
    ),
]
AcceptPrecisionOption = Annotated[
    bool,
    typer.Option("--accept-precision", help="Accept a profile made with the same model in another precision."),
]


def chosen_format(form: FormatT | None, json: FormatT, *, as_json: bool) -> FormatT | None:
    """The output format of --format and --json, which is short for the format `json`; None is text for people.

    Raises:
        InputError: the two options ask for different formats.
    """
    from metaser.runtime.errors import InputError

    if as_json and form not in (None, json):
        raise InputError(f"give either --json or --format {form.value}")
    return json if as_json else form


def share(text: str) -> float:
    """A share given as a number or in per cent: 0.3 or 30%."""
    number, percent = text.strip().removesuffix("%").strip(), text.strip().endswith("%")
    try:
        return float(number) / (100 if percent else 1)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a share: give a number such as 0.3 or 30%") from None


def check_share(option: str, given: float) -> None:
    """Raise InputError unless a share is between 0 and 1."""
    from metaser.runtime.errors import InputError

    if not 0 < given < 1:
        meant = f"; did you mean {given:g}%?" if 1 < given < 100 else ""
        raise InputError(
            f"{option} {given:g}: give a number between 0 and 1, such as 0.3, or per cent, such as 30%{meant}"
        )


def profile_path(profile: str | None) -> Path:
    """The path of the given profile, or of the user's default profile.

    Raises:
        InputError: no profile is given and the user has no home folder.
    """
    if profile is not None:
        return Path(profile)
    from metaser.runtime.system.user_folders import default_profile

    return default_profile()
