"""Make the demo material: synthetic speech by espeak-ng in four prosodic styles that represent emotions.

    python tools/make_demo_speech.py [OUT]

The default of OUT is the package's demo folder. No person is recorded. Every run gives the same bytes
(one run per process: espeak-ng keeps state between utterances).

    espeak-ng 22.05 kHz ─► 16 kHz ─► effort ─► level ─► trim ─► + noise ─► int16 ─► FLAC
                                                                 └─► audible span ─► conversation.json
"""

import argparse
import ctypes
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Samples = npt.NDArray[np.float64]
Pcm = npt.NDArray[np.int16]

DEMO_FOLDER = Path(__file__).parents[1] / "runtime/metaser/runtime/data/demo"
SAMPLE_RATE_HZ = 16_000
TITLE = "synthetic speech (espeak-ng)"
MAX_TOTAL_BYTES = 2_000_000
MAX_PEAK = 0.7
NOISE_DBFS = -84.0
STEP = 4  # samples are multiples of it, 14 bits in 16: FLAC stores no bits that are always zero
MARGIN_S = 0.1  # silence kept before and after the audible speech
FADE_S = 0.01
AUDIBLE_BELOW_PEAK_DB = 40.0
LEAD_S = 0.5
GAPS_S = (0.8, 0.6, 1.1, 0.7, 0.5, 1.2, 0.9)  # between audible utterances, taken in turn


@dataclass(frozen=True)
class Style:
    """One way of speaking."""

    rate_wpm: int
    """Words per minute; espeak-ng's default is 175."""
    pitch: int
    """0 to 100 within the voice's range; 50 is the default."""
    pitch_range: int
    """0 (monotone) to 100; 50 is the default."""
    level_dbfs: float
    """RMS of the trimmed utterance."""
    effort: float
    """First-order emphasis `x[t] - effort * x[t - 1]`: loud voices are brighter, quiet ones darker."""


STYLES = {
    "anger": Style(rate_wpm=240, pitch=20, pitch_range=60, level_dbfs=-26.0, effort=0.8),
    "joy": Style(rate_wpm=205, pitch=98, pitch_range=98, level_dbfs=-27.0, effort=-0.2),
    "neutral": Style(rate_wpm=150, pitch=45, pitch_range=35, level_dbfs=-28.0, effort=0.0),
    "sadness": Style(rate_wpm=105, pitch=10, pitch_range=10, level_dbfs=-31.0, effort=-0.8),
}


@dataclass(frozen=True)
class Utterance:
    """One sentence by one voice in one style."""

    label: str
    voice: str
    """espeak-ng's name: language+variant."""
    text: str

    @property
    def language(self) -> str:
        """The voice's language code."""
        return self.voice.partition("+")[0]


# One sentence per style and voice. The content is ordinary in every class, so only the prosody differs.
SUPPORT_TEXTS = {
    "en+f2": {
        "anger": "The parcel was left outside the wrong door again, and now the whole box is wet.",
        "joy": "Our neighbours have painted their garden fence in bright yellow.",
        "neutral": "The library on the corner opens at nine on Mondays.",
        "sadness": "There is a blue chair by the open window.",
    },
    "de+m3": {
        "anger": "Der Drucker im zweiten Stock hat schon wieder kein Papier und keine Tinte mehr.",
        "joy": "Die Kinder haben heute im Garten drei Apfelbäume gepflanzt.",
        "neutral": "Der Kaffee steht oben im Regal neben der Spüle.",
        "sadness": "Im Garten liegt noch etwas Schnee.",
    },
    "es+f4": {
        "anger": "El autobús de la mañana nunca pasa por esta calle a la hora que dice.",
        "joy": "Mañana vienen mis primos y cenamos todos en la terraza.",
        "neutral": "La farmacia está enfrente de la estación.",
        "sadness": "La casa del puerto está cerrada.",
    },
    "pl+m7": {
        "anger": "Ktoś znowu zaparkował ten samochód na samym środku podwórka.",
        "joy": "W niedzielę jedziemy nad jezioro z całą naszą rodziną.",
        "neutral": "Sklep za rogiem jest czynny do dwudziestej.",
        "sadness": "Pociąg odjechał przed chwilą.",
    },
    "fr+f5": {
        "anger": "La porte du garage reste ouverte toute la nuit depuis mardi, et personne ne la ferme.",
        "joy": "Ma cousine apporte ce soir des fraises et des tartes de son jardin.",
        "neutral": "Le marché se trouve à côté de la grande place du village.",
        "sadness": "Il pleut encore sur la vieille ville.",
    },
}

# `it+Alex` speaks a language and with a voice that no support clip has; `de+f3` is a new voice only.
CONVERSATION = (
    Utterance("neutral", "en+f2", "The meeting has been moved to the small room on the third floor."),
    Utterance("joy", "it+Alex", "Ho trovato due biglietti per il concerto di venerdì sera in piazza grande."),
    Utterance(
        "anger",
        "en+f2",
        "You have put the wet boots on the clean carpet for the third time this week, right by the door.",
    ),
    Utterance("sadness", "de+f3", "Das alte Kino am Markt wird im Herbst geschlossen."),
    Utterance("neutral", "it+Alex", "Il treno per Bologna parte dal binario quattro alle dieci."),
    Utterance(
        "anger", "de+f3", "Die Heizung ist seit drei Tagen kaputt, und bei der Verwaltung geht niemand ans Telefon."
    ),
    Utterance(
        "joy", "en+f2", "My sister is coming home from Canada, and she is bringing both dogs and the piano with her."
    ),
    Utterance("sadness", "it+Alex", "La nonna non abita più in questa strada."),
    Utterance(
        "anger", "it+Alex", "Qualcuno ha lasciato di nuovo la bicicletta davanti al portone, e io non riesco a uscire."
    ),
    Utterance("neutral", "de+f3", "Die Rechnung liegt auf dem Schreibtisch unter der kleinen Lampe."),
    Utterance("sadness", "en+f2", "Nobody has played that guitar since last winter."),
    Utterance("joy", "de+f3", "Wir haben beim Wettbewerb den ersten Preis gewonnen und feiern heute Abend im Hof."),
)

README = """\
# Demo material: synthetic speech

All speech in this folder was made by the synthesiser espeak-ng; no person was recorded for it. The labels name four
caricatures of prosody (speed, pitch, loudness, brightness), not emotions, and they were tuned until metaser's default
tells them apart. So use this material to try the commands, not to judge the accuracy of emotion recognition.

- `support/LABEL/VOICE.flac`: five clips per class, the same five voices in each class.
- `conversation.flac`: {utterances} utterances in turn, {duration_s:.1f} s; two of its three voices and one of its
  three languages are not in `support/`.
- `conversation.json`: the true segments; starts and ends are those of the audible speech, in seconds.

| label | words per minute | pitch | range | level | emphasis |
|---|---|---|---|---|---|
{styles}

16 kHz, mono, 16 bit. Made with espeak-ng {version} (PyPI package `espeakng-loader`) by

    python tools/make_demo_speech.py

The sentences are our own. This material is synthesiser output, ours, under the Apache License 2.0, as is metaser.
espeak-ng itself (GPL-3.0-or-later) is not part of it and is needed only to make it again.
"""


class Espeak:
    """espeak-ng's C library in synchronous retrieval mode."""

    _SYNCHRONOUS, _DONT_EXIT = 2, 0x8000
    _UTF8_WITH_END_PAUSE = 0x1001  # without the pause the last sound stops dead
    _RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
    _VOLUME_WITHOUT_CLIPPING = 60  # the style's level is set afterwards

    def __init__(self, library: Path, data: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._chunks: list[Pcm] = []
        callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = callback_type(self._receive)  # kept: the library holds only its address
        self.rate_hz: int = self._library.espeak_Initialize(self._SYNCHRONOUS, 0, str(data).encode(), self._DONT_EXIT)
        if self.rate_hz <= 0:
            raise RuntimeError(f"espeak-ng did not start with the data in {data} (code {self.rate_hz})")
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, _events: int | None) -> int:
        if samples and count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    @property
    def version(self) -> str:
        """The library's version."""
        return str(self._library.espeak_Info(None).decode().split()[0])

    def close(self) -> None:
        """Free the library's memory."""
        self._library.espeak_Terminate()

    def _check(self, code: int, what: str) -> None:
        if code != 0:
            raise RuntimeError(f"espeak-ng refused {what} (code {code})")

    def speak(self, text: str, voice: str, style: Style) -> Samples:
        """The text's samples [T] in [-1, 1] at `rate_hz`."""
        self._chunks.clear()
        self._check(self._library.espeak_SetVoiceByName(voice.encode()), f"the voice {voice!r}")
        for number, value in (
            (self._RATE, style.rate_wpm),
            (self._VOLUME, self._VOLUME_WITHOUT_CLIPPING),
            (self._PITCH, style.pitch),
            (self._RANGE, style.pitch_range),
        ):
            self._check(self._library.espeak_SetParameter(number, value, 0), f"{value} for parameter {number}")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(0))  # breath noise
        utf8 = text.encode()
        size = ctypes.c_size_t(len(utf8) + 1)
        self._check(
            self._library.espeak_Synth(utf8, size, 0, 1, 0, self._UTF8_WITH_END_PAUSE, None, None), f"the text {text!r}"
        )
        pcm = np.concatenate(self._chunks)
        if np.abs(pcm.astype(np.int32)).max() >= 32_767:
            raise RuntimeError(f"espeak-ng clipped {text!r} by {voice}")
        return pcm / 32_768


@contextmanager
def espeak() -> Iterator[Espeak]:
    """The synthesiser of the PyPI package espeakng-loader, closed afterwards."""
    try:
        import espeakng_loader
    except ModuleNotFoundError as error:
        raise SystemExit("this needs espeak-ng: pip install 'espeakng-loader>=0.2.4' (in metaser[dev])") from error
    synthesiser = Espeak(Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path()))
    try:
        yield synthesiser
    finally:
        synthesiser.close()


def samples_of(duration_s: float) -> int:
    """Seconds to samples at the material's rate."""
    return round(duration_s * SAMPLE_RATE_HZ)


def amplitude(level_db: float) -> float:
    """Decibels to a factor."""
    return float(10 ** (level_db / 20))


def audible_span(samples: npt.NDArray[Any]) -> tuple[int, int]:
    """First audible sample and the one after the last: within 40 dB of the peak."""
    loudness = np.abs(samples.astype(np.float64))
    audible = np.flatnonzero(loudness > loudness.max() * amplitude(-AUDIBLE_BELOW_PEAK_DB))
    return int(audible[0]), int(audible[-1]) + 1


def trim(samples: Samples) -> Samples:
    """The audible span with `MARGIN_S` at both sides, faded at the ends."""
    margin, fade = samples_of(MARGIN_S), samples_of(FADE_S)
    start, end = audible_span(samples)
    padded = np.pad(samples, margin)
    cut = padded[start : end + 2 * margin].copy()
    ramp = np.linspace(0.0, 1.0, fade)
    cut[:fade] *= ramp
    cut[-fade:] *= ramp[::-1]
    return cut


def render(synthesiser: Espeak, utterance: Utterance) -> Samples:
    """The utterance [T] at 16 kHz, trimmed, with its style's brightness and level."""
    style = STYLES[utterance.label]
    raw = synthesiser.speak(utterance.text, utterance.voice, style)
    resampled = soxr.resample(raw, synthesiser.rate_hz, SAMPLE_RATE_HZ)
    bright = resampled - style.effort * np.pad(resampled, (1, 0))[:-1]
    trimmed = trim(bright)
    level: float = np.sqrt(np.mean(trimmed**2))
    loud: Samples = trimmed * (amplitude(style.level_dbfs) / level)
    if np.abs(loud).max() > MAX_PEAK:
        raise RuntimeError(f"{utterance} peaks at {np.abs(loud).max():.2f}, more than {MAX_PEAK}: lower its level")
    return loud


def to_pcm(samples: Samples, noise: np.random.Generator) -> Pcm:
    """16-bit samples, multiples of `STEP`, over a faint noise floor."""
    floor = noise.uniform(-1.0, 1.0, samples.size) * np.sqrt(3) * amplitude(NOISE_DBFS)
    return (np.round((samples + floor) * 32_768 / STEP) * STEP).astype(np.int16)


def write_flac(path: Path, pcm: Pcm) -> None:
    """Write mono 16-bit FLAC with a title."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC", compression_level=1.0) as file:
        file.title = TITLE
        file.comment = TITLE
        file.write(pcm)


def make_support(synthesiser: Espeak, folder: Path, noise: np.random.Generator) -> None:
    """Write `LABEL/VOICE.flac` for each style of each voice."""
    for voice, texts in SUPPORT_TEXTS.items():
        for label, text in texts.items():
            pcm = to_pcm(render(synthesiser, Utterance(label, voice, text)), noise)
            write_flac(folder / label / f"{voice.replace('+', '-')}.flac", pcm)


@dataclass(frozen=True)
class Segment:
    """A segment of audible speech in the conversation."""

    label: str
    start_s: float
    end_s: float
    voice: str
    language: str


def make_conversation(synthesiser: Espeak, folder: Path, noise: np.random.Generator) -> float:
    """Write `conversation.flac` and its true segments; returns its length in seconds."""
    pieces: list[Samples] = [np.zeros(samples_of(LEAD_S - MARGIN_S))]
    spans: list[tuple[int, int]] = []
    for utterance, gap_s in zip(CONVERSATION, itertools.cycle(GAPS_S), strict=False):
        start = sum(map(len, pieces))
        pieces.append(render(synthesiser, utterance))
        spans.append((start, start + len(pieces[-1])))
        pieces.append(np.zeros(samples_of(gap_s - 2 * MARGIN_S)))
    pcm = to_pcm(np.concatenate(pieces), noise)
    write_flac(folder / "conversation.flac", pcm)
    segments = [asdict(segment_of(u, pcm, *span)) for u, span in zip(CONVERSATION, spans, strict=True)]
    truth = {"synthetic": True, "sample_rate_hz": SAMPLE_RATE_HZ, "segments": segments}
    write_text(folder / "conversation.json", json.dumps(truth, indent=1) + "\n")
    return len(pcm) / SAMPLE_RATE_HZ


def segment_of(utterance: Utterance, pcm: Pcm, start: int, end: int) -> Segment:
    """The audible part of the samples from start to end."""
    first, last = (round((start + edge) / SAMPLE_RATE_HZ, 3) for edge in audible_span(pcm[start:end]))
    return Segment(utterance.label, first, last, utterance.voice, utterance.language)


def write_text(path: Path, text: str) -> None:
    """UTF-8 with the same line ends on every system."""
    path.write_bytes(text.encode())


def make_readme(folder: Path, version: str, duration_s: float) -> None:
    """Write the README of the material."""
    rows = (
        f"| {label} | {s.rate_wpm} | {s.pitch} | {s.pitch_range} | {s.level_dbfs:.0f} dBFS | {s.effort} |"
        for label, s in STYLES.items()
    )
    text = README.format(utterances=len(CONVERSATION), duration_s=duration_s, styles="\n".join(rows), version=version)
    write_text(folder / "README.md", text)


def total_bytes(folder: Path) -> int:
    """Size of all files under the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def make(folder: Path) -> None:
    """Make the whole material in the folder."""
    noise = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    with espeak() as synthesiser:
        make_support(synthesiser, folder / "support", noise)
        duration_s = make_conversation(synthesiser, folder, noise)
        make_readme(folder, synthesiser.version, duration_s)
    if total_bytes(folder) > MAX_TOTAL_BYTES:
        raise RuntimeError(f"{folder} has {total_bytes(folder)} bytes, more than {MAX_TOTAL_BYTES}")


def main() -> None:
    """Make the material in the folder given on the command line."""
    parser = argparse.ArgumentParser(description="Make metaser's demo material: synthetic speech by espeak-ng.")
    parser.add_argument("out", nargs="?", type=Path, default=DEMO_FOLDER, help="folder to write (default: %(default)s)")
    folder: Path = parser.parse_args().out
    make(folder)
    print(f"{folder}: {total_bytes(folder)} bytes")


if __name__ == "__main__":
    main()
