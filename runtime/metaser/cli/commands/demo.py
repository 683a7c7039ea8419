"""`metaser demo`: enrol and stream the clips that are shipped with metaser."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.open_engine import open_engine
from metaser.cli.options import AnyBundleOption, JsonOption, Provider, ProviderOption, ThreadsOption
from metaser.cli.view.console import percent, print_json, print_status
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.spans import Span, heard_during, share_right
from metaser.cli.view.terminal import PlainConsole, console_for, new_table
from metaser.runtime.words import counted

if TYPE_CHECKING:
    from rich.table import Table

    from metaser.cli.streaming.playback import Heard
    from metaser.cli.view.drawing import Palette
    from metaser.runtime import Engine, Profile

TIMELINE_ROWS = 4
CAVEAT = (
    "This is synthetic speech by espeak-ng and a caricature of emotion: "
    "it shows how metaser works, not how accurate it is on real speech."
)
NEXT_STEPS = """\
Next, with a few clips of your own per emotion, in support/LABEL/:
  metaser enroll support/
  metaser classify clip.wav
  metaser stream recording.wav"""


def demo(
    *,
    realtime: Annotated[bool, typer.Option("--realtime", help="Play at real-time speed: about a minute.")] = False,
    bundle: AnyBundleOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try metaser on shipped clips: enrol, label a conversation, compare with the truth.

    The demo enrols a few clips per class, labels a conversation as a stream and compares the labels with the true ones.
    The speech is synthetic. Your own profile is neither read nor changed.
    """
    from metaser.cli.view.drawing import Palette

    folder = _demo_folder()
    truth = _truth(folder / "conversation.json")
    console = console_for(as_json)
    engine = open_engine(bundle, provider, threads)
    profile = _enroll(engine, folder / "support", console, as_json=as_json)
    if hint := engine.hint(profile):
        print_status(hint)
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
        f"Enrolled {counted(len(profile.clips), 'clip')} of {counted(len(profile.labels), 'class')} "
        f"in {time.perf_counter() - began:.1f} s with the bundle {profile.bundle_name}."
    )
    return profile


def _stream(engine: Engine, profile: Profile, recording: Path, console: PlainConsole, *, realtime: bool) -> Heard:
    from metaser.cli.streaming.live import open_view
    from metaser.cli.streaming.playback import play
    from metaser.runtime.audio.file import AudioFile

    console.print_line("Labelling a conversation, which has new voices and a new language in parts:")
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
    spoken_s = sum(spoken.duration_s for spoken in truth)
    console.print_line(
        f"Correct for {percent(share_right(truth, heard.spans))} of {spoken_s:.1f} s of speech.", style="bold"
    )
    console.print_line(f"Real-time factor {heard.real_time_factor:.3f}: seconds of computation per second of audio.")
    console.print(CAVEAT)
    console.print()
    console.print(NEXT_STEPS)


def _table(truth: list[Span], heard: list[Span], palette: Palette) -> Table:
    table = new_table("time", "truth", "heard", "confidence", "correct")
    table.columns[3].justify = "right"
    for spoken in truth:
        answer = heard_during(spoken, heard)
        table.add_row(
            f"{spoken.start_s:5.1f} - {spoken.end_s:5.1f} s",
            palette.name(spoken.label),
            palette.name(answer.label) if answer else "nothing",
            percent(answer.confidence) if answer else "",
            "yes" if answer and answer.label == spoken.label else "no",
        )
    return table


def _print_json(truth: list[Span], heard: Heard) -> None:
    segments = []
    for spoken in truth:
        answer = heard_during(spoken, heard.spans)
        segments.append(
            {
                "label": spoken.label,
                "heard": answer.label if answer else None,
                "start_s": spoken.start_s,
                "end_s": spoken.end_s,
                "confidence": round(answer.confidence, 4) if answer else None,
            }
        )
    print_json(
        share_right=round(share_right(truth, heard.spans), 4),
        segments=segments,
        real_time_factor=round(heard.real_time_factor, 4),
    )
