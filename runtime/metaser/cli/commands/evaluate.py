"""`metaser evaluate`: few-shot accuracy of a checkpoint or a bundle on labelled corpora."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaser.cli.options import JsonOption, Provider, ProviderOption, ThreadsOption
from metaser.cli.paths import name_or_folder
from metaser.cli.view.console import print_json
from metaser.cli.view.progress import SlowProgress
from metaser.cli.view.skipped_files import StrictOption, print_skipped, skipped_json
from metaser.cli.view.terminal import PlainConsole, console_for, new_table
from metaser.runtime.words import counted, listed, plain

if TYPE_CHECKING:
    from metaser.toolkit.data.utterances import Problem, Utterance
    from metaser.toolkit.evaluation.embeddings import Embedded, Embedder
    from metaser.toolkit.evaluation.evaluate import Comparison, Evaluation
    from metaser.toolkit.evaluation.evaluation_file import Run
    from metaser.toolkit.evaluation.intervals import Interval
    from metaser.toolkit.evaluation.tuned_evaluation import Framed, TunableModel


LISTED = 5
"""Names in a sentence."""

CORPUS_BYTES = 200
"""Maximum length of a corpus name inside a file name."""


class Speakers(str, Enum):
    """How the speakers of support and queries relate."""

    disjoint = "disjoint"
    same = "same"
    any = "any"


class Part(str, Enum):
    """Which speakers of the evaluation protocol."""

    all = "all"
    train = "train"
    validation = "validation"
    test = "test"


class Classes(str, Enum):
    """The column that defines the classes."""

    label = "label"
    original_label = "original_label"
    speaker = "speaker"
    language = "language"


class Tune(str, Enum):
    """How the head is tuned on each support set."""

    none = "none"
    split_ = "split"  # `str` has a method `split`
    pmf = "pmf"
    time = "time"
    views = "views"


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        callback=name_or_folder,
        help="A checkpoint folder, a bundle folder, or the name of a shipped bundle.",
    ),
]
CorpusOption = Annotated[
    list[Path],
    typer.Option("--corpus", metavar="DIR", help="A corpus folder or a CSV manifest. May be repeated.", readable=False),
]
NWayOption = Annotated[int, typer.Option("--n-way", metavar="N", help="Classes per episode.")]
KShotOption = Annotated[int, typer.Option("--k-shot", metavar="K", help="Labelled clips per class (shots).")]
NQueryOption = Annotated[int, typer.Option("--n-query", metavar="Q", help="Clips to label per class, at most.")]
EpisodesOption = Annotated[int, typer.Option("--episodes", metavar="N", help="Number of episodes per corpus.")]
SpeakersOption = Annotated[
    Speakers,
    typer.Option(
        "--speakers",
        metavar="WHO",
        help="Speakers of support and queries. disjoint: different speakers. same: one speaker. any: not controlled.",
    ),
]
SplitOption = Annotated[
    Part,
    typer.Option(
        "--split", metavar="PART", help="Which speakers of the protocol to use: all, train, validation or test."
    ),
]
ClassesOption = Annotated[
    Classes,
    typer.Option(
        "--classes", metavar="COLUMN", help="The classes to recognise: label, original_label, speaker or language."
    ),
]
TuneOption = Annotated[
    Tune,
    typer.Option(
        "--tune",
        metavar="METHOD",
        help="Fine-tune the head on each episode's support set: none, split or pmf; with one shot also time or views. "
        "A bundle is tuned as on a device, a checkpoint in PyTorch.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Random seed of the episodes.")]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Write evaluation.json and confusion matrices to this folder."),
]
AgainstOption = Annotated[
    Path | None, typer.Option("--against", metavar="FILE.json", help="Compare with the evaluation.json of another run.")
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", metavar="DIR", help="Store embeddings in this folder and reuse them.")
]


def evaluate(  # noqa: PLR0913 # one parameter per option
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
    """Measure the few-shot accuracy of a model on labelled corpora.

    Each episode draws N classes and K labelled clips per class, then labels other clips. Runs with the same options use
    the same episodes; --against reports the confidence interval of their difference. A bundle needs no PyTorch.
    """
    from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
    from metaser.toolkit.evaluation.embeddings import open_embedder
    from metaser.toolkit.evaluation.evaluate import evaluate as measure
    from metaser.toolkit.evaluation.evaluation_file import Run, compare_runs, read_run
    from metaser.toolkit.evaluation.tuned_evaluation import evaluate_tuned, open_tunable

    _check_options(model, provider, tune, cache)
    settings = EpisodeSettings(n_way, k_shot, n_query, speakers.value)
    sampler_of = partial(EpisodeSampler, settings=settings, seed=seed, column=classes.value)
    other = read_run(against) if against else None
    found = [_read(folder, split, strict=strict) for folder in corpus]
    for part in found:
        sampler_of(part.clips)  # a shortage is reported before the slow part
    embedder = open_embedder(model, provider=provider.value, threads=threads)
    tunable = None if tune is Tune.none else open_tunable(model, tune.value, provider=provider.value, threads=threads)
    evaluations, left_out = [], []
    for part in found:
        clips, problems = part.clips, part.problems
        if tunable:
            framed = _frames(tunable, clips, as_json, strict=strict)
            evaluations.append(evaluate_tuned(tunable, framed, sampler_of(framed.utterances), episodes))
            left_out.append([*problems, *framed.problems])
        else:
            embedded = _embed(embedder, clips, cache, as_json, strict=strict)
            evaluations.append(measure(embedded, sampler_of(embedded.utterances), episodes))
            left_out.append([*problems, *embedded.problems])
    run = Run({"name": embedder.name, "form": embedder.form, "key": embedder.key}, tuple(evaluations))
    differences = compare_runs(run, other) if other else {}
    if as_json:
        _print_json(run, left_out, differences)
    else:
        _print(console_for(as_json), found, run.evaluations, differences)
    if out:
        _write(out, run)


def _check_options(model: str, provider: Provider, tune: Tune, cache: Path | None) -> None:
    """Raise InputError if an option would be ignored."""
    from metaser.runtime import InputError
    from metaser.runtime.bundles.bundle import is_bundle

    if cache and tune is not Tune.none:
        raise InputError("--cache stores embeddings and --tune needs the frames of every clip: leave one out")
    if provider is not Provider.auto and Path(model).is_dir() and not is_bundle(model):
        raise InputError(f"--provider {provider.value} is for bundles and {model} is none: leave it out")


def _folders_line(clips: Sequence[Utterance]) -> str:
    """What the folders of a corpus were taken for."""
    classes, persons = sorted({clip.label for clip in clips}), sorted({clip.speaker for clip in clips} - {""})
    of_whom = f" of {counted(len(persons), 'speaker')} ({listed(persons, LISTED)})" if persons else ""
    return f"{clips[0].corpus}: {counted(len(classes), 'class')} ({listed(classes, LISTED)}){of_whom}"


@dataclass(frozen=True)
class _Clips:
    """The clips of a part of a corpus."""

    clips: tuple[Utterance, ...]
    problems: tuple[Problem, ...]
    is_sorted: bool
    """Whether folders name the labels."""


def _read(path: Path, split: Part, *, strict: bool) -> _Clips:
    """The readable clips of a part of a corpus, and the problems of its other files."""
    from metaser.runtime import InputError
    from metaser.toolkit.data.corpora import read_any, readable
    from metaser.toolkit.episodes.sampler import split_of

    corpus = readable(read_any(path))
    _report_problems(corpus.problems, len(corpus.utterances) + len(corpus.problems), strict=strict)
    clips = tuple(clip for clip in corpus.utterances if split is Part.all or split_of(clip) == split.value)
    if not clips:
        raise InputError(
            f"{path}: none of its {counted(len(corpus.utterances), 'clip')} is by a {split.value} speaker of the "
            "protocol"
        )
    return _Clips(clips, corpus.problems, corpus.is_sorted)


def _embed(
    embedder: Embedder, clips: tuple[Utterance, ...], cache: Path | None, as_json: bool, *, strict: bool
) -> Embedded:
    from metaser.toolkit.evaluation.embeddings import embed_clips

    with SlowProgress("Embedding", as_json=as_json) as progress:
        embedded = embed_clips(embedder, clips, cache=cache, progress=progress)
    _report_problems(embedded.problems, len(clips), strict=strict)
    return embedded


def _frames(model: TunableModel, clips: tuple[Utterance, ...], as_json: bool, *, strict: bool) -> Framed:
    from metaser.toolkit.evaluation.tuned_evaluation import frame_clips

    with SlowProgress("Reading frames", as_json=as_json) as progress:
        framed = frame_clips(model, clips, progress=progress)
    _report_problems(framed.problems, len(clips), strict=strict)
    return framed


def _report_problems(problems: tuple[Problem, ...], found: int, *, strict: bool) -> None:
    """Print the files that are left out; with `strict` they are an error."""
    from metaser.toolkit.data.utterances import refuse_problems

    if strict:
        refuse_problems(problems, found, "--strict")
    if problems:
        console = console_for(as_json=True)
        console.print_line(f"{len(problems)} of {counted(found, 'file')} left out:", style="yellow")
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


def _print(
    console: PlainConsole,
    parts: Sequence[_Clips],
    evaluations: tuple[Evaluation, ...],
    differences: dict[str, Comparison],
) -> None:
    for part in parts:
        if part.is_sorted:
            console.print_line(_folders_line(part.clips))
    protocol = evaluations[0].protocol
    title = (
        f"{protocol['n_way']}-way {protocol['k_shot']}-shot, speakers: {protocol['speaker_split']}, "
        f"episodes: {protocol['episodes']}, in %"
    )
    table = new_table("corpus", "accuracy", "95 % interval over speakers", "recall", title=title)
    if differences:
        table.add_column("difference")
        table.add_column("interval over speakers")
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
