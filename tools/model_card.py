"""Write the model card of a meta-trained model from its checkpoint's description and measured results.

The card claims only what is in the results. Failures and undecided differences are also read from them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.markdown import table
from metaser.runtime.bundles.licences import is_permissive, what_it_allows
from tools.results_tables import CHANCE, CORPORA, figure_name, scores_table

LANGUAGES = {"de": "German", "en": "English", "it": "Italian", "ko": "Korean", "pl": "Polish"}
SECTIONS = {"5 shots": "Five clips per class", "1 shot": "One clip per class"}
TUNED = "5 shots, tuned"
WIDTH = 120

CARD = """# {name}
{about}

{facts}

## Intended use
Labelling speech from a person's own examples, on their own device{purpose}. Enrol with the speakers, language and
microphone that you will use.

Not intended: decisions about people, surveillance, judging applicants, pupils or staff, diagnosis. A label states which
enrolled clips the audio resembles. It is not a fact about a person: **acted emotion is not felt emotion**, and all
training speech is acted.

Emotion recognition is restricted by law in some places. The European Union's AI Act (Regulation (EU) 2024/1689, Article
5(1)(f)) prohibits AI systems that infer emotions at work and in education, except for medical or safety reasons. Users
must know the law that applies to them.

## Training
{training}

## Accuracy
{accuracy}
## Limitations
The training corpora are acted, by adults in quiet rooms. Children, strong noise, most languages and felt emotion were
not measured. The paper of the method (arXiv 2410.04633) reports figures with another protocol; they are not claimed
here.
"""

ABOUT = """\
A speech encoder and a pooling head for few-shot speech emotion recognition with metaser, {made}. A person enrols a few
labelled clips per class. A query gets the class whose prototype has the highest cosine similarity."""
TRAINED, FITTED = "meta-trained in episodes", "fitted to the embeddings of larger, meta-trained models"
BEST = "best"
"""The folder of a run's checkpoint."""

DISTILLED = "distilled from many networks of its size that were meta-trained in episodes"
DISTILLED_BY = {
    "default": "`python -m benchmarks.research.unseen distil` (60 networks, on different choices of the corpora)",
}
"""Models whose recipe is not a file of configs/."""

TRAINING = """\
The encoder starts from OpenAI's Whisper base (MIT). The model was {made} on {corpora}. This is acted
speech. The protocol's validation and test speakers were excluded. {recipe}{rights} The bundle contains no
recordings."""

RESTRICTED = """\
Corpora among these are for non-commercial use or research, so the licence of the weights is {licence}."""

PERMITTED = """\
These corpora allow commercial use: {corpora}. The licence of the weights is {licence}; the file LICENSE has the notices
that the corpora ask for. EmoDB has no licence text by its authors: ask them if you need certainty."""

RIGHTS = {
    "crema-d": "CREMA-D is under ODbL 1.0, its contents under DbCL 1.0",
    "emodb": "EmoDB is free by the words of its authors, and under CC BY 4.0 in a public catalogue",
}
"""What corpora of permissive models state."""

ACCURACY = """\
4 classes, {shots}; chance is {chance} %. The tables give accuracy in per cent ± half of the 95 % interval over
episodes, on test speakers and on corpora that no model is trained on (unseen). Differences
from `frozen`, the bundle of Whisper's first layers as published, are paired by query. The brackets give their 95 %
interval over speakers. A difference is decided if its intervals over episodes and over speakers both exclude zero.
Measured with `{command}`, commit {commit}."""
COMMAND = "python -m benchmarks.accuracy.default_accuracy {name} CORPORA --name {name}_accuracy"
NOT_MEASURED = f"Not measured yet: `{COMMAND}`.\n"


@dataclass(frozen=True)
class Facts:
    """The sources of a card."""

    name: str
    checkpoint: Mapping[str, Any]
    """The document checkpoint.json."""

    recipe: Mapping[str, Any]
    """The tables of configs/NAME.toml; empty if there is none."""

    accuracy: Mapping[str, Any]
    """The document of `benchmarks.accuracy.default_accuracy`; empty if not measured."""

    cost: Mapping[str, Any]
    """The bundle's entry of `benchmarks.cost.shipped_bundles`; empty if not measured."""


def model_card(facts: Facts) -> str:
    """The text of MODEL_CARD.md."""
    checkpoint = facts.checkpoint
    permissive = is_permissive(checkpoint["licence"])
    rights = PERMITTED if permissive else RESTRICTED
    made = DISTILLED if facts.name in DISTILLED_BY else FITTED if facts.recipe.get("distil") else TRAINED
    return CARD.format(
        name=facts.name,
        about=_filled(ABOUT.format(made=made)),
        purpose="" if permissive else ", for non-commercial purposes",
        facts=_table_of_facts(facts),
        training=_filled(
            TRAINING.format(
                made=made,
                corpora=_listed(CORPORA.get(name, name) for name in checkpoint["corpora"]),
                recipe=_recipe(facts),
                rights=rights.format(
                    licence=checkpoint["licence"],
                    corpora="; ".join(RIGHTS.get(name, name) for name in checkpoint["corpora"]),
                ),
            )
        ),
        accuracy=_accuracy(facts),
    )


def _table_of_facts(facts: Facts) -> str:
    checkpoint = facts.checkpoint
    backbone, head = checkpoint["backbone"], checkpoint["head"]
    languages = _listed(LANGUAGES.get(name, name) for name in checkpoint["languages"])
    rows = [
        ["based on", f"{checkpoint['source']}, the first {_layers(backbone['layers'])} (MIT)"],
        ["head", f"{head['kind']}, embeddings of {head['embedding_size']}"],
        ["training languages", languages],
        ["licence of the weights", f"{checkpoint['licence']}: {what_it_allows(checkpoint['licence'])}"],
        *cost_rows(facts.cost),
    ]
    return table(["", ""], rows)


def cost_rows(cost: Mapping[str, Any]) -> list[list[str]]:
    """Size and latency of the shipped bundle, with the machine; empty if not measured."""
    if not cost:
        return []
    machine, latency = cost["machine"], cost["latency_ms"]
    flags = f" with {', '.join(machine['flags'])}" if machine["flags"] else ""
    return [
        [f"shipped bundle, {cost['precision']}", f"{cost['size_mb']:.1f} MB"],
        [
            f"latency for a clip of {cost['window_s']:g} s, {cost['threads']} threads",
            f"{latency['p50']:.1f} ms (median), {latency['p90']:.1f} ms (p90), on {machine['processor']}{flags}",
        ],
        ["peak memory", f"{cost['peak_mb']:.0f} MB"],
    ]


def _recipe(facts: Facts) -> str:
    if recipe := DISTILLED_BY.get(facts.name):
        return f"Recipe: {recipe}. "
    if not facts.recipe:
        return ""
    episodes = facts.recipe["episodes"]
    if distil := facts.recipe.get("distil"):
        folders = [Path(folder) for folder in distil["teachers"]]
        teachers = _listed(f"`{(folder.parent if folder.name == BEST else folder).name}`" for folder in folders)
        how = f"no step of training; the head is fitted to the embeddings of {teachers}"
    else:
        shape = f"{episodes['n_way']}-way {episodes['k_shot']}-shot, {episodes['n_query']} queries per class"
        how = f"{shape}, seed {facts.recipe.get('seed', 0)}"
    return f"Recipe: `metaser train configs/{facts.name}.toml` ({how}). "


def _accuracy(facts: Facts) -> str:
    found = facts.accuracy
    if not found:
        return NOT_MEASURED.format(name=facts.name)
    scores = found["scores"]
    command = COMMAND.format(name=facts.name)
    shots = _listed(title.split(",")[0] for title in SECTIONS if title in scores)
    words = ACCURACY.format(shots=shots, chance=CHANCE, command=command, commit=found["machine"]["commit"])
    text = f"{_filled(words)}\n\n"
    for title, heading in SECTIONS.items():
        if title in scores:
            text += f"### {heading}\n{scores_table(scores[title], 'default', facts.name)}\n\n"
    if TUNED in scores:
        tuned = scores_table(scores[TUNED], "split", "tuned")
        text += f"### Five clips per class, head tuned on them (`split`)\n{tuned}\n\n"
    text += f"### Accuracy by speaker and sex\n{_speakers(found['by speaker'])}\n\n"
    return text + f"### Where it fails\n{_failures(found)}\n"


def _speakers(by_speaker: Mapping[str, Any]) -> str:
    """Accuracy on the queries of each speaker and of each sex, with five clips per class."""
    rows = []
    for figure, own in by_speaker.items():
        shares, sexes = list(own["speakers"].values()), own["sexes"]
        rows.append(
            [
                figure_name(figure), str(len(shares)), f"{min(shares):.1f}", f"{median(shares):.1f}",
                f"{max(shares):.1f}", *(f"{sexes[sex]:.1f}" if sex in sexes else "" for sex in ("female", "male")),
            ]
        )  # fmt: skip
    columns = ["accuracy in per cent, 5 shots", "speakers", "lowest", "median", "highest", "women", "men"]
    return table(columns, rows)


def _failures(found: Mapping[str, Any]) -> str:
    """Weaknesses of the model in the results."""
    lines = []
    for title, scores in found["scores"].items():
        for arm, figures in scores["difference"].items():
            for figure, one in figures.items():
                if arm not in ("default", "split") or (one["decided"] and one["mean"] > 0):
                    continue
                verdict = "worse than" if one["decided"] else "no decided difference from"
                lines.append(f"- {figure_name(figure)}, {title}: {verdict} `{scores['reference']}`.")
    for figure, own in found["by speaker"].items():
        shares = own["speakers"]
        below = sum(share < CHANCE for share in shares.values())
        if below:
            lines.append(f"- {figure_name(figure)}: {below} of {len(shares)} speakers are below chance with 5 shots.")
    same = found["scores"]["5 shots"]["accuracy"]["default"]
    for figure in same:
        corpus, speakers = figure.split()
        if speakers == "same" and f"{corpus} disjoint" in same:
            own, unseen = (same[f"{corpus} {kind}"]["mean"] for kind in ("same", "disjoint"))
            name = CORPORA.get(corpus, corpus)
            lines.append(f"- {name}: {unseen:.1f} % for unseen speakers, {own:.1f} % for the same speaker.")
    return "\n".join(lines)


def _filled(text: str) -> str:
    """Wrap a paragraph to the page's width; commands are not broken."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def _layers(count: int) -> str:
    return "layer" if count == 1 else f"{count} layers"


def _listed(names: Any) -> str:
    *most, last = list(names)
    return f"{', '.join(most)} and {last}" if most else str(last)
