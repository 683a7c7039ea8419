"""Make every shipped bundle again, with its cards, pages and pinned embeddings: `make bundles [WHISPER=FOLDER]`.

A bundle of models/NAME is exported from its checkpoint, with models/NAME/calibration.json if it exists. `frozen` comes
from a folder of Whisper base in the hub's layout, which is not part of the repository; without it `frozen` is not
changed.
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
"""Layers, calibration and accuracy of the frozen encoder."""

LONGEST_S = {"tiny": 5.0}
"""Windows that are shorter than the default: a Whisper bundle stores 102 kB of positions per second."""


def notify(line: str) -> None:
    """Print a line."""
    print(line, flush=True)


def of_checkpoint(name: str, out: Path) -> ExportRequest:
    """Export settings of a meta-trained model."""
    calibration = MODELS / name / "calibration.json"
    return ExportRequest(
        model=str(MODELS / name), out=out, precision="int8", force=True, name=name,
        longest_s=LONGEST_S.get(name, MAX_WINDOW_S), calibration=calibration if calibration.is_file() else None,
    )  # fmt: skip


def of_whisper(folder: Path, out: Path) -> ExportRequest:
    """Export settings of the bundle `frozen`, Whisper as published."""
    layers = json.loads(CHOSEN.read_text(encoding="utf-8"))["layers"]
    return ExportRequest(
        model=str(folder), out=out, precision="int8", layers=layers, force=True, name="frozen", licence="MIT",
        calibration=CHOSEN,
    )  # fmt: skip


def make_bundles(whisper: Path | None, out: Path) -> None:
    """Write all bundles that can be made to `out`/NAME.

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
        notify("frozen is not changed: to make it too, give WHISPER=FOLDER, Whisper base in the hub's layout")


def main() -> None:
    """Write cards first, because a bundle holds its card; then bundles; then files made from bundles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--whisper", type=Path, help="a folder of Whisper base in the hub's layout")
    given = parser.parse_args()
    write_cards()
    make_bundles(given.whisper, shipped_folder() / "bundles")
    write_pinned()
    write_pages()


if __name__ == "__main__":
    main()
