"""Drawing the timeline of a recording: a row of labels per speaker, and the share of each label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metaser.archive.tables.speakers import Timeline, seconds_by_label, shares
from metaser.runtime.enrolment.labels import UNKNOWN
from metaser.runtime.system.plot_file import drawn, new_figure, save_figure

WIDTH_INCH, ROW_INCH, MARGIN_INCH = 12.0, 0.55, 1.6
BAR = 0.7
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#332288")
"""Distinct also for colour-blind people (Okabe and Ito, 2008)."""

GREY = "#b0b0b0"


def draw_timeline(timeline: Timeline, labels: Sequence[str], path: Path) -> None:
    """Draw a timeline as PNG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        WorkError: the file cannot be written.
    """
    speakers = sorted(timeline.speakers)
    figure, axes = new_figure(WIDTH_INCH, MARGIN_INCH + ROW_INCH * len(speakers))
    colours = {label: COLOURS[place % len(COLOURS)] for place, label in enumerate(labels)} | {UNKNOWN: GREY}
    unit_s, unit = (60.0, "minutes") if timeline.duration_s > 180 else (1.0, "seconds")
    used: set[str] = set()
    for row, speaker in enumerate(speakers):
        stretches = timeline.speakers[speaker]
        axes.broken_barh(
            [(stretch.start_s / unit_s, stretch.duration_s / unit_s) for stretch in stretches],
            (row - BAR / 2, BAR),
            facecolors=[colours[stretch.label] for stretch in stretches],
        )
        used |= {stretch.label for stretch in stretches}
    nobody = "no speaker" if len(speakers) > 1 else "speech"
    names = [f"{drawn(speaker) or nobody}\n{_shares(timeline, speaker)}" for speaker in speakers]
    axes.set_yticks(range(len(speakers)), names)
    axes.set_ylim(len(speakers) - 0.5, -0.5)
    axes.set_xlim(0, timeline.duration_s / unit_s)
    axes.set_xlabel(unit)
    axes.set_title(drawn(Path(timeline.recording).name))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    shown = [label for label in (*labels, UNKNOWN) if label in used]
    patches = [axes.barh(-10, 0, color=colours[label], label=drawn(label)) for label in shown]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    save_figure(figure, path)


def _shares(timeline: Timeline, speaker: str) -> str:
    """The largest shares of a speaker, as "anger 60 %, joy 30 %"."""
    largest = list(shares(seconds_by_label(timeline.speakers[speaker])).items())[:2]
    return ", ".join(f"{drawn(label)} {100 * share:.0f} %" for label, share in largest)
