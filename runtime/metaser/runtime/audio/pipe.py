"""Audio on a pipe: recognised by its content, else raw samples in the format that the caller states."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import IO

import numpy as np

from metaser.runtime.audio.checks import check_samples
from metaser.runtime.audio.downmix import Downmix
from metaser.runtime.audio.file import TELL_S, AudioFile, cut_notice, structure_notices
from metaser.runtime.audio.formats.kind import format_of, named_without_sound
from metaser.runtime.audio.formats.media import MediaFile, has_media
from metaser.runtime.audio.formats.parts import READERS
from metaser.runtime.audio.formats.pcm import RawFormat, Samples
from metaser.runtime.audio.formats.pcm_header import HEADED, PcmHeader, next_header, read_header
from metaser.runtime.audio.one_channel import OneChannel
from metaser.runtime.audio.raw_check import RawCheck, is_in_range, is_text
from metaser.runtime.audio.ring import Chunk, Ring
from metaser.runtime.errors import AudioError, InputError
from metaser.runtime.system.pipe_bytes import POLL_S, PipedBytes
from metaser.runtime.system.unnamed_file import unnamed_file
from metaser.runtime.words import counted

HEAD_BYTES = 4096
"""Enough for the two frames by which MP3 is recognised."""

FEWEST_HEAD_BYTES = 16
HEAD_WAIT_S = 0.3
NOT_ON_PIPES = ("raw GSM",)
"""Formats that are not recognised on pipes, as silence in raw A-law looks like them."""

STREAMED = ("FLAC", "MP1", "MP2", "MP3", "Ogg Opus", "Ogg Vorbis")
"""Formats of endless streams, such as radio."""

COPIED_BYTES = 2**28
"""An endless stream is not copied further, nor checked for missing parts."""

SEEKING = ("MP4", "3GP", "QuickTime", "WavPack", "CAF")
"""Formats in which FFmpeg has to seek."""


class PipedAudio:
    """Audio from a file descriptor; iterate over its chunks once, then read `notices`."""

    def __init__(
        self,
        descriptor: int,
        raw: RawFormat | None = None,
        *,
        name: str = "standard input",
        live: bool = False,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._bytes = PipedBytes(descriptor, name)
        self._raw = raw or RawFormat()
        self._name = name
        self._live = live
        self._notify = notify
        self._has_samples = False
        self.is_raw = False
        """Whether it was read as raw samples; known after the first chunk."""

        self.notices: list[str] = []
        """Faults of the audio that did not prevent reading it, one line per fault, without the pipe's name."""

    def __iter__(self) -> Iterator[Chunk]:
        """Yield chunks as they arrive; an empty one if nothing arrived for a while.

        Raises:
            AudioError: there is no audio, it cannot be decoded, or a second header states another format.
        """
        yield from self._wait()
        head = self._bytes.peek(1) and self._bytes.peek(min(HEAD_BYTES, self._bytes.buffered))
        if not head:
            raise AudioError(f"{self._name} holds no samples: is the program before the pipe running?")
        kind = format_of(head)
        if header := read_header(self._bytes) if head[:4] in HEADED else None:
            yield from self._headed(header)
        elif kind not in (None, *NOT_ON_PIPES):
            yield from self._encoded(kind or "")
        elif is_text(head):
            raise AudioError(f"{self._name} holds text: pipe WAV or raw samples")
        elif other := named_without_sound(head):
            raise AudioError(f"{self._name} is {other}: pipe the sound itself, as WAV or raw samples")
        else:
            self.is_raw = True
            yield from self._samples(self._raw, None)

    def _wait(self) -> Iterator[Chunk]:
        """Wait for enough bytes to recognise the format."""
        came_at = float("inf")
        while self._bytes.buffered < HEAD_BYTES and not self._bytes.is_ended:
            self._bytes.fill()
            came_at = min(came_at, time.monotonic()) if self._bytes.buffered else came_at
            if self._bytes.buffered >= FEWEST_HEAD_BYTES and time.monotonic() - came_at > HEAD_WAIT_S:
                return
            yield self._nothing()

    def _nothing(self) -> Chunk:
        return Chunk(np.zeros(0, np.float32), self._raw.rate_hz)

    def _headed(self, header: PcmHeader) -> Iterator[Chunk]:
        """Samples after a header, and after further headers if several recordings follow each other."""
        first = header.form
        while True:
            self._bytes.take(header.header_bytes)
            yield from self._samples(header.form, header.data_bytes)
            following = next_header(self._bytes, header)
            if following is None:
                return
            header = following
            if header.form != first:
                both = (first, header.form)
                before, now = (f"{form.rate_hz} Hz, {counted(form.channels, 'channel')}" for form in both)
                raise AudioError(f"{self._name} changes from {before} to {now}: convert everything to one format first")

    def _samples(self, form: RawFormat, length: int | None) -> Iterator[Chunk]:
        downmix, check = Downmix(form.rate_hz, form.channels), RawCheck(form)
        left, taken = length, 0
        while left is None or left > 0:
            usable = self._bytes.buffered if left is None else min(self._bytes.buffered, left)
            usable -= usable % form.frame_bytes
            content = self._bytes.take(usable)
            samples = form.decode(content)
            if self.is_raw:
                self._check_format(check.better_format(content), form, samples)
            check_samples(samples, self._name)
            if self.is_raw and check.is_stereo(samples):
                raise AudioError(
                    f"{self._name} repeats each sample: give --channels 2 if it is stereo, or --channels 2 "
                    f"--rate {form.rate_hz // 2} if its samples were doubled"
                )
            taken += usable
            left = None if left is None else left - usable
            yield Chunk(downmix.push(samples), form.rate_hz)
            if not usable:
                if self._bytes.is_ended:
                    break
                self._bytes.fill()
        self._has_samples |= taken > 0
        if not self._has_samples and not self.is_raw:
            raise AudioError(f"{self._name} holds a header and no samples: is the program before the pipe running?")
        yield Chunk(downmix.finish(), form.rate_hz)
        if downmix.notice:
            self.notices.append(downmix.notice)
        bytes_per_s = form.rate_hz * form.frame_bytes
        if left and taken and left >= TELL_S * bytes_per_s:
            self.notices.append(cut_notice(taken / bytes_per_s, left / bytes_per_s))
        if left == 0 and length is not None and length % 2:
            self._bytes.take(1)
        elif self._bytes.is_ended and left != 0 and (odd := len(self._bytes.take(form.frame_bytes))):
            self.notices.append(f"it ended within a sample: its last {odd} bytes were left out")

    def _check_format(self, better: RawFormat | None, form: RawFormat, samples: Samples) -> None:
        if better and better.channels != form.channels:
            raise AudioError(
                f"{self._name} looks like {counted(better.channels, 'channel')} and is read as {form.channels}: "
                f"give --channels {better.channels}, or pipe WAV"
            )
        if better:
            raise AudioError(
                f"{self._name} looks like {better.sample_format} and is read as {form.sample_format}: "
                f"give --sample-format {better.sample_format}, or pipe WAV"
            )
        if not is_in_range(samples).any() and len(samples):
            raise AudioError(
                f"{self._name} holds no samples of {form.sample_format} within [-1, 1]: check --sample-format, "
                "or pipe WAV"
            )

    def _encoded(self, kind: str) -> Iterator[Chunk]:
        """Encoded audio: decoded as it arrives if FFmpeg's libraries are installed, else after it has ended."""
        is_whole_here = kind in READERS and kind not in STREAMED and not self._live  # by libsndfile, also joined files
        if has_media() and not kind.endswith(SEEKING) and not is_whole_here:
            yield from self._by_ffmpeg(kind)
            return
        if kind not in READERS and not has_media():
            raise AudioError(
                f"{self._name} is {kind}: install the decoder, pip install 'metaser[media]', or pipe WAV "
                "(ffmpeg -i FILE -f wav -)"
            )
        if self._live:
            raise InputError(f"{self._name} is {kind}, which cannot be read live here: pipe WAV or raw samples")
        self._notify(f"{self._name} is {kind}, which is read to its end first: pipe WAV for labels while it comes.")
        with unnamed_file() as (copy, path):
            while self._bytes.buffered or not self._bytes.is_ended:
                copy.write(self._bytes.take(self._bytes.buffered))
                self._bytes.fill()
                yield self._nothing()
            copy.flush()
            file = AudioFile(path, self._name)
            yield from file.chunks()
            self.notices += file.notices

    def _by_ffmpeg(self, kind: str) -> Iterator[Chunk]:
        """Encoded audio as it arrives; a copy of MPEG audio and Ogg shows at the end whether parts were missing."""
        is_copied = kind.startswith(("MP", "Ogg")) and kind not in SEEKING
        with unnamed_file() if is_copied else nullcontext() as copy:
            content = _Copied(self._bytes, copy.file) if copy else self._bytes
            source, media = OneChannel(self._name), MediaFile(content, self._name, kind)
            yield from source.chunks(source.mix(media.blocks()))
            self.notices += [source.notice] if source.notice else []
            if media.missing_s:
                self.notices.append(cut_notice(media.seconds, media.missing_s))
            elif copy and copy.file.tell() < COPIED_BYTES:
                copy.file.flush()
                self.notices += structure_notices(copy.path, kind, media.seconds)


class _Copied:
    """The content of a pipe, whose first bytes are also written into a file."""

    def __init__(self, source: PipedBytes, copy: IO[bytes]) -> None:
        self._source, self._copy = source, copy

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none only at the end."""
        content = self._source.read(size)
        self._copy.write(content[: max(0, COPIED_BYTES - self._copy.tell())])
        return content


class LivePipe:
    """Piped audio in real time: a thread reads it into a bounded ring, like a microphone."""

    def __init__(self, source: PipedAudio, ring_s: float) -> None:
        self._source = source
        self._ring_s = ring_s
        self._error: AudioError | None = None
        self._lost = 0

    def __iter__(self) -> Iterator[Chunk]:
        """Yield chunks as they arrive; lost audio is silence.

        Raises:
            AudioError: as the source.
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
