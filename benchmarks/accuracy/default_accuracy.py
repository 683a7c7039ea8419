"""The accuracy of a model by the protocol, compared with the frozen encoder, on test speakers and the unseen language.

    python -m benchmarks.accuracy.default_accuracy MODEL CORPORA [--frozen MODEL] [--compare NAME=MODEL]
        [--tuned-episodes N]

MODEL is a bundle's folder or name, or a checkpoint's folder; CORPORA holds all corpora of the protocol. 4 ways, five
shots and one; 600 episodes; then 200 with the head tuned by `split` on five shots of the experiments' corpora. It
uses the test speakers and the corpora for reports: use it for reports, never for choices. `--develop` measures only
corpora and speakers that choices may depend on. Writes `results/NAME.json` and `.md`, by default `default_accuracy`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.scores import markdown, score
from benchmarks.accuracy.specs import DEVELOP, PROTOCOL, TESTS, Spec, sampler_of
from benchmarks.machine import RESULTS, machine
from benchmarks.markdown import table
from metaser.runtime.system.files import SHARED, replace_text
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.evaluation.embeddings import Embedder, embed_clips, open_embedder
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate
from metaser.toolkit.evaluation.tuned_evaluation import Framed, evaluate_tuned, frame_clips, open_tunable

EPISODES, TUNED_EPISODES = 600, 200
SHOTS_BY_SPEAKER = 5
LEGEND = (
    "Accuracy in per cent ± half of its 95 % interval over episodes. Differences are paired by episode and query; the "
    "brackets give the 95 % interval over speakers. Bold: both intervals exclude zero."
)


def accuracy(embedder: Embedder, utterances: Sequence[Utterance], spec: Spec, episodes: int, cache: Path) -> Evaluation:
    """Evaluate a model on the episodes of one spec."""
    rows, sampler = sampler_of(utterances, spec)
    embedded = embed_clips(embedder, [utterances[row] for row in rows], cache=cache)
    assert not embedded.problems
    return evaluate(embedded, sampler, episodes)


def tuned(model: str, utterances: Sequence[Utterance], episodes: int) -> dict[str, list[Evaluation]]:
    """Evaluate a model on the episodes of every spec, tuned on each support set; each corpus is framed once."""
    tunable = open_tunable(model, "split")
    framed: dict[str, Framed] = {}
    found = {}
    for spec in TESTS:
        rows, sampler = sampler_of(utterances, spec)
        if spec.corpus not in framed:
            framed[spec.corpus] = frame_clips(tunable, [utterances[row] for row in rows])
        found[spec.name] = [evaluate_tuned(tunable, framed[spec.corpus], sampler, episodes)]
    return found


def of_speakers(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Accuracy by speaker and by sex, in per cent of their queries."""
    correct, speakers = np.concatenate(evaluation.correct), np.array(evaluation.speakers)
    sexes = np.array([sex_of(*speaker.split("/")) for speaker in evaluation.speakers])
    return {
        "speakers": {str(name): _percent(correct[speakers == name]) for name in np.unique(speakers)},
        "sexes": {str(name): _percent(correct[sexes == name]) for name in np.unique(sexes)},
    }


def sex_of(corpus: str, speaker: str) -> str:
    """Sex of a speaker, as stated by the authors of the corpus."""
    if corpus == "ravdess":
        return "female" if int(speaker) % 2 == 0 else "male"
    if corpus == "emodb":
        return "male" if speaker in {"03", "10", "11", "12", "15"} else "female"
    if corpus in ("urdu", "eyase", "emovo"):
        return {"m": "male", "f": "female"}.get(speaker[:1].lower(), "unknown")
    return "unknown"


@dataclass(frozen=True)
class Models:
    """The measured model: a folder or the name of a shipped bundle."""

    default: str
    frozen: str = "frozen"
    others: Mapping[str, str] = field(default_factory=dict)
    """Other models by name, for example one trained without one of the languages."""


def report(
    models: Models, corpora: Path, cache: Path, tuned_episodes: int = TUNED_EPISODES, specs: Sequence[Spec] = PROTOCOL
) -> dict[str, Any]:
    """All results; without tuning if `tuned_episodes` is 0."""
    names = dict.fromkeys(spec.corpus for spec in specs)
    utterances = [clip for name in names for clip in read_corpus(corpora / name).utterances]
    folders = {"frozen": models.frozen, "default": models.default, **models.others}
    embedders = {name: open_embedder(folder) for name, folder in folders.items()}
    scores: dict[str, Any] = {}
    found: dict[str, Evaluation] = {}
    for shots, title in ((5, "5 shots"), (1, "1 shot")):
        shot = [replace(spec, k_shot=shots) for spec in specs]
        arms = {
            name: {spec.name: [accuracy(embedder, utterances, spec, EPISODES, cache)] for spec in shot}
            for name, embedder in embedders.items()
        }
        scores[title] = score(arms, "frozen")
        if shots == SHOTS_BY_SPEAKER:
            found = {name: own[0] for name, own in arms["default"].items()}
    if tuned_episodes:
        one = embedders["default"]
        arms = {
            "untuned": {spec.name: [accuracy(one, utterances, spec, tuned_episodes, cache)] for spec in TESTS},
            "split": tuned(models.default, utterances, tuned_episodes),
        }
        scores["5 shots, tuned"] = score(arms, "untuned")
    return {"scores": scores, "by speaker": {name: of_speakers(one) for name, one in found.items()}}


def to_markdown(figures: Mapping[str, Any], command: str, name: str) -> str:
    """The tables, with the model's name instead of `default`, its name in the results."""
    where = machine()
    sections = [
        f"# Accuracy of the {name} model",
        f"`{command}`, commit {where['commit']}.",
        LEGEND,
        *(f"## {title}\n\n{markdown(_named(own, name))}" for title, own in figures["scores"].items()),
        "## By sex and speaker, 5 shots",
    ]
    rows = [
        [name, *(", ".join(f"{who} {share:.1f}" for who, share in own[part].items()) for part in ("sexes", "speakers"))]
        for name, own in figures["by speaker"].items()
    ]
    return "\n\n".join([*sections, table(["figure", "sexes", "speakers"], rows)]) + "\n"


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.default_accuracy", description=__doc__.split("\n")[0]
    )
    parser.add_argument("model")
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--frozen", default="frozen", help="A bundle or checkpoint to compare with.")
    parser.add_argument(
        "--compare", action="append", default=[], metavar="NAME=MODEL", help="Another model to evaluate."
    )
    parser.add_argument("--tuned-episodes", type=int, default=TUNED_EPISODES, help="0: no tuning.")
    parser.add_argument("--cache", type=Path, default=cache_folder() / "embeddings")
    parser.add_argument("--name", default="default_accuracy")
    parser.add_argument("--develop", action="store_true", help="Validation speakers and develop corpora, no tuning.")
    given = parser.parse_args()
    others = dict(one.split("=", 1) for one in given.compare)
    episodes, specs = (0, DEVELOP) if given.develop else (given.tuned_episodes, PROTOCOL)
    figures = report(Models(given.model, given.frozen, others), given.corpora, given.cache, episodes, specs)
    name = "" if given.name == "default_accuracy" else f" --name {given.name}"
    name += " --develop" if given.develop else ""
    command = f"python -m benchmarks.accuracy.default_accuracy {Path(given.model).name} CORPORA{name}"
    document = {"machine": machine(), "command": command, **figures}
    replace_text(RESULTS / f"{given.name}.json", json.dumps(document, indent=1) + "\n", mode=SHARED)
    text = to_markdown(figures, command, Path(given.model).name)
    replace_text(RESULTS / f"{given.name}.md", text, mode=SHARED)
    print(text)
    return 0


def _named(scores: Mapping[str, Any], name: str) -> dict[str, Any]:
    arms = {
        part: {name if arm == "default" else arm: own for arm, own in scores[part].items()}
        for part in ("accuracy", "difference")
    }
    return {**scores, **arms}


def _percent(correct: Any) -> float:
    return round(100 * float(np.mean(correct)), 1)


if __name__ == "__main__":
    sys.exit(main())
