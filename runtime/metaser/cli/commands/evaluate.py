"""`metaser evaluate`: few-shot accuracy of a checkpoint or a bundle on labelled corpora."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.options import JsonOption, Provider, ProviderOption, ThreadsOption
from metaser.cli.paths import name_or_folder
from metaser.cli.view.console import plain, print_json
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.skipped_files import StrictOption, print_skipped, skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for, new_table

if TYPE_CHECKING:
    from metaser.toolkit.data.utterances import Problem, Utterance
    from metaser.toolkit.evaluation.embeddings import Embedded, Embedder
    from metaser.toolkit.evaluation.evaluate import Comparison, Evaluation
    from metaser.toolkit.evaluation.evaluation_file import Run
    from metaser.toolkit.evaluation.intervals import Interval
    from metaser.toolkit.evaluation.tuned_evaluation import Framed, TunableModel


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


ModelArgument = Annotated[
    str,
    typer.Argument(metavar="MODEL", callback=name_or_folder, help="A checkpoint, a bundle, or the name of one."),
]
CorpusOption = Annotated[
    list[Path],
    typer.Option("--corpus", metavar="DIR", help="A corpus or a CSV manifest; may come several times.", readable=False),
]
NWayOption = Annotated[int, typer.Option("--n-way", metavar="N", help="Classes of an episode.")]
KShotOption = Annotated[int, typer.Option("--k-shot", metavar="K", help="Labelled clips of each class.")]
NQueryOption = Annotated[int, typer.Option("--n-query", metavar="Q", help="Queries of each class, at most.")]
EpisodesOption = Annotated[int, typer.Option("--episodes", metavar="N", help="How many episodes of each corpus.")]
SpeakersOption = Annotated[
    Speakers,
    typer.Option(
        "--speakers",
        metavar="WHO",
        help="disjoint: support and queries by different people; same: by one person; any: not looked at.",
    ),
]
SplitOption = Annotated[
    Part,
    typer.Option("--split", metavar="PART", help="Which speakers of the protocol: all, train, validation or test."),
]
ClassesOption = Annotated[
    Classes,
    typer.Option("--classes", metavar="COLUMN", help="What is told apart: label, original_label, speaker, language."),
]
TuneOption = Annotated[
    Tune,
    typer.Option(
        "--tune",
        metavar="METHOD",
        help="Tune the head on each episode's support set: split or pmf, with one shot time or views. "
        "A bundle tunes as a device does, a checkpoint in PyTorch.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Another seed draws other episodes.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write evaluation.json and confusion matrices.")
]
AgainstOption = Annotated[
    Path | None, typer.Option("--against", metavar="FILE.json", help="Compare with another run's evaluation.json.")
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="Where embeddings are kept between runs.")
]


def evaluate(  # noqa: PLR0913 # one parameter an option
    *,
    model: ModelArgument,
    corpus: CorpusOption,
    n_way: NWayOption = 4,
    k_shot: KShotOption = 5,
    n_query: NQueryOption = 15,
    episodes: EpisodesOption = 600,
    speakers: SpeakersOption = Speakers.disjoint,
    split: SplitOption = Part.all,
    classes: ClassesOption = Classes.label,
    tune: TuneOption = Tune.none,
    seed: SeedOption = 0,
    out: OutOption = None,
    against: AgainstOption = None,
    cache: CacheOption = None,
    provider: ProviderOption = Provider.auto,
    threads: ThreadsOption = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how well a model tells classes apart from a few labelled clips.

    Each episode draws classes and K labelled clips of each, and labels other clips. Two runs with the same options
    see the same episodes, so --against gives the interval of their difference. A bundle needs no PyTorch.
    """
    from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
    from metaser.toolkit.evaluation.embeddings import open_embedder
    from metaser.toolkit.evaluation.evaluate import evaluate as measure
    from metaser.toolkit.evaluation.evaluation_file import Run, compare_runs, read_run
    from metaser.toolkit.evaluation.tuned_evaluation import evaluate_tuned, open_tunable

    settings = EpisodeSettings(n_way, k_shot, n_query, speakers.value)
    sampler_of = partial(EpisodeSampler, settings=settings, seed=seed, column=classes.value)
    other = read_run(against) if against else None
    found = [_read(folder, split, strict=strict) for folder in corpus]
    for own, _ in found:
        sampler_of(own)  # a shortage is reported before the slow part
    embedder = open_embedder(model, provider=provider.value, threads=threads)
    tunable = None
    if tune is not Tune.none:
        tunable = open_tunable(model, tune.value, provider=provider.value, threads=threads)
    evaluations, left_out = [], []
    for own, problems in found:
        if tunable:
            framed = _frames(tunable, own, as_json, strict=strict)
            evaluations.append(evaluate_tuned(tunable, framed, sampler_of(framed.utterances), episodes))
            left_out.append([*problems, *framed.problems])
        else:
            embedded = _embed(embedder, own, cache, as_json, strict=strict)
            evaluations.append(measure(embedded, sampler_of(embedded.utterances), episodes))
            left_out.append([*problems, *embedded.problems])
    run = Run({"name": embedder.name, "form": embedder.form, "key": embedder.key}, tuple(evaluations))
    differences = compare_runs(run, other) if other else {}
    if as_json:
        _print_json(run, left_out, differences)
    else:
        _print(console_for(as_json), run.evaluations, differences)
    if out:
        _write(out, run)


def _read(path: Path, split: Part, *, strict: bool) -> tuple[tuple[Utterance, ...], tuple[Problem, ...]]:
    """The readable clips of a part of a corpus, and what is wrong with other files."""
    from metaser.runtime import InputError
    from metaser.toolkit.data.corpora import read_any, readable
    from metaser.toolkit.episodes.sampler import split_of

    corpus = readable(read_any(path))
    _tell(corpus.problems, len(corpus.utterances) + len(corpus.problems), strict=strict)
    clips = tuple(clip for clip in corpus.utterances if split is Part.all or split_of(clip) == split.value)
    if not clips:
        raise InputError(f"{path}: none of its {len(corpus.utterances)} clips is of the {split.value} speakers")
    return clips, corpus.problems


def _embed(
    embedder: Embedder, clips: tuple[Utterance, ...], cache: Path | None, as_json: bool, *, strict: bool
) -> Embedded:
    from metaser.toolkit.evaluation.embeddings import embed_clips

    with SlowProgress("Embedding", as_json=as_json) as progress:
        embedded = embed_clips(embedder, clips, cache=cache, progress=progress)
    _tell(embedded.problems, len(clips), strict=strict)
    return embedded


def _frames(model: TunableModel, clips: tuple[Utterance, ...], as_json: bool, *, strict: bool) -> Framed:
    from metaser.toolkit.evaluation.tuned_evaluation import frame_clips

    with SlowProgress("Reading frames", as_json=as_json) as progress:
        framed = frame_clips(model, clips, progress=progress)
    _tell(framed.problems, len(clips), strict=strict)
    return framed


def _tell(problems: tuple[Problem, ...], found: int, *, strict: bool) -> None:
    """List files that are left out; with `strict` they are an error."""
    from metaser.toolkit.data.utterances import refuse_problems

    if strict:
        refuse_problems(problems, found, "--strict")
    if problems:
        console = console_for(as_json=True)
        console.print_line(f"left out, of {found} files: {len(problems)}", style="yellow")
        print_skipped(console, problems)


def _write(out: Path, run: Run) -> None:
    from metaser.runtime.enrolment.labels import safe_name
    from metaser.runtime.system.files import SHARED, replace_text
    from metaser.toolkit.evaluation.charts import draw_confusion
    from metaser.toolkit.evaluation.evaluation_file import to_document

    replace_text(out / "evaluation.json", json.dumps(to_document(run)), mode=SHARED)
    for one in run.evaluations:
        picture = out / f"confusion-{safe_name(one.corpus, CORPUS_BYTES)}.png"
        draw_confusion(picture, one.confusion, one.classes, f"{run.model['name']} on {one.corpus}")


def _print_json(run: Run, left_out: Sequence[Sequence[Problem]], differences: dict[str, Comparison]) -> None:
    from metaser.toolkit.evaluation.evaluation_file import comparison_summary, summary

    for one, problems in zip(run.evaluations, left_out, strict=True):
        difference = differences.get(one.corpus)
        against = comparison_summary(difference) if difference else None
        print_json(model=dict(run.model), **summary(one), left_out=skipped_json(problems), against=against)


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
