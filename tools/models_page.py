"""Cards, the page of models and the README's tables, from what is shipped and what was measured.

    python -m tools.models_page

writes models/NAME/MODEL_CARD.md for each checkpoint, docs/models.md, and README.md and docs/index.md between marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import read_result
from metaser.runtime.bundle import Bundle, default_bundle, open_bundle, shipped_bundles
from metaser.runtime.files import SHARED, replace_text
from metaser.runtime.licences import what_it_allows
from metaser.toolkit.tables import read_toml
from tools.model_card import Facts, model_card
from tools.results_tables import scores_table, table, verdict

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
ABOUT = {
    "default": "meta-trained on emotional speech; what you get without a choice",
    "frozen": "as published by OpenAI, not trained on emotional speech; any use",
    "tiny": "meta-trained like the default, smaller and faster",
}

PAGE = """# Models
These bundles come with metaser. `--bundle NAME`, `METASER_BUNDLE` or `Engine.open(NAME)` takes one by name; without a
choice it is `{default}`. A profile belongs to the bundle that made it: `metaser reenroll --bundle NAME` renews it.

{bundles}

`metaser info NAME` prints what a bundle is. A licence that allows less than any use is told once, on standard error, at
the first use of a model. The cards below are those in the bundles.

"""
TRAINED = """\
`default` was meta-trained on acted emotional speech in English, German and Polish. 4-way 5-shot accuracy in per cent by
the [protocol](docs/protocol.md), on test speakers and on Urdu, which nothing was trained or chosen on; chance is 25.
± is half of the 95 % interval over episodes, the brackets hold that of the difference over speakers
([results](benchmarks/results/default_accuracy.json)). One shot, single speakers and where it fails:
[models](docs/models.md).

{table}"""
EXPECTATION = """\
With four classes and five clips per class, the bundle `default`, meta-trained on acted English, German and Polish,
labels {same} of 100 clips of the same person correctly, and {unseen} of 100 clips of unseen speakers. In Urdu, used
neither for training nor for model selection, it labels {urdu} of 100 correctly, compared with {frozen} by the untrained
encoder ({verdict}). Chance is 25 ([results](../benchmarks/results/default_accuracy.json))."""


def trained_models() -> list[str]:
    """The names of the models whose checkpoints are here."""
    return sorted(path.parent.name for path in MODELS.glob("*/checkpoint.json"))


def card_of(name: str) -> str:
    """The card of a model from what is committed."""
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
    """What is shipped, a bundle a row; its size is its files', what was not measured stays empty."""
    rows = []
    for bundle in bundles:
        manifest, cost = bundle.manifest, costs.get(bundle.manifest.name)
        size_mb = sum(path.stat().st_size for path in bundle.folder.iterdir()) / 1e6
        latency = f"{cost['latency_ms']['p50']:.1f} ms" if cost else ""
        licence = f"{manifest.licence}: {what_it_allows(manifest.licence)}"
        about = ABOUT.get(manifest.name, "")
        rows.append([f"`{manifest.name}`", about, str(manifest.backbone.layers), f"{size_mb:.1f} MB", latency, licence])
    return table(["bundle", "what it is", "layers", "size", "3 s, network alone", "licence of the weights"], rows)


def models_page() -> str:
    """The text of docs/models.md."""
    bundles = [open_bundle(name) for name in shipped_bundles()]
    text = PAGE.format(default=default_bundle(), bundles=_shipped_table())
    cards = [(bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8") for bundle in bundles]
    return text + "\n".join(re.sub(r"^(?=#)", "#", card, flags=re.MULTILINE) for card in cards)


def readme_blocks() -> dict[str, str]:
    """Name -> text of the parts of the README that lie between marks."""
    scores = read_result("default_accuracy")["scores"]["5 shots"]
    return {"accuracy": TRAINED.format(table=scores_table(scores, "default", "default")), "bundles": _shipped_table()}


def index_blocks() -> dict[str, str]:
    """The same of docs/index.md."""
    scores = read_result("default_accuracy")["scores"]["5 shots"]
    means = {figure: entry["mean"] for figure, entry in scores["accuracy"]["default"].items()}

    def between(speakers: str) -> str:
        known = [mean for figure, mean in means.items() if figure.endswith(speakers) and not figure.startswith("urdu")]
        return f"{min(known):.0f} to {max(known):.0f}"

    return {
        "expectation": EXPECTATION.format(
            same=between("same"),
            unseen=between("disjoint"),
            urdu=f"{means['urdu disjoint']:.0f}",
            frozen=f"{scores['accuracy'][scores['reference']]['urdu disjoint']['mean']:.0f}",
            verdict=verdict(scores["difference"]["default"]["urdu disjoint"]),
        )
    }


def with_blocks(text: str, blocks: Mapping[str, str]) -> str:
    """The text with other words between `<!-- NAME -->` and `<!-- end of NAME -->`."""
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{block}{end}{rest.split(end)[1]}"
    return text


def write_cards() -> None:
    """Write the card of every checkpoint that is here."""
    for name in trained_models():
        replace_text(MODELS / name / "MODEL_CARD.md", card_of(name), mode=SHARED)


def write_pages() -> None:
    """Write docs/models.md, and the parts of the README and of docs/index.md."""
    replace_text(ROOT / "docs" / "models.md", models_page(), mode=SHARED)
    for page, blocks in ((ROOT / "README.md", readme_blocks()), (ROOT / "docs" / "index.md", index_blocks())):
        replace_text(page, with_blocks(page.read_text(encoding="utf-8"), blocks), mode=SHARED)


def _shipped_table() -> str:
    bundles = [open_bundle(name) for name in shipped_bundles()]
    return bundles_table(bundles, read_result("shipped_bundles").get("bundles", {}))


if __name__ == "__main__":
    write_cards()
    write_pages()
