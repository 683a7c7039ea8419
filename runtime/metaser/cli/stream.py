"""`metaser stream`: live labels for a recording of any length."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from metaser.cli.console import people, tell
from metaser.cli.options import (
    AcceptPrecisionOption,
    BundleOption,
    JsonOption,
    ProfileOption,
    Provider,
    ProviderOption,
    ThreadsOption,
    profile_path,
)


def stream(  # noqa: PLR0913 # one parameter an option
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A recording of any length.")],
    realtime: Annotated[bool, typer.Option("--realtime", help="Go as fast as time does, not faster.")] = False,
    window_s: Annotated[
        float, typer.Option("--window", metavar="SECONDS", help="The longest stretch of speech a label looks back on.")
    ] = 3.0,
    hop_s: Annotated[float, typer.Option("--hop", metavar="SECONDS", help="Time between two looks.")] = 0.5,
    profile: ProfileOption = None,
    accept_precision: AcceptPrecisionOption = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Label a recording as it goes.

    Speech is found, labelled after its first second, and the label follows the speaker. On a terminal you see it move;
    elsewhere each finished segment is one line. Ctrl-C ends it with the summary.
    """
    from metaser.cli.live import JsonLines, open_view, print_summary
    from metaser.cli.recording import duration_of, play
    from metaser.runtime import Engine, StreamSettings

    settings = StreamSettings(window_s, hop_s, min_window_s=min(StreamSettings.min_window_s, window_s))
    engine = Engine.open(bundle, provider=provider.value, threads=threads, say=tell)
    enrolled = engine.open_profile(profile_path(profile), accept_precision=accept_precision)
    console = people(as_json)
    opened = (
        nullcontext(JsonLines(engine.provider)) if as_json else open_view(console, enrolled.labels, duration_of(file))
    )
    with opened as view:
        heard = play(
            file, lambda rate_hz: engine.stream(enrolled, sample_rate_hz=rate_hz, settings=settings), view,
            realtime=realtime,
        )  # fmt: skip
    print_summary(console, heard, enrolled.labels)
    if heard.error:
        raise heard.error
