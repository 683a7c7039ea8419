"""Every shipped bundle made again, with its cards, pages and pinned embeddings: `make bundles [WHISPER=FOLDER]`.

A bundle of models/NAME is exported from its checkpoint, with models/NAME/calibration.json where there is one. `frozen`
comes from a folder of Whisper base in the hub's layout, which is no part of the repository; without that it stays as
it is.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.machine import RESEARCH
from metaser.export.bundle import MAX_WINDOW_S
from metaser.export.command import ExportRequest, run_export
from metaser.runtime.bundles.bundle import shipped_folder
from tools.figures import write_pages
from tools.models_page import MODELS, trained_models, write_cards
from tools.pinned_embeddings import write_pinned

CHOSEN = RESEARCH / "choose_default.json"
"""Layers and calibration of the frozen encoder, and how accurate it is."""

LONGEST_S = {"tiny": 5.0}
"""Where a window is shorter than an export's own: a Whisper bundle holds 102 kB of positions for each second."""


def notify(line: str) -> None:
    """Print a line."""
    print(line, flush=True)


def of_checkpoint(name: str, out: Path) -> ExportRequest:
    """How a meta-trained model becomes its bundle."""
    calibration = MODELS / name / "calibration.json"
    return ExportRequest(
        model=str(MODELS / name), out=out, precision="int8", force=True, name=name,
        longest_s=LONGEST_S.get(name, MAX_WINDOW_S), calibration=calibration if calibration.is_file() else None,
    )  # fmt: skip


def of_whisper(folder: Path, out: Path) -> ExportRequest:
    """How Whisper as published becomes the bundle `frozen`."""
    layers = json.loads(CHOSEN.read_text(encoding="utf-8"))["layers"]
    return ExportRequest(
        model=str(folder), out=out, precision="int8", layers=layers, force=True, name="frozen", licence="MIT",
        calibration=CHOSEN,
    )  # fmt: skip


def make_bundles(whisper: Path | None, out: Path) -> None:
    """Write what can be made into `out`/NAME.

    Raises:
        MetaserError: a model cannot be used, or its graphs miss their tolerance.
    """
    names = trained_models()
    notify(f"meta-trained models in {MODELS.name}/: {', '.join(names) or 'none'}")
    for name in names:
        run_export(of_checkpoint(name, out / name), notify)
    if whisper:
        run_export(of_whisper(whisper, out / "frozen"), notify)
    else:
        notify("frozen stays as it is: to make it too, give WHISPER=FOLDER, Whisper base in the hub's layout")


def main() -> None:
    """Cards first, since a bundle holds its card; then bundles; then what is written from bundles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, help="a folder of Whisper base in the hub's layout")
    given = parser.parse_args()
    write_cards()
    make_bundles(given.whisper, shipped_folder() / "bundles")
    write_pinned()
    write_pages()


if __name__ == "__main__":
    main()
