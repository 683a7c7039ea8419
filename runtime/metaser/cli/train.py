"""`metaser train`: meta-training from a configuration file; `metaser.toolkit` does the work and needs PyTorch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from metaser.cli.problems import StrictOption
from metaser.cli.terminal import people

NEEDED = frozenset({"accelerate", "huggingface_hub", "tomli", "torch", "transformers"})


def train(
    *,
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The settings; configs/ has examples.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in `out` stopped.")] = False,
    strict: StrictOption = False,
) -> None:
    """Meta-train a network on labelled corpora.

    The best checkpoint is OUT/best; make a bundle of it with `metaser export`. Ctrl-C saves the state.
    This needs more than a device does: `pip install 'metaser[train]'`
    """
    from metaser.runtime import MissingDependencyError

    try:
        from metaser.toolkit.config import load_config
        from metaser.toolkit.train import train as run
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        raise MissingDependencyError(
            f"`metaser train` needs PyTorch and more ({error.name} is missing): pip install 'metaser[train]'"
        ) from error
    settings = load_config(config)
    if strict:
        settings = replace(settings, data=replace(settings.data, strict=True))
    best = run(settings, people(as_json=False).say, resume=resume)
    people(as_json=False).say(f"Next: metaser export {best} OUT")
