"""`metaser train`: meta-training from a configuration file; `metaser.toolkit` does the work and needs PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from metaser.cli.view.skipped_files import StrictOption
from metaser.cli.view.terminal import console_for

NEEDED = frozenset({"accelerate", "huggingface_hub", "tomli", "torch", "transformers"})


def train(
    *,
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="The training configuration; configs/ has examples.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run, from the folder `out` of the configuration.")
    ] = False,
    strict: StrictOption = False,
) -> None:
    """Meta-train a network on labelled corpora.

    The best checkpoint is written to OUT/best; convert it into a bundle with `metaser export`. Ctrl-C saves the state
    for --resume. Training needs PyTorch: `pip install 'metaser[train]'`
    """
    from metaser.runtime import MissingDependencyError

    try:
        from metaser.toolkit.config import load_config
        from metaser.toolkit.training.train import train as run
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        raise MissingDependencyError(
            f"`metaser train` needs PyTorch and more ({error.name} is missing): pip install 'metaser[train]'"
        ) from error
    settings = load_config(config)
    if strict:
        settings = replace(settings, data=replace(settings.data, strict=True))
    best = run(settings, console_for(as_json=False).print_line, resume=resume)
    console_for(as_json=False).print_line(f"Next: metaser export {best} OUT")
