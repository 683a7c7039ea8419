"""Checking that raw samples are read in their own format: sound is smooth, wrongly decoded bytes are noise."""

from __future__ import annotations

import codecs
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from metaser.runtime.audio.checks import OUT_OF_RANGE_PEAK
from metaser.runtime.audio.formats.pcm import FORMATS, RawFormat, Samples
from metaser.runtime.audio.interleaved import RepeatCheck, is_repeated

SMOOTH = 0.7
"""Speech in its own format is smoother than this, and smoother than its bytes are in any other format."""

ROUGHER = 1.5
"""By this factor the stated format has to be rougher than the smoothest, in 1 - correlation, to be refused."""

FEWEST_FRAMES = 400
FAINTEST, SOME = 1e-9, 0.5
"""Other bytes read as floats can have any value: less than this share of them is within range."""

TEXT_BYTES = 16
MOSTLY = 0.7
_LETTERS = bytes({*b"\t\n\f\r", *range(0x20, 0x7F), *range(0xA0, 0x100)})
"""Letters of Latin-1 and similar encodings."""

_UTF_16, _UTF_32 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
WINDOWS, WINDOW_BYTES_PER_HZ = 10, 2
"""The first windows are checked; with samples of 16 bits each is a second long."""

MOST_WINDOW_BYTES = 2**20
"""Of many channels at a high rate, a window is shorter."""


def smoothness(content: bytes, form: RawFormat) -> float:
    """The correlation of adjacent samples, negative if each sample is repeated; 0 if the bytes are no such sound."""
    if len(content) < FEWEST_FRAMES * form.frame_bytes:
        return 0.0
    samples = form.decode(content[: len(content) // form.frame_bytes * form.frame_bytes])  # [T, channels]
    is_float = form.sample_format.startswith("f")
    if is_float and np.mean((samples == 0) | ((np.abs(samples) > FAINTEST) & is_in_range(samples))) < SOME:
        return 0.0
    samples = samples[is_in_range(samples).all(axis=1)].astype(np.float64)
    if len(samples) < FEWEST_FRAMES:
        return 0.0
    steps = np.square(np.diff(samples, axis=0)).sum(axis=1)
    sign = -1 if is_repeated(float(steps[::2].sum()), float(steps[1::2].sum())) else 1
    centred = samples - samples.mean(axis=0)
    power = np.square(centred).sum()
    return sign * float((centred[1:] * centred[:-1]).sum() / power) if power else 0.0


def is_in_range(samples: Samples) -> npt.NDArray[np.bool_]:
    """Which samples are finite and scaled to about [-1, 1]."""
    return np.abs(samples) <= OUT_OF_RANGE_PEAK


class RawCheck:
    """Check of a source: that its first speech is in its format, and that one channel is not really two."""

    def __init__(self, form: RawFormat) -> None:
        self._form = form
        self._pending = b""
        self._windows = WINDOWS  # still to be checked
        self._window_bytes = min(WINDOW_BYTES_PER_HZ * form.rate_hz * form.channels, MOST_WINDOW_BYTES)
        self._repeats = RepeatCheck()

    def better_format(self, content: bytes) -> RawFormat | None:
        """The format of the source's next bytes, if it clearly differs from the stated one."""
        if not self._windows:
            return None
        self._pending += content
        if len(self._pending) < self._window_bytes:
            return None
        window, self._pending, self._windows = self._pending, b"", self._windows - 1
        own = self._form
        counts = {1: 2, 2: 1}.get(own.channels, own.channels)
        others = (replace(own, sample_format=name) for name in FORMATS)
        forms = list(dict.fromkeys([own, replace(own, channels=counts), *others]))  # each once
        found = [smoothness(window, form) for form in forms]
        if max(found) <= SMOOTH:
            return None
        self._windows = 0
        limit = 1 - ROUGHER * (1 - max(found))
        likely = next(form for form, own_found in zip(forms, found, strict=True) if own_found >= limit)
        return None if likely == own or found[0] < -SMOOTH else likely  # `is_stereo` names what is repeated

    def is_stereo(self, samples: Samples) -> bool:
        """Whether one channel is really two, by the source's next samples, [T, channels], and those before them."""
        if self._form.channels > 1:
            return False
        self._repeats.push(samples[:, 0])
        return self._repeats.repeats


def is_text(content: bytes) -> bool:
    """Whether bytes are text and not samples, in Unicode or a single-byte encoding."""
    if len(content) < TEXT_BYTES:
        return False
    encoding = "utf-32" if content.startswith(_UTF_32) else "utf-16" if content.startswith(_UTF_16) else "utf-8"
    if encoding == "utf-8" and not content.translate(None, _LETTERS):  # samples contain all other byte values
        return sum(byte < 0x7F for byte in content) > MOSTLY * len(content)
    try:
        text = content[: len(content) // 4 * 4].decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(content) - 7:  # more than a truncated letter
            return False
        text = content[: error.start].decode(encoding)
    return all(letter.isprintable() or letter.isspace() for letter in text)
