"""Labels drawn in time."""

import io

import pytest
from rich.console import Console, RenderableType

from metaser.cli.view.drawing import Palette, Timeline, clock
from metaser.cli.view.spans import Span


def drawn(renderable: RenderableType, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    "labels", [("anger", "joy"), ("sad", "sadness", "salt", "s"), ("怒り", "悲しみ"), tuple(str(n) for n in range(30))]
)
def test_every_label_has_a_letter_of_its_own_that_is_one_column_wide(labels: tuple[str, ...]) -> None:
    palette = Palette(labels)
    keys = [palette.block(label) for label in labels]
    assert len({key.plain for key in keys}) == len(labels)
    assert all(key.cell_len == 1 for key in keys)


def test_a_timeline_reads_without_colour() -> None:
    spans = [Span("anger", 1.0, 3.0), Span(None, 4.0, 5.0)]
    assert drawn(Timeline({"": spans}, 6.0, Palette(("anger", "joy")), 2)) == ["0:00      0:05", "..AAAA..??.."]


def test_tracks_are_aligned_and_wrapped_with_their_times() -> None:
    truth, heard = [Span("joy", 0.0, 12.0)], [Span("joy", 6.0, 12.0)]
    lines = drawn(Timeline({"truth": truth, "heard": heard}, 12.0, Palette(("anger", "joy")), 2), width=30)
    assert lines == [
        "       0:00      0:05",
        "truth  " + 20 * "J",
        "heard  " + 12 * "." + 8 * "J",
        "       0:10",
        "truth  JJJJ",
        "heard  JJJJ",
    ]


@pytest.mark.parametrize("hours", [0.01, 1, 30])
def test_a_long_recording_is_drawn_coarser_and_not_longer(hours: float) -> None:
    assert len(drawn(Timeline({"": []}, 3600 * hours, Palette(("anger", "joy")), 3))) <= 6


def test_a_timeline_never_is_wider_than_the_terminal() -> None:
    for width in (20, 79, 120):
        lines = drawn(Timeline({"heard": [Span("joy", 0, 90)]}, 90, Palette(("joy",)), 9), width)
        assert max(len(line) for line in lines) <= width


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65.9, "1:05"), (3665, "1:01:05")])
def test_the_clock_shows_hours_only_where_there_are_some(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("share", "encoding", "drawn_as"),
    [(0.0, "utf-8", "········"), (0.5, "utf-8", "━━━━····"), (0.19, "utf-8", "━╸······"), (1.0, "utf-8", "━━━━━━━━"),
     (0.5, "ascii", "####....")],
)  # fmt: skip
def test_a_bar_reads_without_colour(share: float, encoding: str, drawn_as: str) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=shown, width=80, force_terminal=True, color_system=None, no_color=True)
    console.print(Palette(("joy",)).bar("joy", share, 8))
    shown.seek(0)
    assert shown.read().rstrip("\n") == drawn_as


@pytest.mark.parametrize(("seconds", "text"), [(0.48, "0:00.48"), (59.999, "1:00.00"), (3665.25, "1:01:05.25")])
def test_a_clock_with_decimals_rounds_through_the_minute(seconds: float, text: str) -> None:
    assert clock(seconds, 2) == text
