"""Recordings in many formats, made by libsndfile and FFmpeg's libraries, and damaged copies of them."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from metaser.runtime.audio.formats.mpeg_frame import mpeg_frame

RATE_HZ = 16_000
Samples = npt.NDArray[np.float32]


def voice(seconds: float = 2.0, rate_hz: int = RATE_HZ, seed: int = 0) -> Samples:
    """A tone that wanders, with a little noise."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time))
    return (0.4 * np.sin(2 * np.pi * (180 * time + 8 * np.sin(3 * time))) + noise).astype(np.float32)


def encoded(form: str, subtype: str, samples: Samples | None = None, rate_hz: int = RATE_HZ, **options: Any) -> bytes:
    """A file by libsndfile."""
    content = io.BytesIO()
    soundfile.write(content, voice() if samples is None else samples, rate_hz, subtype, format=form, **options)
    return content.getvalue()


def mp3(samples: Samples | None = None, *, with_length: bool = True, rate_hz: int = RATE_HZ) -> bytes:
    """An MP3 with a variable bit rate, with or without the frame that states how many there are."""
    content = encoded("MP3", "MPEG_LAYER_III", samples, rate_hz, bitrate_mode="VARIABLE", compression_level=0.9)
    first = mpeg_frame(content[:4])
    assert first is not None
    assert b"Xing" in content[: first.size] or b"Info" in content[: first.size]
    return content if with_length else content[first.size :]


def by_ffmpeg(
    container: str, codec: str, samples: Samples, rate_hz: int = RATE_HZ, *, video: bool = False, layout: str = "mono"
) -> bytes:
    """A file by FFmpeg's libraries, all channels alike; with `video`, one whose sound track is the second of two."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format=container) as output:
        if video:
            picture = output.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 16
            picture.pix_fmt = "yuv420p"
        stream: Any = output.add_stream(codec, rate=rate_hz)
        stream.layout = layout
        stream.bit_rate = 64_000
        if video:
            blank = av.VideoFrame(16, 16, "yuv420p")
            output.mux(picture.encode(blank))
            output.mux(picture.encode(None))
        channels = av.AudioLayout(layout).nb_channels
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, channels)[None], "flt", layout)
        frame.sample_rate = rate_hz
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return content.getvalue()


def decoded_by_ffmpeg_s(content: bytes) -> float:
    """Seconds that FFmpeg's libraries decode of a file, damaged packets left out."""
    import av

    seconds = 0.0
    with av.open(io.BytesIO(content), "r") as container:
        for packet in container.demux(audio=0):
            with suppress(av.error.InvalidDataError):
                seconds += sum(frame.samples / frame.sample_rate for frame in packet.decode())
    return seconds
