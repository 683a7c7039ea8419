"""The live view, as a terminal of 80 columns shows it."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from metaser.cli.streaming.live import Lines, LiveView, open_view, print_summary
from metaser.cli.streaming.playback import Heard
from metaser.cli.view.drawing import Palette
from metaser.cli.view.levels import LevelHistory, level_meter
from metaser.cli.view.spans import Span
from metaser.cli.view.terminal import PlainConsole
from metaser.runtime import StreamEvent
from metaser.runtime.stream.event import EventKind


class Terminal(PlainConsole):
    """A terminal that records its output."""

    def __init__(self, encoding: str = "utf-8", width: int = 80) -> None:
        self.shown = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
        Console.__init__(
            self, file=self.shown, width=width, height=25, force_terminal=True, no_color=True, markup=False
        )


def event(name: EventKind, label: str | None, start_s: float, end_s: float | None = None) -> StreamEvent:
    return StreamEvent(name, label, start_s, end_s, 0.8, {"anger": 0.2, "joy": 0.8}, 12.0)


def drawn(view: LiveView, heard: Heard, terminal: Terminal) -> list[str]:
    with terminal.capture() as capture:
        terminal.print(view._draw(heard))
    return [Text.from_ansi(line).plain.rstrip() for line in capture.get().splitlines()]


def heard_so_far(view: LiveView) -> Heard:
    """Ten seconds: joy in the first two, silence, and speech since the eighth that has no label yet."""
    heard = Heard(spans=[Span("joy", 0.0, 2.0, 0.8)], busy_s=0.1, latency_ms=12, dropped_ms=1500, hop_s=0.5)
    for tenth in range(1, 101):
        heard.duration_s = tenth / 10
        heard.level_dbfs = {0: -6.0, 1: -30.0}.get((tenth - 1) // 20, -70.0) if tenth <= 80 else -15.0
        heard.in_speech = tenth <= 24 or tenth > 80
        view._levels.add(heard.level_dbfs, heard.duration_s, in_speech=heard.in_speech)
        if tenth == 25:
            view._levels.quiet_from(2.0)
    return heard


@pytest.mark.parametrize(("encoding", "levels"), [("utf-8", "▇▇▇▇▄▄▄▄        ▆▆▆▆"), ("ascii", "****====        ++++")])
def test_levels_speech_and_labels_run_side_by_side_without_colour(encoding: str, levels: str) -> None:
    terminal = Terminal(encoding)
    view = LiveView(terminal, Palette(("anger", "joy")), 0.0, "")
    lines = drawn(view, heard_so_far(view), terminal)
    at = lines.index("level  " + levels)
    assert lines[at - 1 : at + 2] == [
        "       0:00      0:05      0:10",
        "level  " + levels,
        "label  JJJJ............----",
    ]
    assert "speech, no label yet" in lines
    assert "level [#########---]  -15 dB  latency 12 ms  lost 1.5 s" in lines
    assert max(map(len, lines)) <= 80


def test_the_open_label_has_its_bars_and_an_overload_does_not_take_it_away() -> None:
    terminal = Terminal()
    view = LiveView(terminal, Palette(("anger", "joy")), 0.0, "recording into kept")
    view.on_event(event("enter", "joy", 1.0))
    view.on_event(event("overload", None, 2.0))
    heard = Heard(duration_s=4.0, hop_s=0.5)
    lines = drawn(view, heard, terminal)
    assert "joy  80 %  since 0:01" in lines
    anger, joy = (next(line for line in lines if line.startswith(key)) for key in ("A anger", "J joy"))
    assert joy.count("━") == 4 * anger.count("━") == 32
    assert lines[-1] == "recording into kept"
    heard.hop_s = 2.0
    assert any("slow: one label every 2 s" in line for line in drawn(view, heard, terminal))
    view.on_event(event("leave", "joy", 1.0, 3.0))
    assert "silence" in drawn(view, heard, terminal)


def test_a_microphone_s_timeline_scrolls_and_a_recording_s_gets_coarser() -> None:
    for total_s, first in ((0.0, "0:25"), (60.0, "0:00")):
        terminal = Terminal()
        view = LiveView(terminal, Palette(("anger", "joy")), total_s, "")
        lines = drawn(view, Heard(duration_s=58.0), terminal)
        axis = next(line for line in lines if line.startswith("       0:"))
        assert axis.split()[0] == first
        assert max(map(len, lines)) <= 80


def test_where_nothing_can_move_each_segment_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with open_view(Terminal(), ("anger", "joy"), 0.0) as view:
        assert type(view) is Lines
    monkeypatch.setenv("TERM", "xterm")
    with open_view(PlainConsole(), ("anger", "joy"), 0.0) as view:  # standard output is no terminal here
        assert type(view) is Lines


def test_levels_by_hand() -> None:
    assert [level_meter(level, 6) for level in (-100, -60, -30, 0)] == ["[------]", "[------]", "[###---]", "[######]"]
    history = LevelHistory()
    history.add(-40.0, 0.1, in_speech=True)
    history.add(-20.0, 0.5, in_speech=False)
    history.add(-50.0, 0.6, in_speech=False)
    assert (history.peak(0.0, 0.5), history.peak(0.5, 1.0), history.peak(0.0, 1.0)) == (-20.0, -50.0, -20.0)
    assert (history.is_speech(0.0, 0.5), history.is_speech(0.5, 1.0)) == (True, False)
    history.quiet_from(0.0)
    assert not history.is_speech(0.0, 1.0)


@pytest.mark.parametrize(("minutes", "has_timeline"), [(1, True), (300, False)])
def test_the_summary_of_hours_has_no_timeline(minutes: int, has_timeline: bool) -> None:
    terminal = Terminal()
    heard = Heard(spans=[Span("joy", 0.0, 2.0, 0.8)], duration_s=60.0 * minutes)
    with terminal.capture() as capture:
        print_summary(terminal, heard, ("anger", "joy"))
    said = Text.from_ansi(capture.get()).plain
    assert ("J joy" in said) == has_timeline
    assert f"Speech: 0:02.0 of {'1:00.0' if minutes == 1 else '5:00:00.0'}." in said
