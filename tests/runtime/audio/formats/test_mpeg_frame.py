"""Headers of MPEG audio frames, by hand."""

import pytest

from metaser.runtime.audio.formats.mpeg_frame import mpeg_frame


@pytest.mark.parametrize(
    ("header", "size", "samples", "rate_hz", "channels"),
    [
        ("fffb9064", 417, 1152, 44_100, 2),  # version 1, layer 3, 128 kbit/s: 144 · 128000 / 44100
        ("fffb9264", 418, 1152, 44_100, 2),  # the same with padding
        ("fff348c4", 144, 576, 16_000, 1),  # version 2, layer 3, 32 kbit/s: 72 · 32000 / 16000
        ("ffe312c4", 53, 576, 11_025, 1),  # version 2.5, layer 3, 8 kbit/s: 72 · 8000 / 11025, and padding
        ("fffda004", 626, 1152, 44_100, 2),  # version 1, layer 2, 192 kbit/s: 144 · 192000 / 44100
        ("ffff1004", 32, 384, 44_100, 2),  # version 1, layer 1, 32 kbit/s: 4 · (12 · 32000 / 44100)
    ],
)
def test_a_header_states_size_rate_and_channels(
    header: str, size: int, samples: int, rate_hz: int, channels: int
) -> None:
    frame = mpeg_frame(bytes.fromhex(header))
    assert frame is not None
    assert (frame.size, frame.samples, frame.rate_hz, frame.channels) == (size, samples, rate_hz, channels)


@pytest.mark.parametrize(
    "header", ["", "fffb90", "fefb9064", "ffeb9064", "fff99064", "fffbf064", "fffb0064", "fffb9c64", "fffb9066"]
)
def test_other_bytes_are_no_header(header: str) -> None:
    assert mpeg_frame(bytes.fromhex(header)) is None
