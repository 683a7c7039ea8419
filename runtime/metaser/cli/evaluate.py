"""`metaser evaluate`: few-shot accuracy of a checkpoint or a bundle on labelled corpora."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.console import SlowProgress, plain, print_json
from metaser.cli.options import JsonOption, Provider, ProviderOption, ThreadsOption
from metaser.cli.paths import name_or_folder
from metaser.cli.problems import StrictOption, problems_json, say_problems
from metaser.cli.terminal import PlainConsole, new_table, people

if TYPE_CHECKING:
    from metaser.toolkit.embeddings import Embedded, Embedder
    from metaser.toolkit.evaluate import Comparison, Evaluation
    from metaser.toolkit.intervals import Interval
    from metaser.toolkit.runs import Run
    from metaser.toolkit.tuned_evaluation import Framed, TunableModel
    from metaser.toolkit.utterances import Problem, Utterance


CORPUS_BYTES = 200
"""So much of a corpus's name goes into that of a file."""


class Speakers(str, Enum):
    """Who speaks in support and queries."""

    disjoint = "disjoint"
    same = "same"
    any = "any"


class Part(str, Enum):
    """Which speakers of the protocol."""

    all = "all"
    train = "train"
    validation = "validation"
    test = "test"


class Classes(str, Enum):
    """What the classes are."""

    label = "label"
    original_label = "original_label"
    speaker = "speaker"
    language = "language"


class Tune(str, Enum):
    """How the head is tuned on each support set."""

    none = "none"
    split_ = "split"  # `split` is a method of text
    pmf = "pmf"
    time = "time"
    views = "views"


def evaluate(  # noqa: PLR0913 # one parameter an option
    *,
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", callback=name_or_folder, help="A checkpoint, a bundle, or the name of one."),
    ],
    corpus: Annotated[
        list[Path],
        typer.Option(
            "--corpus", metavar="DIR", help="A corpus or a CSV manifest; may come several times.", readable=False
        ),
    ],
    n_way: Annotated[int, typer.Option("--n-way", metavar="N", help="Classes of an episode.")] = 4,
    k_shot: Annotated[int, typer.Option("--k-shot", metavar="K", help="Labelled clips of each class.")] = 5,
    n_query: Annotated[int, typer.Option("--n-query", metavar="Q", help="Queries of each class, at most.")] = 15,
    episodes: Annotated[int, typer.Option("--episodes", metavar="N", help="How many episodes of each corpus.")] = 600,
    speakers: Annotated[
        Speakers,
        typer.Option(
            "--speakers",
            metavar="WHO",
            help="disjoint: support and queries by different people; same: by one person; any: not looked at.",
        ),
    ] = Speakers.disjoint,
    split: Annotated[
        Part,
        typer.Option("--split", metavar="PART", help="Which speakers of the protocol: all, train, validation or test."),
    ] = Part.all,
    classes: Annotated[
        Classes,
        typer.Option(
            "--classes", metavar="COLUMN", help="What is told apart: label, original_label, speaker, language."
        ),
    ] = Classes.label,
    tune: Annotated[
        Tune,
        typer.Option(
            "--tune",
            metavar="METHOD",
            help="Tune the head on each episode's support set: split or pmf, with one shot time or views. "
            "A bundle tunes as a device does, a checkpoint in PyTorch.",
        ),
    ] = Tune.none,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed draws other episodes.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write evaluation.json and confusion matrices.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE.json", help="Compare with another run's evaluation.json.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", metavar="DIR", help="Where embeddings are kept between runs.")
    ] = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how well a model tells classes apart from a few labelled clips.

    Each episode draws classes and K labelled clips of each, and labels other clips. Two runs with the same options
    see the same episodes, so --against gives the interval of their difference. A bundle needs no PyTorch.
    """
    from metaser.toolkit.embeddings import open_embedder
    from metaser.toolkit.episodes import EpisodeSampler, EpisodeSettings
    from metaser.toolkit.evaluate import evaluate as measure
    from metaser.toolkit.runs import Run, compare_runs, read_run
    from metaser.toolkit.tuned_evaluation import evaluate_tuned, open_tunable

    settings = EpisodeSettings(n_way, k_shot, n_query, speakers.value)
    other = read_run(against) if against else None
    found = [_read(folder, split, strict=strict) for folder in corpus]
    for own, _ in found:
        EpisodeSampler(own, settings, seed, classes.value)  # a shortage is told before the slow part
    embedder = open_embedder(model, provider=provider.value, threads=threads)
    tunable = None
    if tune is not Tune.none:
        tunable = open_tunable(model, tune.value, provider=provider.value, threads=threads)
    evaluations, left_out = [], []
    for own, problems in found:
        if tunable:
            framed = _frames(tunable, own, as_json)
            _tell(framed.problems, len(own), strict=strict)
            left_out.append([*problems, *framed.problems])
            sampler = EpisodeSampler(framed.utterances, settings, seed, classes.value)
            evaluations.append(evaluate_tuned(tunable, framed, sampler, episodes))
            continue
        embedded = _embed(embedder, own, cache, as_json)
        _tell(embedded.problems, len(own), strict=strict)
        left_out.append([*problems, *embedded.problems])
        sampler = EpisodeSampler(embedded.utterances, settings, seed, classes.value)
        evaluations.append(measure(embedded, sampler, episodes))
    run = Run({"name": embedder.name, "form": embedder.form, "key": embedder.key}, tuple(evaluations))
    differences = compare_runs(run, other) if other else {}
    if as_json:
        _print_json(run, left_out, differences)
    else:
        _print(people(as_json), run.evaluations, differences)
    if out:
        _write(out, run)


def _read(path: Path, split: Part, *, strict: bool) -> tuple[tuple[Utterance, ...], tuple[Problem, ...]]:
    """The readable clips of a part of a corpus, and what is wrong with other files."""
    from metaser.runtime import InputError
    from metaser.toolkit.corpora import read_any, readable
    from metaser.toolkit.episodes import split_of

    corpus = readable(read_any(path))
    _tell(corpus.problems, len(corpus.utterances) + len(corpus.problems), strict=strict)
    clips = tuple(clip for clip in corpus.utterances if split is Part.all or split_of(clip) == split.value)
    if not clips:
        raise InputError(f"{path}: none of its {len(corpus.utterances)} clips is of the {split.value} speakers")
    return clips, corpus.problems


def _embed(embedder: Embedder, clips: tuple[Utterance, ...], cache: Path | None, as_json: bool) -> Embedded:
    from metaser.toolkit.embeddings import embed_clips

    with SlowProgress("Embedding", as_json=as_json) as progress:
        return embed_clips(embedder, clips, cache=cache, progress=progress)


def _frames(model: TunableModel, clips: tuple[Utterance, ...], as_json: bool) -> Framed:
    from metaser.toolkit.tuned_evaluation import frame_clips

    with SlowProgress("Reading frames", as_json=as_json) as progress:
        return frame_clips(model, clips, progress=progress)


def _tell(problems: tuple[Problem, ...], found: int, *, strict: bool) -> None:
    """List files that are left out; with `strict` they are an error."""
    from metaser.toolkit.utterances import refuse_problems

    if strict:
        refuse_problems(problems, found, "--strict")
    if problems:
        console = people(as_json=True)
        console.say(f"left out, of {found} files: {len(problems)}", style="yellow")
        say_problems(console, problems)


def _write(out: Path, run: Run) -> None:
    from metaser.runtime.files import SHARED, replace_text
    from metaser.runtime.labels import safe_name
    from metaser.toolkit.charts import draw_confusion
    from metaser.toolkit.runs import to_document

    replace_text(out / "evaluation.json", json.dumps(to_document(run)), mode=SHARED)
    for one in run.evaluations:
        picture = out / f"confusion-{safe_name(one.corpus, CORPUS_BYTES)}.png"
        draw_confusion(picture, one.confusion, one.classes, f"{run.model['name']} on {one.corpus}")


def _print_json(run: Run, left_out: Sequence[Sequence[Problem]], differences: dict[str, Comparison]) -> None:
    from metaser.toolkit.runs import comparison_summary, summary

    for one, problems in zip(run.evaluations, left_out, strict=True):
        difference = differences.get(one.corpus)
        against = comparison_summary(difference) if difference else None
        print_json(model=dict(run.model), **summary(one), left_out=problems_json(problems), against=against)


def _print(console: PlainConsole, evaluations: tuple[Evaluation, ...], differences: dict[str, Comparison]) -> None:
    protocol = evaluations[0].protocol
    title = (
        f"{protocol['n_way']}-way {protocol['k_shot']}-shot, speakers: {protocol['speaker_split']}, "
        f"episodes: {protocol['episodes']}, per cent"
    )
    table = new_table("corpus", "accuracy", "95 % over speakers", "recall", title=title)
    if differences:
        table.add_column("difference")
        table.add_column("over speakers")
        table.add_column("decided")
    for one in evaluations:
        row = [
            plain(one.corpus), _mean(one.accuracy), _range(one.accuracy_by_speakers), f"{100 * one.recall:.1f}",
        ]  # fmt: skip
        if found := differences.get(one.corpus):
            row += [_mean(found.by_episodes), _range(found.by_speakers), "yes" if found.decided else "no"]
        table.add_row(*row)
    console.print(table)


def _mean(interval: Interval) -> str:
    return f"{100 * interval.mean:.1f} ± {100 * (interval.high - interval.mean):.1f}"


def _range(interval: Interval | None) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}" if interval else "unknown"
