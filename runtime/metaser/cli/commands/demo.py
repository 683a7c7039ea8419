"""`metaser demo`: the main job on the clips that came with metaser, start to end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import open_engine
from metaser.cli.options import BundleOption, JsonOption, Provider, ProviderOption, ThreadsOption
from metaser.cli.view.console import percent, print_json
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.spans import Span, heard_during, share_right
from metaser.cli.view.terminal import PlainConsole, console_for, new_table

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.cli.streaming.playback import Heard
    from metaser.cli.view.drawing import Palette
    from metaser.runtime import Engine, Profile

TIMELINE_ROWS = 4
CAVEAT = (
    "This is synthetic speech by espeak-ng and a caricature of emotion: "
    "it shows how metaser works, not how well it hears people."
)
NEXT_STEPS = """\
With your own clips, a few of each emotion in support/LABEL/:
  metaser enroll support/
  metaser classify clip.wav
  metaser stream recording.wav"""


def demo(
    *,
    realtime: Annotated[bool, typer.Option("--realtime", help="Go as fast as time does: about a minute.")] = False,
    bundle: BundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all of it on clips that came with metaser.

    It enrols a few clips of each class, streams a conversation and compares what it heard with the truth. The speech
    is synthetic. Your own profile is neither read nor changed.
    """
    from metaser.cli.view.drawing import Palette

    folder = _demo_folder()
    truth = _truth(folder / "conversation.json")
    console = console_for(as_json)
    engine = open_engine(bundle, provider, threads)
    profile = _enroll(engine, folder / "support", console, as_json=as_json)
    heard = _stream(engine, profile, folder / "conversation.flac", console, realtime=realtime)
    if heard.interrupted:
        raise KeyboardInterrupt
    _report(truth, heard, Palette(profile.labels), console)
    if as_json:
        _print_json(truth, heard)


def _demo_folder() -> Path:
    from metaser.runtime import NotFoundError
    from metaser.runtime.bundles.bundle import shipped_folder

    folder = shipped_folder() / "demo"
    if not (folder / "conversation.json").is_file():
        raise NotFoundError("this installation has no demonstration clips: install metaser again")
    return folder


def _truth(path: Path) -> list[Span]:
    segments = json.loads(path.read_text(encoding="utf-8"))["segments"]
    return [Span(segment["label"], segment["start_s"], segment["end_s"]) for segment in segments]


def _enroll(engine: Engine, support: Path, console: PlainConsole, *, as_json: bool) -> Profile:
    began = time.perf_counter()
    with SlowProgress("Enrolling", as_json=as_json) as progress:
        profile = engine.enroll(support, progress=progress)
    console.print_line(
        f"Enrolled {len(profile.clips)} clips of {len(profile.labels)} classes "
        f"in {time.perf_counter() - began:.1f} s with the bundle {profile.bundle_name}."
    )
    return profile


def _stream(engine: Engine, profile: Profile, recording: Path, console: PlainConsole, *, realtime: bool) -> Heard:
    from metaser.cli.streaming.live import open_view
    from metaser.cli.streaming.playback import play
    from metaser.runtime.audio.file import AudioFile

    console.print_line("Listening to a conversation, partly in new voices and a new language:")
    file = AudioFile(recording)
    with open_view(console, profile.labels, file.duration_s()) as view:
        return play(
            file.chunks(), recording.name,
            lambda rate_hz: engine.stream(profile, sample_rate_hz=rate_hz), view, realtime=realtime,
        )  # fmt: skip


def _report(truth: list[Span], heard: Heard, palette: Palette, console: PlainConsole) -> None:
    from metaser.cli.view.drawing import Timeline

    tracks = {"truth": truth, "heard": heard.spans}
    console.print("", Timeline(tracks, heard.duration_s, palette, TIMELINE_ROWS))
    console.print(palette.legend())
    console.print("", _table(truth, heard.spans, palette), "")
    spoken_s = sum(said.duration_s for said in truth)
    console.print_line(
        f"Right for {percent(share_right(truth, heard.spans))} of {spoken_s:.1f} s of speech.", style="bold"
    )
    console.print_line(f"Real-time factor {heard.real_time_factor:.3f}: a second of sound took that share of a second.")
    console.print(CAVEAT)
    console.print()
    console.print(NEXT_STEPS)


def _table(truth: list[Span], heard: list[Span], palette: Palette) -> Table:
    table = new_table("time", "said", "heard", "confidence", "right")
    table.columns[3].justify = "right"
    for said in truth:
        answer = heard_during(said, heard)
        table.add_row(
            f"{said.start_s:5.1f} - {said.end_s:5.1f} s",
            palette.name(said.label),
            palette.name(answer.label) if answer else "nothing",
            percent(answer.confidence) if answer else "",
            "yes" if answer and answer.label == said.label else "no",
        )
    return table


def _print_json(truth: list[Span], heard: Heard) -> None:
    segments = []
    for said in truth:
        answer = heard_during(said, heard.spans)
        segments.append(
            {
                "label": said.label,
                "heard": answer.label if answer else None,
                "start_s": said.start_s,
                "end_s": said.end_s,
                "confidence": round(answer.confidence, 4) if answer else None,
            }
        )
    print_json(
        share_right=round(share_right(truth, heard.spans), 4),
        segments=segments,
        real_time_factor=round(heard.real_time_factor, 4),
    )
