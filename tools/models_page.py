"""Write model cards and the page of models from the shipped bundles and the measured results.

    python -m tools.models_page

writes models/NAME/MODEL_CARD.md for each checkpoint; tools/figures.py writes the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import read_result
from benchmarks.markdown import table
from metaser.runtime.bundles.bundle import Bundle, default_bundle, open_bundle, shipped_bundles
from metaser.runtime.bundles.licences import what_it_allows
from metaser.runtime.system.files import SHARED, replace_text
from metaser.toolkit.toml_config import read_toml
from tools.model_card import Facts, model_card

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
ABOUT = {
    "default": "trained on emotional speech in five languages; the default",
    "frozen": "as published by OpenAI, not trained on emotional speech; for any use",
    "open": "meta-trained on corpora that allow commercial use; for any use",
    "tiny": "one layer, fitted to larger models; smaller and faster",
}

PAGE = """# Models
These bundles are included in metaser. Select one by name with `--bundle NAME`, `METASER_BUNDLE` or `Engine.open(NAME)`.
The default is `{default}`. A profile works only with the bundle that made it; `metaser reenroll --bundle NAME` renews
it.

{bundles}

`metaser info NAME` describes a bundle. If the licence of a model restricts use, it is printed once, on standard error,
at the first use of the model. The model cards below are the ones in the bundles.

"""


def trained_models() -> list[str]:
    """The names of the models whose checkpoints are in the repository."""
    return sorted(path.parent.name for path in MODELS.glob("*/checkpoint.json"))


def card_of(name: str) -> str:
    """The card of a model from the committed files."""
    recipe = ROOT / "configs" / f"{name}.toml"
    return model_card(
        Facts(
            name=name,
            checkpoint=json.loads((MODELS / name / "checkpoint.json").read_text(encoding="utf-8")),
            recipe=read_toml(recipe) if recipe.is_file() else {},
            accuracy=read_result(f"{name}_accuracy"),
            cost=read_result("shipped_bundles").get("bundles", {}).get(name, {}),
        )
    )


def bundles_table(bundles: Sequence[Bundle], costs: Mapping[str, Any]) -> str:
    """Table of the shipped bundles, one per row; the size is that of the files, missing measurements stay empty."""
    rows = []
    for bundle in bundles:
        manifest, cost = bundle.manifest, costs.get(bundle.manifest.name)
        size_mb = sum(path.stat().st_size for path in bundle.folder.iterdir()) / 1e6
        latency = f"{cost['latency_ms']['p50']:.1f} ms" if cost else ""
        licence = f"{manifest.licence}: {what_it_allows(manifest.licence)}"
        about = ABOUT.get(manifest.name, "")
        rows.append([f"`{manifest.name}`", about, str(manifest.backbone.layers), f"{size_mb:.1f} MB", latency, licence])
    return table(["bundle", "description", "layers", "size", "3 s, network only", "licence of the weights"], rows)


def models_page() -> str:
    """The text of docs/models.md."""
    bundles = [open_bundle(name) for name in shipped_bundles()]
    text = PAGE.format(default=default_bundle(), bundles=shipped_table())
    cards = [(bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8") for bundle in bundles]
    return text + "\n".join(re.sub(r"^(?=#)", "#", card, flags=re.MULTILINE) for card in cards)


def write_cards() -> None:
    """Write the card of every checkpoint in the repository."""
    for name in trained_models():
        replace_text(MODELS / name / "MODEL_CARD.md", card_of(name), mode=SHARED)


def shipped_table() -> str:
    """The table of the shipped bundles, with their measurements."""
    bundles = [open_bundle(name) for name in shipped_bundles()]
    return bundles_table(bundles, read_result("shipped_bundles").get("bundles", {}))


if __name__ == "__main__":
    write_cards()
