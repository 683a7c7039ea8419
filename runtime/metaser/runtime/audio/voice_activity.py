"""Detecting the start and end of speech from Silero's speech probability of every 32 ms.

probability  ....##.#######..####...........
onset             |-| three chunks in a row start an utterance, a little before the first of them
hangover                     |--------| silence this long ends it, a little after the last speech
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metaser.runtime.arguments import check_fields
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.errors import InputError

CHUNK_SAMPLES = 512
CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class VoiceActivitySettings:
    """Rules for the start and end of speech.

    Raises:
        InputError: a probability is not from 0 to 1, or a duration is below 0.
    """

    speech_probability: float = 0.5
    """A chunk with at least this probability can begin an utterance."""

    silence_probability: float = 0.35
    """Inside an utterance a chunk is silence only below this probability."""

    onset_s: float = 0.096
    """Speech for this long begins an utterance."""

    hangover_s: float = 0.4
    """Silence for this long ends it."""

    padding_s: float = 0.064
    """Margin before the first and after the last chunk of speech."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 <= self.silence_probability <= self.speech_probability <= 1:
            raise InputError(
                f"speech from {self.speech_probability:g} and silence below {self.silence_probability:g}: give "
                "probabilities from 0 to 1, that of silence not above that of speech"
            )
        if min(self.onset_s, self.hangover_s, self.padding_s) < 0:
            raise InputError(
                f"an onset of {self.onset_s:g} s, a hangover of {self.hangover_s:g} s and a padding of "
                f"{self.padding_s:g} s: each must be 0 or more"
            )


@dataclass(frozen=True)
class Utterance:
    """A stretch of speech, in samples from the start of the stream."""

    start: int
    end: int | None
    """None while the utterance continues."""

    quiet: bool = False
    """The utterance continues, and its newest chunk is silence."""


class VoiceActivity:
    """The state of one stream: push the probability of each chunk, get the utterance that continues or has ended."""

    def __init__(self, settings: VoiceActivitySettings) -> None:
        self._settings = settings
        self._onset_chunks = max(1, round(settings.onset_s / CHUNK_S))
        self._hangover_chunks = max(1, round(settings.hangover_s / CHUNK_S))
        self._padding = round(settings.padding_s * SAMPLE_RATE_HZ)
        self._position = 0  # samples processed
        self._earliest = 0  # where the next utterance can start: the end of the last one
        self._speech_chunks = 0  # in a row, before an utterance
        self._start: int | None = None
        self._speech_end = 0  # end of the newest chunk of speech

    def push(self, probability: float) -> Utterance | None:
        """Take the probability of speech in the next 512 samples; return the current or ended utterance, or None."""
        self._position += CHUNK_SAMPLES
        if self._start is None:
            self._speech_chunks = self._speech_chunks + 1 if probability >= self._settings.speech_probability else 0
            if self._speech_chunks < self._onset_chunks:
                return None
            onset = self._position - self._speech_chunks * CHUNK_SAMPLES
            self._start = max(self._earliest, onset - self._padding)
        if probability >= self._settings.silence_probability:
            self._speech_end = self._position
        if self._position - self._speech_end >= self._hangover_chunks * CHUNK_SAMPLES:
            return self.close()
        return Utterance(self._start, None, quiet=self._speech_end < self._position)

    def close(self) -> Utterance | None:
        """End the current utterance, if there is one, as at the end of a stream."""
        if self._start is None:
            return None
        end = min(self._speech_end + self._padding, self._position)
        utterance = Utterance(self._start, end)
        self._start, self._earliest, self._speech_chunks = None, end, 0
        return utterance


def utterances_by(probabilities: Iterable[float]) -> list[Utterance]:
    """The utterances of a clip from the probability of speech in each of its chunks, as in a stream."""
    voice = VoiceActivity(VoiceActivitySettings())
    heard = (voice.push(probability) for probability in probabilities)
    ended = [utterance for utterance in heard if utterance and utterance.end is not None]
    last = voice.close()
    return [*ended, last] if last else ended
