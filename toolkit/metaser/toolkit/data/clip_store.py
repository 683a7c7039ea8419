"""Store the speech of a list of utterances on disk or in memory, and check it before the first episode."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.recordings import cannot_be_read
from metaser.runtime.audio.trim import load_speech
from metaser.runtime.errors import AudioError, NotFoundError
from metaser.runtime.system.files import replacing
from metaser.toolkit.data.utterances import Problem, Utterance, refuse_problems

SHORTEST_S = 0.1
"""Minimum clip length; a shorter clip has too few frames."""


class ClipStore:
    """The waveforms of utterances, float32 [T] at 16 kHz; safe to use from several threads.

    On disk a clip is an .npy file named after path, size and modification time of its source, so a changed clip is
    decoded again. One second of speech takes 64 kB.
    """

    def __init__(self, utterances: Sequence[Utterance], cache: Literal["disk", "memory", "none"], folder: Path) -> None:
        self.utterances = tuple(utterances)
        self._cache = cache
        self._folder = folder
        self._decoded: dict[int, Waveform] = {}

    def keep(self, indices: Sequence[int]) -> ClipStore:
        """A store of only these utterances, with their decoded clips."""
        kept = ClipStore([self.utterances[index] for index in indices], self._cache, self._folder)
        decoded = ((position, self._decoded.get(index)) for position, index in enumerate(indices))
        kept._decoded = {position: clip for position, clip in decoded if clip is not None}
        return kept

    def load(self, index: int) -> Waveform:
        """The clip of utterance `index`; with the disk cache it is memory-mapped.

        Raises:
            NotFoundError: there is no such file.
            AudioError: the clip cannot be used.
            WorkError: the disk cache cannot be written.
        """
        path = self.utterances[index].path
        if self._cache == "memory":
            if index not in self._decoded:
                self._decoded[index] = _decode(path)
            return self._decoded[index]
        return self._load_from_disk(path) if self._cache == "disk" else _decode(path)

    def _load_from_disk(self, path: Path) -> Waveform:
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise NotFoundError(f"no such file: {path}") from error
        except OSError as error:
            raise AudioError(f"{path.name} {cannot_be_read(error)}") from error
        key = f"speech|{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
        stored = self._folder / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.npy"
        try:
            kept: Waveform = np.load(stored, mmap_mode="r")
        except (FileNotFoundError, ValueError, EOFError):  # the last two: truncated by a crash
            kept = _decode(path)
            with replacing(stored) as file:
                np.save(file, kept)
        return kept


def check_clips(store: ClipStore, *, strict: bool, threads: int) -> tuple[tuple[int, ...], tuple[Problem, ...]]:
    """Decode every clip once; return the indices of usable clips, and the problems of the others.

    Raises:
        InputError: with `strict`, some clips cannot be used.
    """

    def fault(index: int) -> str:
        try:
            store.load(index)
        except (AudioError, NotFoundError) as error:
            return str(error)
        return ""

    faults = run_threaded(fault, range(len(store.utterances)), threads)
    problems = tuple(
        Problem(utterance.path, why) for utterance, why in zip(store.utterances, faults, strict=True) if why
    )
    if strict:
        refuse_problems(problems, len(store.utterances), "data.strict")
    return tuple(index for index, why in enumerate(faults) if not why), problems


def run_threaded(work: Callable[[int], str], indices: Sequence[int], threads: int) -> list[str]:
    """The results of `work` in order; Ctrl-C ends it without waiting for the rest."""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        try:
            return list(pool.map(work, indices))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _decode(path: Path) -> Waveform:
    try:
        waveform = load_speech(path)
    except NotFoundError:
        raise
    except OSError as error:
        raise AudioError(f"{path.name} {cannot_be_read(error)}") from error
    if len(waveform) < SHORTEST_S * SAMPLE_RATE_HZ:
        raise AudioError(f"{path.name} lasts {len(waveform) / SAMPLE_RATE_HZ:.3f} s: {SHORTEST_S:g} s are needed")
    return waveform
