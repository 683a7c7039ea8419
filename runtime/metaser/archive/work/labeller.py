"""Labelling the units of recordings, with the next piece decoded while the model works on this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from queue import Full, Queue
from typing import NamedTuple, TypeVar

from metaser.archive.source.unit import Span
from metaser.archive.work.job import Job
from metaser.archive.work.pieces import Piece, pieces_of
from metaser.archive.work.record import Record, Row
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.distortion import Distortion
from metaser.runtime.audio.trim import doubts
from metaser.runtime.audio.voice_activity import Utterance
from metaser.runtime.engine import Engine
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.errors import InputError
from metaser.runtime.scoring.decision import Decision

AHEAD = 4
"""Pieces that are decoded ahead of the model, each of at most ten minutes and mostly of seconds."""

GIVE_UP_S = 0.1  # between two looks of a decoder at whether its pieces are still wanted

Group = tuple[str, Sequence[Span]]
"""The path of a recording, and its units."""

Item = TypeVar("Item")


class Step(NamedTuple):
    """Something that is done."""

    record: Record | None = None
    """A unit that is complete."""

    audio_s: float = 0.0
    """Seconds of audio that got a label."""

    ends_group: bool = False


class Labeller:
    """An engine with one thread, and a profile."""

    def __init__(self, engine: Engine, profile: Profile) -> None:
        self._engine = engine
        self._profile = profile

    @classmethod
    def open(cls, job: Job) -> Labeller:
        """Open the bundle and the profile of a job.

        Raises:
            MetaserError: as `Engine.open` and `Engine.open_profile`.
        """
        engine = Engine.open(job.bundle, provider=job.provider, threads=1)
        profile = engine.open_profile(Path(job.profile), accept_precision=job.accept_precision)
        engine.hint(profile)  # so that it is not repeated as a warning
        return cls(engine, profile.answering(job.unknown))

    def steps(self, groups: Iterable[Group], is_stopped: Callable[[], bool] = lambda: False) -> Iterator[Step]:
        """Label the units of groups, in order, until stopped."""
        rows: dict[Span, list[Row]] = {}
        with closing(ahead(_pieces(groups), AHEAD)) as pieces:
            for path, piece in pieces:
                if is_stopped():
                    return
                if piece is None:
                    yield Step(ends_group=True)
                    continue
                row = self._row(piece)
                rows.setdefault(piece.span, []).append(row)
                audio_s = 0.0 if row.error else (row.end_s or 0.0) - (row.start_s or 0.0)
                record = Record(path, piece.span, tuple(rows.pop(piece.span))) if piece.is_last else None
                yield Step(record, audio_s)

    def _row(self, piece: Piece) -> Row:
        if piece.waveform is None:
            return Row(*piece.span, error=piece.error)
        end_s = piece.start_s + len(piece.waveform) / SAMPLE_RATE_HZ
        try:
            decision, notices = self._utterance(piece) if piece.is_speech else self._clip(piece)
        except InputError as error:
            return Row(round(piece.start_s, 3), round(end_s, 3), error=str(error).removeprefix("the clip: "))
        return Row.of(piece.start_s, end_s, decision, (*piece.notices, *notices))

    def _clip(self, piece: Piece) -> tuple[Decision, tuple[str, ...]]:
        """Label a clip, as `metaser classify` does."""
        assert piece.waveform is not None
        return self._engine.classify_with_doubts(piece.waveform, self._profile)

    def _utterance(self, piece: Piece) -> tuple[Decision, tuple[str, ...]]:
        """Label an utterance, whose ends voice activity detection has found."""
        assert piece.waveform is not None
        decision = self._engine.decide(self._engine.embed(piece.waveform, self._profile), self._profile)
        distortion = Distortion()
        distortion.push(piece.waveform)
        faults = (f"it {fault}",) if (fault := distortion.fault()) else ()
        return decision, (*doubts(piece.waveform, [Utterance(0, len(piece.waveform))]), *faults)


def _pieces(groups: Iterable[Group]) -> Iterator[tuple[str, Piece | None]]:
    """The pieces of each group with its path; None ends a group."""
    for path, spans in groups:
        for piece in pieces_of(path, spans):
            yield path, piece
        yield path, None


def ahead(items: Iterable[Item], count: int) -> Generator[Item, None, None]:
    """Yield items that a thread takes from an iterable, at most `count` before they are needed.

    An exception of the iterable is raised when its item is due.
    """
    ready: Queue[tuple[Item] | Exception | None] = Queue(count)
    given_up = threading.Event()

    def put(item: tuple[Item] | Exception | None) -> None:
        while not given_up.is_set():
            with suppress(Full):
                ready.put(item, timeout=GIVE_UP_S)
                return

    def work() -> None:
        try:
            for item in items:
                put((item,))
                if given_up.is_set():
                    return
        except Exception as error:  # noqa: BLE001 # raised in the caller's thread
            put(error)
        put(None)

    threading.Thread(target=work, name="metaser-decoder", daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item[0]
    finally:
        given_up.set()
