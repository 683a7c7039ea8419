"""Views of a stream: live on a terminal, otherwise one line per segment, or JSON for programs."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from metaser.cli.view.console import percent, print_json
from metaser.cli.view.drawing import LEVEL_TRACK, TICK_CELLS, Palette, Timeline, clock
from metaser.cli.view.levels import MOMENT_S, LevelHistory, level_meter
from metaser.cli.view.spans import Span
from metaser.cli.view.terminal import PlainConsole, new_table
from metaser.runtime.system.clock import time_of_day
from metaser.runtime.words import plain

if TYPE_CHECKING:
    from metaser.cli.streaming.playback import Heard, View
    from metaser.runtime import StreamEvent

REFRESH_S = 0.1
MAX_BARS = 8
WIDEST_BAR, NARROWEST_BAR = 40, 5
BAR_MARGIN = 10  # letter, percentage and the gaps between
LIVE_ROWS = 2
SUMMARY_ROWS = 6
TIMELINE_S = 1800.0
"""The longest stream whose summary has a timeline."""

TIME_COLUMNS = len("0:00.00")
LEVEL_CELLS = 12
SCROLL_STEP_S = 5.0


def open_view(
    console: PlainConsole, labels: tuple[str, ...], total_s: float, notice: str = ""
) -> AbstractContextManager[View]:
    """The live view on a terminal that can move its cursor, otherwise one line per segment."""
    palette = Palette(labels)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, palette, total_s, notice)
    return nullcontext(Lines(console, palette))


class JsonLines:
    """Every event as one JSON object."""

    def __init__(self, provider: str, *, live: bool) -> None:
        self._provider = provider
        self._live = live

    def on_event(self, event: StreamEvent) -> None:
        """Print the event; one of a live source also has the time of day."""
        times = {"time": time_of_day()} if self._live else {}
        print_json(**times, **event.as_dict(), provider=self._provider)

    def refresh(self, heard: Heard) -> None:
        """Do nothing: this view has no live part."""


def overload_line(event: StreamEvent, lost_before_ms: float) -> str:
    """An overload event as one line of text."""
    if event.end_s is None:
        return f"{_time(event.start_s)}  cannot keep up: labels are updated less often"
    if event.dropped_ms > lost_before_ms:
        lost = f"audio was lost, {event.dropped_ms / 1000:.2f} s so far"
        return f"{_time(event.start_s)} - {_time(event.end_s)}  {lost}"
    return f"{_time(event.end_s)}  keeps up again"


def _time(seconds: float) -> str:
    """A time of the stream, right-aligned to others of the first ten minutes."""
    return f"{clock(seconds, 2):>{TIME_COLUMNS}}"


class Lines:
    """Each finished segment as one line."""

    def __init__(self, console: PlainConsole, palette: Palette) -> None:
        self._console = console
        self._palette = palette
        self._lost_ms = 0.0  # audio loss that was already printed
        self._label_width = max(palette.name(label).cell_len for label in (*palette.labels, None))

    def on_event(self, event: StreamEvent) -> None:
        """Print a finished segment or an overload."""
        if event.event == "leave":
            name = self._palette.name(event.label)
            name.pad_right(self._label_width - name.cell_len)
            assert event.end_s is not None
            times = f"{_time(event.start_s)} - {_time(event.end_s)}  "
            certain = "" if event.label is None else f"  {percent(event.confidence):>5}"
            self._console.print(Text.assemble(times, name, certain), soft_wrap=True)
        elif event.event == "overload":
            self._console.print_line(overload_line(event, self._lost_ms))
            self._lost_ms = event.dropped_ms

    def refresh(self, heard: Heard) -> None:
        """Do nothing: this view has no live part."""


class LiveView(Lines):
    """Current label, one bar per class, and a timeline of levels and labels; finished segments scroll up above it."""

    def __init__(self, console: PlainConsole, palette: Palette, total_s: float, notice: str) -> None:
        super().__init__(console, palette)
        self._length = f" of {clock(total_s)}" if total_s else ""
        self._bar_width = max(NARROWEST_BAR, min(WIDEST_BAR, console.width - self._label_width - BAR_MARGIN))
        self._open: StreamEvent | None = None
        self._drawn_at = 0.0
        self._notice = notice
        self._scrolls = not total_s  # a microphone has no known length
        self._hop_s = 0.0
        self._levels = LevelHistory()
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def on_event(self, event: StreamEvent) -> None:
        """Update the current label."""
        super().on_event(event)
        if event.event == "silence":
            self._levels.quiet_from(event.start_s)
        if event.event in ("enter", "update"):
            self._open = event
        elif event.event == "leave":
            self._open = None

    def refresh(self, heard: Heard) -> None:
        """Redraw, at most ten times per second."""
        self._levels.add(heard.level_dbfs, heard.duration_s, in_speech=heard.in_speech)
        if time.monotonic() - self._drawn_at >= REFRESH_S:
            self._drawn_at = time.monotonic()
            self._live.update(self._draw(heard), refresh=True)

    def _draw(self, heard: Heard) -> Group:
        spans = list(heard.spans)
        if self._hop_s == 0:
            self._hop_s = heard.hop_s
        if self._open:
            spans.append(Span(self._open.label, self._open.start_s, heard.duration_s))
        position = f"{clock(heard.duration_s)}{self._length}, real-time factor {heard.real_time_factor:.3f}"
        return Group(
            "",
            self._now(heard),
            self._bars(),
            "",
            Timeline({"label": spans}, heard.duration_s, self._palette, LIVE_ROWS, self._scroll_s(heard), self._levels),
            self._status(heard),
            Text(f"{position}, Ctrl-C ends", "dim"),
            *([Text(self._notice, "bold red")] if self._notice else []),
        )

    def _now(self, heard: Heard) -> Text:
        if self._open:
            certain = "" if self._open.label is None else f"  {percent(self._open.confidence)}"
            since = f"  since {clock(self._open.start_s)}"
            return Text.assemble(self._palette.name(self._open.label), certain, since)
        return Text("speech, no label yet" if heard.in_speech else "silence", "dim")

    def _scroll_s(self, heard: Heard) -> float:
        """Start of the timeline: 0, or late enough that the newest half minute or more is visible."""
        room = self._live.console.width - len(LEVEL_TRACK) - 2
        shown_s = MOMENT_S * (room // TICK_CELLS * TICK_CELLS)
        behind_s = heard.duration_s - shown_s
        return max(0.0, -(-behind_s // SCROLL_STEP_S) * SCROLL_STEP_S) if self._scrolls else 0.0

    def _status(self, heard: Heard) -> Text:
        """Level, latency and lost audio."""
        level = f"level {level_meter(heard.level_dbfs, LEVEL_CELLS)} {heard.level_dbfs:4.0f} dB"
        parts = [level, f"latency {heard.latency_ms:.0f} ms"]
        parts += [f"lost {heard.dropped_ms / 1000:.1f} s"] if heard.dropped_ms else []
        parts += [f"slow: one label every {heard.hop_s:g} s"] if heard.hop_s > self._hop_s else []
        return Text("  ".join(parts), "yellow" if heard.dropped_ms else "")

    def _bars(self) -> Table:
        scores = self._open.scores if self._open else dict.fromkeys(self._palette.labels, 0.0)
        grid = Table.grid(padding=(0, 1))
        for justify in ("left", "left", "left", "right"):
            grid.add_column(justify=justify)
        shown = scores if len(scores) <= MAX_BARS else sorted(scores, key=lambda label: -scores[label])[:MAX_BARS]
        for label in shown:
            bar = self._palette.bar(label, scores[label], self._bar_width)
            grid.add_row(self._palette.block(label), plain(label), bar, percent(scores[label]))
        return grid


def print_summary(console: PlainConsole, heard: Heard, labels: tuple[str, ...]) -> None:
    """Print how much of the recording has each label, with a timeline of a short one on a terminal."""
    palette = Palette(labels)
    if console.is_terminal and heard.spans and heard.duration_s <= TIMELINE_S:
        console.print("", Timeline({"": heard.spans}, heard.duration_s, palette, SUMMARY_ROWS))
        console.print(palette.legend())
    table = new_table("label", "segments", "time")
    for column in table.columns[1:]:
        column.justify = "right"
    for label in (*labels, None):
        spans = [span for span in heard.spans if span.label == label]
        if spans:
            table.add_row(palette.name(label), str(len(spans)), clock(sum(span.duration_s for span in spans), 1))
    if heard.spans:
        console.print("", table, "")
    speech_s = sum(span.duration_s for span in heard.spans)
    console.print_line(
        f"Segments: {len(heard.spans)}. Speech: {clock(speech_s, 1)} of {clock(heard.duration_s, 1)}. "
        f"Real-time factor: {heard.real_time_factor:.3f}."
        + (f" Lost: {heard.dropped_ms / 1000:.2f} s." if heard.dropped_ms else "")
    )
    if not heard.spans and not heard.pipe_closed:
        console.print_line("No speech was found: check that this is the right source and that it is loud enough.")
