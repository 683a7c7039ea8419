"""Cost of one bad clip among five, effect of leaving it out, and how often the report finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.research.enrolment_episodes import CORPORA, Draw, Floats, draws, evidence, load, mean_and_spread
from metaser.runtime import Engine, load_audio
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embeddings, Waveform
from metaser.runtime.audio.quality import measure
from metaser.runtime.audio.trim import speech_in
from metaser.runtime.enrolment.report import pair_confusions
from metaser.runtime.scoring.decision import softmax, unit
from metaser.runtime.scoring.leave_one_out import cross_fit
from metaser.toolkit.evaluation.embeddings import Embedded
from metaser.toolkit.training.augment import add_noise

EPISODES = 100
SHOTS, CLASSES = 5, 4
NOISE_DB = (-5, 0, 5, 10, 20)
SPEECH_S = (0.2, 0.35, 0.5, 1.0)
DOUBT = (0.01, 0.02, 0.05, 0.1)
CLIPS = 60
"""Number of clips per corpus for the estimates and the near-copies."""

Change = Callable[[Waveform], Waveform]


def measure_limits(corpora: Path) -> dict[str, Any]:
    """All measurements, on validation speakers, support and queries of one person."""
    engine = Engine.open(provider="cpu", threads=1)
    embedded = [load(corpora, name, "validation") for name in CORPORA]
    found: dict[str, Any] = {"one clip a class damaged": {}}
    for name, change in _changes().items():
        damaged = [_embed(engine, clips, change) for clips in embedded]
        found["one clip a class damaged"][name] = _cost(embedded, damaged)
    found["one clip with a wrong label"] = _wrong_label(embedded)
    found["twins"] = _twins(engine, embedded)
    found["estimate of speech over noise"] = _noise_estimates(embedded)
    found["pairs that overlap"] = _pairs(embedded)
    return found


def _changes() -> dict[str, Change]:
    noisy = {f"noise at {db} dB": _noise(db) for db in NOISE_DB}
    return noisy | {f"{seconds:g} s of speech": _cut(seconds) for seconds in SPEECH_S}


def _noise(snr_db: float) -> Change:
    return lambda waveform: add_noise(waveform, snr_db, np.random.default_rng(len(waveform)))


def _cut(seconds: float) -> Change:
    """The loudest section of this length."""

    def cut(waveform: Waveform) -> Waveform:
        length = min(len(waveform), round(seconds * SAMPLE_RATE_HZ))
        energy = np.cumsum(np.square(waveform, dtype=np.float64))
        start = int(np.argmax(energy[length - 1 :] - np.concatenate([[0.0], energy[:-length]])))
        return waveform[start : start + length]

    return cut


def _embed(engine: Engine, clips: Embedded, change: Change) -> Embeddings:
    return np.stack([engine.embed(speech_in(change(load_audio(clip.path)))) for clip in clips.utterances])


def _cost(embedded: Sequence[Embedded], damaged: Sequence[Embeddings]) -> dict[str, Any]:
    """Accuracy of five good clips minus that with one of them damaged, and minus that with it left out; in points."""
    kept, left_out = [], []
    for clips, worse in zip(embedded, damaged, strict=True):
        for draw in _draws(clips):
            support = clips.embeddings[draw.support].astype(np.float64)  # [C, K, E]
            bad = support.copy()
            bad[:, 0] = worse[draw.support[:, 0]]
            accuracies = [_accuracy(draw, clips, each.mean(axis=1)) for each in (support, bad, support[:, 1:])]
            kept.append(100 * (accuracies[1] - accuracies[0]))
            left_out.append(100 * (accuracies[2] - accuracies[1]))
    return {"damaged minus good": mean_and_spread(kept), "left out minus damaged": mean_and_spread(left_out)}


def _draws(clips: Embedded) -> list[Draw]:
    return list(draws(clips, "same", shots=SHOTS, classes=CLASSES, count=EPISODES))


def _accuracy(draw: Draw, clips: Embedded, means: Floats) -> float:
    cosines = unit(clips.embeddings[draw.query_clips]) @ unit(means).T
    return float(np.mean(cosines.argmax(axis=1) == draw.targets))


def _wrong_label(embedded: Sequence[Embedded]) -> dict[str, Any]:
    """How often the left-out probability of the labelled class is below a limit, for mislabelled clips and for all."""
    wrong: list[Floats] = []
    correct: list[Floats] = []
    gains = []
    for clips in embedded:
        for draw in _draws(clips):
            targets = np.repeat(np.arange(CLASSES), SHOTS)
            rows = draw.support.copy()
            rows[0, 0] = next(clip for clip, of in zip(draw.query_clips, draw.targets, strict=True) if of == 1)
            case = evidence(draw, None)
            for support, into in ((draw.support, correct), (rows, wrong)):
                fitted = cross_fit(clips.embeddings[support.ravel()], targets)
                own = softmax(case.scale / case.base.temperature * fitted.cosines)[np.arange(len(targets)), targets]
                into.append(own if into is correct else own[:1])
            means = [clips.embeddings[each].astype(np.float64).mean(axis=1) for each in (rows, draw.support)]
            without = means[0].copy()
            without[0] = clips.embeddings[rows[0, 1:]].astype(np.float64).mean(axis=0)
            gains.append(100 * (_accuracy(draw, clips, without) - _accuracy(draw, clips, means[0])))
    found, alarms = np.concatenate(wrong), np.concatenate(correct)
    return {
        "left out minus kept": mean_and_spread(gains),
        **{
            f"probability below {limit}": {
                "wrong labels found": round(float(np.mean(found < limit)), 3),
                "right labels doubted": round(float(np.mean(alarms < limit)), 4),
            }
            for limit in DOUBT
        },
    }


def _twins(engine: Engine, embedded: Sequence[Embedded]) -> dict[str, float]:
    """Cosines of a clip to another encoding of itself, and of the nearest two different clips of a person and class."""
    copies: dict[str, list[float]] = {}
    nearest = []
    for clips in embedded:
        for index in range(min(CLIPS, len(clips.utterances))):
            waveform = load_audio(clips.utterances[index].path)
            for name, coded in _copies(waveform).items():
                pair = unit(np.stack([engine.embed(speech_in(coded)), clips.embeddings[index]]))
                copies.setdefault(name, []).append(float(pair[0] @ pair[1]))
        people = np.array([f"{clip.speaker}/{clip.label}" for clip in clips.utterances])
        for person in np.unique(people):
            own = unit(clips.embeddings[people == person])
            nearest += list(np.sort((own @ own.T - 2 * np.eye(len(own))).max(axis=1)))
    return {
        **{f"{name}, lowest": round(min(values), 5) for name, values in copies.items()},
        "different clips, highest": round(max(nearest), 5),
        "different clips, 99 %": round(float(np.quantile(nearest, 0.99)), 5),
        "different clips, median": round(float(np.median(nearest)), 5),
    }


def _copies(waveform: Waveform) -> Mapping[str, Waveform]:
    file = BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE_HZ, format="OGG", subtype="VORBIS")
    file.seek(0)
    return {
        "half as loud": 0.5 * waveform,
        "Ogg Vorbis": soundfile.read(file, dtype="float32")[0],
        "20 ms cut off": waveform[320:],
        "half a second cut off": waveform[8000:],
    }


def _noise_estimates(embedded: Sequence[Embedded]) -> dict[str, Any]:
    """Estimates of `measure` for clips with noise at a known level."""
    paths = [clip.path for clips in embedded for clip in clips.utterances[:: max(1, len(clips.utterances) // 20)]]
    estimates = {"as recorded": [measure(load_audio(path)).snr_db for path in paths]}
    for db in NOISE_DB:
        estimates[f"{db} dB"] = [measure(_noise(db)(load_audio(path))).snr_db for path in paths]
    return {
        name: [round(float(value), 1) for value in np.quantile(each, [0.1, 0.5, 0.9])]
        for name, each in estimates.items()
    }


def _pairs(embedded: Sequence[Embedded]) -> dict[str, Any]:
    """How often queries of two classes are confused, by the confusion of their left-out clips."""
    by_support: dict[str, list[float]] = {}
    for clips in embedded:
        for draw in _draws(clips):
            for (first, second), share in pair_confusions(draw.fitted).items():
                own = np.isin(draw.targets, (first, second))
                two = draw.queries[own][:, [first, second]]
                confused = float(np.mean(two.argmax(axis=1) != (draw.targets[own] == second)))
                by_support.setdefault(f"{round(10 * share)} of 10", []).append(confused)
    return {
        name: {"pairs": len(values), "queries confused": round(float(np.mean(values)), 3)}
        for name, values in sorted(by_support.items(), key=lambda entry: int(entry[0].split()[0]))
    }
