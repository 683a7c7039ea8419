"""The header of an MPEG audio frame (MP1, MP2, MP3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

HEADER_BYTES = 4
MONO = 3

_RATES_HZ = {0: (11025, 12000, 8000), 2: (22050, 24000, 16000), 3: (44100, 48000, 32000)}
"""The two bits of the version, 2.5, 2 or 1 -> rates by index."""

_LOW_KBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBITS = {
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (2, 1): _LOW_KBITS,
    (2, 2): _LOW_KBITS,
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
}
"""(3 for version 1, else 2; the header's two bits of the layer) -> bit rates by index from 1."""

_LAYERS = {1: 3, 2: 2, 3: 1}


@dataclass(frozen=True)
class MpegFrame:
    """The content of a frame's header."""

    size: int
    """Bytes to the next frame."""

    layer: int
    is_version_1: bool
    rate_hz: int
    channels: int
    side_bytes: int
    """Offset of the frame's data after its header and side information (layer 3)."""

    kind: int
    """Version, layer and rate: the fields that are equal in all frames."""

    @property
    def samples(self) -> int:
        """Samples per channel."""
        if self.layer == 1:
            return 384
        return 1152 if self.layer == 2 or self.is_version_1 else 576


@lru_cache(maxsize=1024)
def mpeg_frame(header: bytes) -> MpegFrame | None:
    """Read a frame's first four bytes; None if they are not a header. A free bit rate is not supported."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, _LAYERS.get(header[1] >> 1 & 3)
    bits, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer is None or bits in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return None
    family = 3 if version == 3 else 2
    bits_per_s = 1000 * _KBITS[family, header[1] >> 1 & 3][bits - 1]
    rate_hz = _RATES_HZ[version][rate]
    if layer == 1:
        size = 4 * (12 * bits_per_s // rate_hz + padding)
    else:
        size = (72 if layer == 3 and family == 2 else 144) * bits_per_s // rate_hz + padding
    is_mono = header[3] >> 6 == MONO
    side = {(3, False): 32, (3, True): 17, (2, False): 17, (2, True): 9}[family, is_mono]
    return MpegFrame(
        size=size,
        layer=layer,
        is_version_1=version == 3,
        rate_hz=rate_hz,
        channels=1 if is_mono else 2,
        side_bytes=HEADER_BYTES + side + (0 if header[1] & 1 else 2),
        kind=header[1] >> 1 << 2 | rate,
    )
