"""Missing parts of encoded recordings are noticed, in a file and on a pipe."""

import io
import os
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.file import AudioFile
from metaser.runtime.audio.formats.media import has_media
from metaser.runtime.audio.pipe import PipedAudio

pytestmark = pytest.mark.skipif(not has_media(), reason="PyAV, the extra `media`, is not installed")

RATE_HZ, FRAME = 16_000, 4_608
FORMS = {"mp3": ("MP3", "MPEG_LAYER_III"), "ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}


def encoded(samples: Waveform, form: str, path: Path) -> bytes:
    """A recording in this format."""
    if form == "oga":
        return ogg_flac(samples)
    container, subtype = FORMS[form]
    soundfile.write(path, samples, RATE_HZ, format=container, subtype=subtype)
    return path.read_bytes()


def ogg_flac(samples: Waveform) -> bytes:
    """A recording in FLAC's frames in Ogg's pages, which libsndfile does not write."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="ogg") as output:
        stream = output.add_stream("flac", rate=RATE_HZ, layout="mono")
        for start in range(0, len(samples) // FRAME * FRAME, FRAME):
            part = (32_767 * samples[None, start : start + FRAME]).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return content.getvalue()


def without_pages(content: bytes, first: int, last: int) -> bytes:
    """An Ogg file without some of its pages."""
    pages = content.split(b"OggS")[1:]
    return b"".join(b"OggS" + page for page in (*pages[:first], *pages[last:]))


def notices_of(content: bytes, path: Path, *, piped: bool) -> list[str]:
    path.write_bytes(content)
    if not piped:
        file = AudioFile(path)
        for _ in file.blocks():
            pass
        return file.notices
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as end:
            end.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        source = PipedAudio(reading)
        for _ in source:
            pass
        return source.notices
    finally:
        writer.join()
        os.close(reading)


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("form", [*FORMS, "oga"])
def test_a_missing_end_is_noticed(conversation: Waveform, tmp_path: Path, form: str, *, piped: bool) -> None:
    content = encoded(conversation[: 20 * RATE_HZ], form, tmp_path / f"clip.{form}")
    assert notices_of(content, tmp_path / f"whole.{form}", piped=piped) == []
    cut = content[: len(content) // 2]
    (notice,) = notices_of(cut, tmp_path / f"cut.{form}", piped=piped)
    assert notice.startswith("it is cut off")


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("form", ["ogg", "opus", "oga"])
def test_missing_pages_are_noticed(conversation: Waveform, tmp_path: Path, form: str, *, piped: bool) -> None:
    content = encoded(conversation[: 20 * RATE_HZ], form, tmp_path / f"clip.{form}")
    pages = content.count(b"OggS")
    for first, last in ((2, 4), (pages // 2, pages // 2 + 2)):
        (notice,) = notices_of(without_pages(content, first, last), tmp_path / f"gap.{form}", piped=piped)
        assert notice.startswith("it is damaged")


@pytest.mark.parametrize(("first", "second"), [("mp3", "ogg"), ("ogg", "flac"), ("flac", "wav"), ("wav", "mp3")])
def test_a_recording_in_another_format_that_follows_is_named(
    conversation: Waveform, tmp_path: Path, first: str, second: str
) -> None:
    parts = []
    for form in (first, second):
        path = tmp_path / f"clip.{form}"
        if form in FORMS:
            encoded(conversation[: 4 * RATE_HZ], form, path)
        else:
            soundfile.write(path, conversation[: 4 * RATE_HZ], RATE_HZ)
        parts.append(path.read_bytes())
        assert notices_of(parts[-1], path, piped=False) == []
    found = notices_of(b"".join(parts), tmp_path / f"both.{first}", piped=False)
    assert any(notice.startswith("it also holds a recording in another format, ") for notice in found)
