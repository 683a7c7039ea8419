"""Read and check the clips of a run, and split them into training clips and clips of held-out speakers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metaser.runtime.errors import InputError
from metaser.toolkit.config import Config, DataConfig
from metaser.toolkit.data.clip_store import ClipStore, check_clips
from metaser.toolkit.data.corpora import read_corpus, read_manifest
from metaser.toolkit.data.utterances import Problem, Utterance, refuse_problems
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings, Split, split_of
from metaser.toolkit.training.adversary import domains_of

LISTED_PROBLEMS = 3


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Data of a run; each sampler has the utterances of the store of the same name."""

    training: EpisodeSampler
    training_clips: ClipStore
    validation: EpisodeSampler | None
    """None without validation."""
    validation_clips: ClipStore
    domains: tuple[str, ...]
    """Domains of the adversary; empty without one."""
    problems: tuple[Problem, ...]
    """Files that were found or listed and are skipped."""

    @property
    def fingerprint(self) -> str:
        """A hash over the clips and their order: if it differs, episodes differ."""
        rows = [
            (clip.path.name, clip.label, clip.speaker, clip.language, clip.corpus)
            for store in (self.training_clips, self.validation_clips)
            for clip in store.utterances
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_training_data(config: Config, notify: Callable[[str], None]) -> TrainingData:
    """Read and decode everything once, so that every problem is reported before the first episode.

    Raises:
        NotFoundError: a folder or table does not exist.
        InputError: no clips, too few for the episodes, or with data.strict one that cannot be used.
    """
    utterances, unread = _read(config.data)
    if config.data.strict:
        refuse_problems(unread, len(utterances) + len(unread), "data.strict")
    parts = {split: [clip for clip in utterances if _split(clip, config.data) == split] for split in _splits(config)}
    folder = config.out / "cache"
    stores, problems = {}, list(unread)
    for split, clips in parts.items():
        if not clips:
            raise InputError(_none_left(split, utterances))
        store = ClipStore(clips, config.data.cache, folder)
        usable, faulty = check_clips(store, strict=config.data.strict, threads=config.workers)
        stores[split] = store.keep(usable)
        problems += faulty
    if problems:
        notify(_summary(problems))
    training = stores["train"]
    validation = stores.get("validation", ClipStore((), "none", folder))
    return TrainingData(
        EpisodeSampler(training.utterances, config.episodes, config.seed, config.data.column),
        training,
        _validation_sampler(config, validation) if "validation" in stores else None,
        validation,
        domains_of(training.utterances, config.adversary),
        tuple(problems),
    )


def _read(data: DataConfig) -> tuple[list[Utterance], list[Problem]]:
    corpora = [read_corpus(root) for root in data.corpora] + [read_manifest(table) for table in data.manifests]
    utterances = [clip for corpus in corpora for clip in corpus.utterances]
    problems = [problem for corpus in corpora for problem in corpus.problems]
    known = {clip.corpus for clip in utterances}
    for corpus, speakers in (data.validation_speakers or {}).items():
        if corpus not in known:
            raise InputError(f"data.validation_speakers names the corpus {corpus!r}: there are {', '.join(known)}")
        there = {clip.speaker for clip in utterances if clip.corpus == corpus}
        if unknown := sorted(set(speakers) - there):
            raise InputError(f"{corpus} has no speaker {unknown[0]!r}: it has {', '.join(sorted(there))}")
    return utterances, problems


def _splits(config: Config) -> tuple[Split, ...]:
    return ("train", "validation") if config.validation.every else ("train",)


def _split(clip: Utterance, data: DataConfig) -> Split:
    """The partition of a clip; given validation speakers replace the protocol's, who then train."""
    split = split_of(clip)
    if data.validation_speakers is None or split == "test":
        return split
    return "validation" if clip.speaker in data.validation_speakers.get(clip.corpus, ()) else "train"


def _validation_sampler(config: Config, store: ClipStore) -> EpisodeSampler:
    wanted, own = config.episodes, config.validation
    settings = EpisodeSettings(
        own.n_way or wanted.n_way, own.k_shot or wanted.k_shot, own.n_query, wanted.speaker_split, wanted.sampling
    )
    try:
        return EpisodeSampler(store.utterances, settings, config.seed, config.data.column)
    except InputError as error:
        raise InputError(f"validation: {error}; or set data.validation_speakers, or validation.every to 0") from error


def _none_left(split: Split, utterances: Sequence[Utterance]) -> str:
    corpora = ", ".join(sorted({clip.corpus for clip in utterances}))
    if split == "train":
        return f"none of the {len(utterances)} clips of {corpora} may train: the protocol keeps them for testing"
    return (
        f"none of the {len(utterances)} clips of {corpora} is of a validation speaker: name some in "
        "data.validation_speakers, or set validation.every to 0"
    )


def _summary(problems: Sequence[Problem]) -> str:
    first = "; ".join(f"{problem.path.name}: {problem.reason}" for problem in problems[:LISTED_PROBLEMS])
    more = "; the log lists all" if len(problems) > LISTED_PROBLEMS else ""
    return f"{len(problems)} files are left out: {first}{more}"
