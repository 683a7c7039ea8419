"""Sound on a pipe: WAV by its header, or raw samples as the caller describes them."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.errors import AudioError, InputError
from metaser.runtime.ring import Chunk, Ring

READ_BYTES = 65_536
POLL_S = 0.1
ENDLESS_BYTES = 0x7FFF_0000  # programs that cannot seek write a length from here on, or 0
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
FORMATS = {"s16le": (2, 2.0**15), "s24le": (3, 2.0**23), "s32le": (4, 2.0**31), "f32le": (4, 1.0)}
WAV_FORMATS = {(PCM, 16): "s16le", (PCM, 24): "s24le", (PCM, 32): "s32le", (FLOAT, 32): "f32le"}
MAX_RATE_HZ, MAX_CHANNELS = 768_000, 64


@dataclass(frozen=True)
class RawFormat:
    """How bytes become samples."""

    rate_hz: int = SAMPLE_RATE_HZ
    channels: int = 1
    sample_format: str = "s16le"

    def __post_init__(self) -> None:
        if not 0 < self.rate_hz <= MAX_RATE_HZ or not 0 < self.channels <= MAX_CHANNELS:
            raise InputError(
                f"{self.rate_hz} Hz with {self.channels} channels: give a rate up to {MAX_RATE_HZ} Hz "
                f"and 1 to {MAX_CHANNELS} channels"
            )
        if self.sample_format not in FORMATS:
            raise InputError(f"no sample format {self.sample_format!r}: there are {', '.join(FORMATS)}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return FORMATS[self.sample_format][0] * self.channels

    def decode(self, content: bytes) -> npt.NDArray[np.float32]:
        """Whole frames -> [T] float32, channels averaged."""
        size, full_scale = FORMATS[self.sample_format]
        if self.sample_format == "f32le":
            values = np.frombuffer(content, "<f4").astype(np.float32)
        elif size == 3:
            padded = np.zeros((len(content) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
            values = (padded.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
        else:
            values = (np.frombuffer(content, f"<i{size}") / full_scale).astype(np.float32)
        mono: npt.NDArray[np.float32] = values.reshape(-1, self.channels).mean(axis=1, dtype=np.float32)
        return mono


class PipedAudio:
    """The sound that comes through a file descriptor; iterate over its chunks."""

    def __init__(self, descriptor: int, raw: RawFormat | None = None) -> None:
        self._descriptor = descriptor
        self._raw = raw
        self._buffer = b""
        self._ended = False
        self.odd_bytes = 0
        """Bytes at the end that make no whole sample; they are left out."""

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as they come; an empty one where nothing came for a while.

        Raises:
            AudioError: there is nothing, the WAV header cannot be used, or a second one says something else.
        """
        while len(self._buffer) < 4 and not self._ended:
            self._fill()
            yield Chunk(np.zeros(0, np.float32), self._raw.rate_hz if self._raw else SAMPLE_RATE_HZ)
        if not self._buffer:
            raise AudioError("standard input holds no samples: is the program before the pipe running?")
        if self._buffer[:4] != b"RIFF":
            yield from self._samples(self._raw or RawFormat(), None)
            return
        first: RawFormat | None = None
        while self._buffer[:4] == b"RIFF":
            form, length = self._header()
            if first not in (None, form):
                raise AudioError(
                    f"standard input changes from {first.rate_hz} Hz, {first.channels} channels to "
                    f"{form.rate_hz} Hz, {form.channels} channels: convert everything to one format first"
                )
            first = form
            yield from self._samples(form, length)
            while len(self._buffer) < 4 and not self._ended:
                self._fill()

    def _fill(self) -> None:
        """Some more bytes, or none if none come soon."""
        ready, _, _ = select.select([self._descriptor], [], [], POLL_S)
        if ready:
            content = os.read(self._descriptor, READ_BYTES)
            self._ended = not content
            self._buffer += content

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size and not self._ended:
            self._fill()
        if len(self._buffer) < size:
            raise AudioError("standard input ends within its WAV header: record it again")
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _header(self) -> tuple[RawFormat, int | None]:
        """The format and the length in bytes, None where the header does not know it, up to the first sample."""
        if self._take(12)[8:] != b"WAVE":
            raise AudioError("standard input is no WAV: pipe WAV or raw samples")
        form: RawFormat | None = None
        while True:
            name, size = struct.unpack("<4sI", self._take(8))
            if name == b"data":
                if form is None:
                    raise AudioError("standard input's WAV header has no format: pipe it from another program")
                return form, None if size == 0 or size >= ENDLESS_BYTES else size
            if size > READ_BYTES:
                raise AudioError("standard input's WAV header is damaged: pipe it from another program")
            content = self._take(size + size % 2)
            if name == b"fmt ":
                form = _wav_format(content)

    def _samples(self, form: RawFormat, length: int | None) -> Iterator[Chunk]:
        left = length
        while left is None or left > 0:
            if not self._buffer and not self._ended:
                self._fill()
            usable = len(self._buffer) if left is None else min(len(self._buffer), left)
            usable -= usable % form.frame_bytes
            content, self._buffer = self._buffer[:usable], self._buffer[usable:]
            left = None if left is None else left - usable
            yield Chunk(form.decode(content), form.rate_hz)
            if not usable:
                if self._ended:
                    break
                self._fill()
        if self._ended and self._buffer[:4] != b"RIFF":
            self.odd_bytes, self._buffer = len(self._buffer), b""
        elif left == 0 and length is not None and length % 2:
            self._buffer = self._buffer[1:]


def _wav_format(content: bytes) -> RawFormat:
    if len(content) < 16:
        raise AudioError("standard input's WAV header is damaged: pipe it from another program")
    tag, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if tag == EXTENSIBLE and len(content) >= 26:
        (tag,) = struct.unpack("<H", content[24:26])
    if (tag, bits) not in WAV_FORMATS:
        raise AudioError(f"standard input is WAV of format {tag} with {bits} bits: pipe 16-bit PCM (S16_LE)")
    try:
        return RawFormat(rate_hz, channels, WAV_FORMATS[tag, bits])
    except InputError as error:
        raise AudioError(f"standard input's WAV header cannot be used ({error})") from error


class LivePipe:
    """Piped sound that does not wait: a thread reads it into a bounded ring, as a microphone is heard."""

    def __init__(self, source: PipedAudio, ring_s: float) -> None:
        self._source = source
        self._ring_s = ring_s
        self._error: AudioError | None = None
        self._lost = 0

    def __iter__(self) -> Iterator[Chunk]:
        """Chunks as they come; audio that was lost is silence.

        Raises:
            AudioError: as the source does.
        """
        chunks = iter(self._source)
        first = next(chunks)
        while not len(first.samples):
            yield first
            try:
                first = next(chunks)
            except StopIteration:
                return
        ring = Ring(round(self._ring_s * first.rate_hz))
        ring.write(first.samples[:, None])
        threading.Thread(target=self._pump, args=(chunks, ring), daemon=True).start()
        while not ring.is_closed:
            samples, lost, heard_at = ring.read(POLL_S)
            self._lost += lost
            heard_at = heard_at if len(samples) else time.perf_counter()
            yield Chunk(samples[:, 0], first.rate_hz, heard_at, 1000 * self._lost / first.rate_hz)
        if self._error:
            raise self._error

    def _pump(self, chunks: Iterator[Chunk], ring: Ring) -> None:
        try:
            for chunk in chunks:
                if len(chunk.samples):
                    ring.write(chunk.samples[:, None])
        except AudioError as error:
            self._error = error
        finally:
            ring.close()
