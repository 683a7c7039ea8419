"""Choice of the default model's recipe: short training runs compared on speakers that are not test speakers.

    python -m benchmarks.research.default_training BACKBONE CORPORA [ARM ...] [--without CORPUS] [--long NAME=RUN]

BACKBONE is a folder of Whisper base in the hub's layout, CORPORA one with ravdess, emodb and nemo. Every arm is the
recipe with one change, and trains on the training speakers of two languages. It is evaluated on the validation
speakers of both, and on the third, held-out language: all speakers except the test speakers. Run the same command
again to continue after an interruption. Without an ARM the finished arms are written to
`results/default_training.json` and `.md`, together with the runs of `metaser train configs/three-corpora.toml` that
`--long` names, on the validation speakers of all three languages.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy.scores import markdown, score
from benchmarks.accuracy.specs import TEST_SEED, Spec, sampler_of
from benchmarks.machine import RESEARCH, machine
from benchmarks.markdown import table
from metaser.runtime.system.files import SHARED, replace_text
from metaser.runtime.system.user_folders import cache_folder
from metaser.toolkit.config import Config
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.episodes.sampler import split_of
from metaser.toolkit.evaluation.embeddings import Embedder, embed_by, embed_clips, open_embedder
from metaser.toolkit.evaluation.evaluate import Evaluation, evaluate
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.network import ProtoNet, identity_head
from metaser.toolkit.toml_config import read_toml, to_dataclass
from metaser.toolkit.training.logs import LOG_FILE
from metaser.toolkit.training.run import BEST
from metaser.toolkit.training.state import STATE_FILE
from metaser.toolkit.training.train import train

RECIPE = Path(__file__).parents[2] / "configs" / "three-corpora.toml"
EPISODES = 600
LANGUAGES = {"emodb": "German", "ravdess": "English", "nemo": "Polish"}
FROZEN, FROZEN_LAYERS = "frozen", 2
REFERENCE = "reference"
FINISHED = "finished"
PARTS = 5
LEGEND = (
    "Accuracy in per cent ± half of its 95 % interval over episodes. Differences are paired by episode and query; the "
    "brackets give the 95 % interval over speakers. Bold: both intervals exclude zero. Single runs: the "
    "variation between training runs is known only if the arm 'another seed' was run."
)

COMMON: Mapping[str, Any] = {
    "data": {"crop_s": 2.5, "cache": "disk"},
    "episodes": {"n_way": 4, "k_shot": 5, "n_query": 5, "symmetric_loss": True, "count": 100},
    "model": {"layers": 3, "head": "mean-fc", "embedding_size": 256, "whitened_head": True, "whitening_power": 0.25},
    "optimiser": {
        "backbone_lr": 1e-4,
        "head_lr": 3e-4,
        "layer_decay": 0.9,
        "warmup": 10,
        "schedule": "cosine",
        "ema_decay": 0.0,
        "wise_ft_alpha": 1.0,
    },
    "freeze": {"layers": 1, "variants": 4},
    "augment": {"frame_keep_ratio": 0.4},
    "validation": {"every": 0},
}
"""Settings of all arms; without validation during training, so the last weights are evaluated."""

LONGER: Mapping[str, Any] = {
    "episodes": {"count": 300},
    "model": {"whitening_power": 0.0625},
    "optimiser": {"ema_decay": 0.98, "schedule": "constant"},
}
"""A longer version of the short recipe, for arms that interpolate the weights."""

ARMS: Mapping[str, Mapping[str, Any]] = {
    "all layers": {"freeze": {"layers": 0, "variants": 0}},
    "reference": {},
    "another seed": {"seed": 1},
    "head at random": {"model": {"whitened_head": False}, "optimiser": {"head_lr": 1e-3}},
    "less whitening": {"model": {"whitening_power": 0.0625}},
    "scale of 20": {"model": {"scale": 20.0}},
    "rate 2e-4": {"optimiser": {"backbone_lr": 2e-4}},
    "6 ways, 3 shots": {"episodes": {"n_way": 6, "k_shot": 3, "n_query": 3}},
    "label loss": {"optimiser": {"classification_weight": 0.5}},
    "equaliser, band": {"augment": {"equaliser_chance": 0.5, "band_chance": 0.3}},
    "all frames": {"augment": {"frame_keep_ratio": 1.0}},
    "one way": {"episodes": {"symmetric_loss": False}},
    "1 layer": {"model": {"layers": 1}, "freeze": {"layers": 0}},
    "2 layers": {"model": {"layers": 2}},
    "4 layers": {"model": {"layers": 4}},
    "weighted sum": {"model": {"weighted_sum": True}, "freeze": {"variants": 0}},
    "GLU": {"model": {"head": "glu"}},
    "GLU, one way": {"model": {"head": "glu"}, "episodes": {"symmetric_loss": False}},
    "GLU, one way, less whitening": {
        "model": {"head": "glu", "whitening_power": 0.0625},
        "episodes": {"symmetric_loss": False},
    },
    "lateral inhibition": {"model": {"head": "lateral-inhibition"}},
    "embedding of 128": {"model": {"embedding_size": 128}},
    "free sampling": {"episodes": {"sampling": "free"}},
    "free sampling, adversary": {
        "episodes": {"sampling": "free"},
        "adversary": {"on": "language", "weight": 0.03},
    },
    "average": {"optimiser": {"ema_decay": 0.98, "schedule": "constant"}},
    "300 episodes": LONGER,
    "300 episodes, half whitened": {**LONGER, "model": {"whitening_power": 0.25}},
    "300 episodes, three quarters of the way": {
        **LONGER,
        "optimiser": {**LONGER["optimiser"], "wise_ft_alpha": 0.75},
    },
}


def config_of(arm: Mapping[str, Any], backbone: Path, corpora: Path, out: Path, unheard: str) -> Config:
    """The short recipe with the changes of an arm, on two of three corpora."""
    where = {
        "out": str(out),
        "data": {"corpora": [str(corpora / name) for name in LANGUAGES if name != unheard]},
        "model": {"backbone": str(backbone)},
    }
    table = read_toml(RECIPE)
    for changes in (COMMON, where, arm):
        table = merge(table, changes)
    return to_dataclass(Config, table, RECIPE.name)


def merge(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A nested table with some values replaced."""
    merged = dict(table)
    for key, value in changes.items():
        merged[key] = merge(merged.get(key, {}), value) if isinstance(value, Mapping) else value
    return merged


def judged_on(corpora: Path, unheard: str | None) -> list[Utterance]:
    """Clips for evaluation: none of a test speaker, none that an arm trained on."""
    clips = [clip for name in LANGUAGES for clip in read_corpus(corpora / name).utterances]
    parts = {unheard: ("train", "validation")}
    return [clip for clip in clips if split_of(clip) in parts.get(clip.corpus, ("validation",))]


def judge(embedder: Embedder, utterances: Sequence[Utterance], cache: Path) -> dict[str, list[Evaluation]]:
    """One evaluation per figure."""
    found = {}
    for spec in (Spec(name, speakers, split="all") for speakers in ("disjoint", "same") for name in LANGUAGES):
        rows, sampler = sampler_of(utterances, spec)
        embedded = embed_clips(embedder, [utterances[row] for row in rows], cache=cache)
        found[spec.name] = [evaluate(embedded, sampler, EPISODES)]
    return found


def frozen(backbone: Path) -> Embedder:
    """The untrained default: the mean frame of two layers."""
    layers = load_backbone(backbone, FROZEN_LAYERS)
    network = ProtoNet(layers, identity_head(layers.width)).eval()
    return Embedder(FROZEN, "checkpoint", FROZEN, partial(embed_by, network))


def learnt(folder: Path) -> dict[str, Any]:
    """Summary of an arm's log: changes, episodes, accuracy of the last ones, and time (other programs may have run)."""
    events = [json.loads(line) for line in (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    return {
        "episodes": len(steps),
        "training_accuracy": [
            round(100 * float(np.mean([step["accuracy"] for step in part])), 1)
            for part in np.array_split(np.array(steps, dtype=object), PARTS)
            if len(part)
        ],
        "validation": {
            event["step"]: round(100 * event["accuracy"], 1) for event in events if event["event"] == "validation"
        },
        "seconds_an_episode": round(float(np.median([step["seconds"] for step in steps])), 2),
    }


@dataclass(frozen=True)
class Places:
    """Folders of the comparison."""

    backbone: Path
    corpora: Path
    cache: Path

    def arms(self, unheard: str) -> dict[str, Path]:
        """The folders of arms."""
        names = {name: name.replace(", ", "-").replace(" ", "-") for name in ARMS}
        return {name: self.cache / f"without-{unheard}" / folder for name, folder in names.items()}

    def finished(self, unheard: str) -> dict[str, Path]:
        """The folders of finished arms."""
        return {name: folder for name, folder in self.arms(unheard).items() if (folder / FINISHED).exists()}

    def train(self, name: str, unheard: str) -> None:
        """Train an arm, or continue it; all share decoded clips and the outputs of frozen layers."""
        config = config_of(ARMS[name], self.backbone, self.corpora, self.arms(unheard)[name], unheard)
        if (config.out / FINISHED).exists():
            return
        shared, own = self.cache / "clips", config.out / "cache"
        for folder in (shared, config.out):
            folder.mkdir(parents=True, exist_ok=True)
        if not own.exists():
            own.symlink_to(shared.resolve(), target_is_directory=True)
        train(config, partial(print, flush=True), resume=(config.out / STATE_FILE).exists())
        (config.out / FINISHED).touch()

    def scores(self, folders: Mapping[str, Path], unheard: str | None) -> dict[str, Any]:
        """Evaluate trained arms and the frozen encoder on all figures."""
        utterances = judged_on(self.corpora, unheard)
        embedders = {name: open_embedder(folder / BEST) for name, folder in folders.items()}
        embedders = {FROZEN: frozen(self.backbone), **embedders}
        arms = {name: judge(one, utterances, self.cache / "embeddings") for name, one in embedders.items()}
        return score(arms, REFERENCE if REFERENCE in arms else FROZEN)


def compare(long: Mapping[str, Path], places: Places) -> dict[str, Any]:
    """Scores of finished arms and of long runs, and their training curves."""
    arms = {unheard: found for unheard in LANGUAGES if (found := places.finished(unheard))}
    folders = {f"{name}, without {unheard}": folder for unheard, own in arms.items() for name, folder in own.items()}
    return {
        "machine": machine(),
        "command": "python -m benchmarks.research.default_training BACKBONE CORPORA [ARM ...] [--without CORPUS]",
        "seeds": {"training": read_toml(RECIPE)["seed"], "episodes": TEST_SEED},
        "common": COMMON,
        "changes": {name: changes for name, changes in ARMS.items() if any(name in own for own in arms.values())},
        "arms": {unheard: places.scores(own, unheard) for unheard, own in arms.items()},
        "long": places.scores(long, None) if long else None,
        "training": {name: learnt(folder) for name, folder in {**folders, **long}.items()},
    }


def to_markdown(found: Mapping[str, Any]) -> str:
    """The tables of a comparison."""
    rows = [
        [
            name, str(own["episodes"]), ", ".join(map(str, own["training_accuracy"])),
            ", ".join(f"{accuracy} at {step}" for step, accuracy in own["validation"].items()),
            str(own["seconds_an_episode"]),
        ]
        for name, own in found["training"].items()
    ]  # fmt: skip
    accuracy = f"training accuracy in {PARTS} parts of the run, %"
    columns = ["run", "episodes", accuracy, "validation, % at episode", "s per episode, median"]
    sections = [
        "# Choice of the default model's recipe",
        f"`{found['command']}`, commit {found['machine']['commit']}.",
        f"{LEGEND} {found.get('note', '')}".strip(),
        *(f"## {LANGUAGES[unheard]} held out\n\n{markdown(scores)}" for unheard, scores in found["arms"].items()),
    ]
    if found["long"]:
        sections += ["## Long runs\n\nTrained on all three; validation speakers.", markdown(found["long"])]
    return "\n\n".join([*sections, "## Training", table(columns, rows)]) + "\n"


def main() -> int:
    """Train arms, or write the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.research.default_training", description=__doc__.split("\n")[0]
    )
    parser.add_argument("backbone", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("arms", nargs="*", metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--without", choices=LANGUAGES, default="emodb", help="The held-out corpus.")
    parser.add_argument("--long", action="append", default=[], metavar="NAME=RUN", help="The folder of a run.")
    parser.add_argument("--note", default="", help="A note on these runs for the page.")
    parser.add_argument("--cache", type=Path, default=cache_folder() / "default_training")
    parser.add_argument("--out", type=Path, default=RESEARCH)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    places = Places(given.backbone, given.corpora, given.cache)
    for name in given.arms:
        places.train(name, given.without)
    if not given.arms:
        long = {name: Path(run) for name, run in (one.split("=", 1) for one in given.long)}
        found = {**compare(long, places), "note": given.note}
        replace_text(given.out / "default_training.json", json.dumps(found, indent=1) + "\n", mode=SHARED)
        replace_text(given.out / "default_training.md", to_markdown(found), mode=SHARED)
        print(to_markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
