"""The clips of a search as stored frames: augmented variants of training clips, and whole clips to evaluate.

Everything that a run does not train is computed once, so that a run on a GPU takes seconds.

Letters: M clips, V variants of a clip, N frames, D frame width, B clips of a batch.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from benchmarks.research.unseen.recipe import SIX
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.trim import load_speech
from metaser.toolkit.config import AugmentConfig
from metaser.toolkit.data.corpora import Utterance, read_corpus
from metaser.toolkit.episodes.protocol import split_of
from metaser.toolkit.model.backbone import load_backbone
from metaser.toolkit.model.encoder import Backbone
from metaser.toolkit.model.spec_augment import masked
from metaser.toolkit.training.augment import augment, random_crop
from metaser.toolkit.training.batches import pad

CORPORA = (*SIX, "casia", "ased")
"""Corpora that train or develop; those for reports are not read."""
CROP_S = 2.5
EVALUATED_S = 10.0
BATCH = 64
VARIANTS = 8
CROPS = 4
"""Crops of a clip that are not augmented."""
WHOLE_S = 8.0
"""A student hears so much of a training clip."""
START = 1
"""The first layer that is trained."""
PACKED = ("clips.ogg", "clips.json")
OPUS_LEVEL = 0.895
"""libsndfile's compression level, about 25 kbit/s."""

Clip = tuple[Utterance, Waveform]


def pack(corpora: Path, folder: Path) -> None:
    """Write the speech of all clips that may be heard into one small file, to take it to another machine."""
    clips = [clip for name in CORPORA for clip in read_corpus(corpora / name).utterances if split_of(clip) != "test"]
    with ProcessPoolExecutor() as pool:
        packed = list(pool.map(_encode, [clip.path for clip in clips], chunksize=32))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PACKED[0]).write_bytes(b"".join(packed))
    rows = [{**asdict(clip), "path": clip.path.name} for clip in clips]
    (folder / PACKED[1]).write_text(json.dumps([rows, [len(one) for one in packed]]), encoding="utf-8")


def _encode(path: Path) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, load_speech(path), SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL)
    return file.getvalue()


def unpack(folder: Path) -> list[Clip]:
    """Read what `pack` wrote."""
    rows, sizes = json.loads((folder / PACKED[1]).read_text(encoding="utf-8"))
    content, ends = (folder / PACKED[0]).read_bytes(), np.cumsum(sizes)
    parts = [content[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    with ProcessPoolExecutor() as pool:
        waveforms = list(pool.map(_decode, parts, chunksize=64))
    clips = [Utterance(**{**row, "path": Path(row["path"])}) for row in rows]
    return list(zip(clips, waveforms, strict=True))


def _decode(content: bytes) -> Waveform:
    return soundfile.read(io.BytesIO(content), dtype="float32")[0]


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of clips or variants, in float16 on one device."""

    frames: Tensor
    """[M or M · V, N, D]; the variants of a clip follow each other."""
    lengths: Tensor
    """[M or M · V] int64"""

    def to(self, device: torch.device) -> Frames:
        """The same on a device."""
        return Frames(self.frames.to(device), self.lengths.to(device))


@dataclass(frozen=True, eq=False)
class Material:
    """What all runs of a search share."""

    training: tuple[Utterance, ...]
    variants: Frames
    """Augmented crops of the training clips."""
    count: int
    """V"""
    heard: tuple[Utterance, ...]
    """The clips to evaluate, by length."""
    whole: tuple[Frames, ...]
    """Batches of `heard`, in order."""
    start: int
    """The first layer that is not yet computed."""

    def to(self, device: torch.device) -> Material:
        """The same on a device."""
        return replace(self, variants=self.variants.to(device), whole=tuple(part.to(device) for part in self.whole))

    def trains(self, speakers_of: Mapping[str, frozenset[str]]) -> list[bool]:
        """For each clip of `heard`, whether a run on these speakers of corpora trains on it."""
        return [clip.speaker in speakers_of.get(clip.corpus, ()) and split_of(clip) == "train" for clip in self.heard]


def compute(
    clips: Sequence[Clip], backbone: Path, device: torch.device, workers: int, variants: int = VARIANTS
) -> Material:
    """Compute the frozen part of augmented crops and of whole clips."""
    network = load_backbone(backbone, START).to(device)
    training = [clip for clip in clips if split_of(clip[0]) == "train"]
    heard = sorted(clips, key=lambda clip: len(clip[1]))
    most = round(EVALUATED_S * SAMPLE_RATE_HZ)
    batches = [heard[first : first + BATCH] for first in range(0, len(heard), BATCH)]
    return Material(
        training=tuple(clip for clip, _ in training),
        variants=_variants(network, [waveform for _, waveform in training], workers, variants),
        count=variants,
        heard=tuple(clip for clip, _ in heard),
        whole=tuple(_frames(network, [waveform[:most] for _, waveform in batch]) for batch in batches),
        start=START,
    )


def compute_clean(clips: Sequence[Clip], backbone: Path, device: torch.device) -> tuple[Frames, Frames]:
    """The frozen part of `CROPS` random crops of every training clip, and of its first `WHOLE_S`."""
    network = load_backbone(backbone, START).to(device)
    waveforms = [waveform for clip, waveform in clips if split_of(clip) == "train"]
    most = round(CROP_S * SAMPLE_RATE_HZ)
    crops = [
        random_crop(waveform, most, np.random.default_rng((number, crop)))
        for number, waveform in enumerate(waveforms)
        for crop in range(CROPS)
    ]
    whole = round(WHOLE_S * SAMPLE_RATE_HZ)
    return _stacked(network, crops, most), _stacked(network, [waveform[:whole] for waveform in waveforms], whole)


def _variants(network: Backbone, waveforms: Sequence[Waveform], workers: int, variants: int) -> Frames:
    with ProcessPoolExecutor(workers) as pool:
        made = pool.map(partial(_augmented, variants=variants), enumerate(waveforms), chunksize=16)
        crops = [crop for own in made for crop in own]
    return _stacked(network, crops, round(CROP_S * SAMPLE_RATE_HZ), np.random.default_rng(0))


def _stacked(
    network: Backbone, waveforms: Sequence[Waveform], most: int, rng: np.random.Generator | None = None
) -> Frames:
    """The frames of waveforms of at most `most` samples, padded to the same length."""
    longest = -(-most // network.hop_samples)
    rows, lengths = [], []
    for first in range(0, len(waveforms), BATCH):
        found = _frames(network, waveforms[first : first + BATCH], rng)
        rows.append(torch.nn.functional.pad(found.frames, (0, 0, 0, longest - found.frames.shape[1])))
        lengths.append(found.lengths)
    return Frames(torch.cat(rows), torch.cat(lengths))


def _augmented(numbered: tuple[int, Waveform], variants: int) -> list[Waveform]:
    number, waveform = numbered
    rng = np.random.default_rng(number)
    return [augment(waveform, round(CROP_S * SAMPLE_RATE_HZ), AugmentConfig(), rng) for _ in range(variants)]


@torch.inference_mode()
def _frames(network: Backbone, waveforms: Sequence[Waveform], rng: np.random.Generator | None = None) -> Frames:
    """The frames of a batch; with `rng` SpecAugment masks the log-mel."""
    device = next(network.parameters()).device
    clips, lengths = (part.to(device) for part in pad(waveforms))
    with masked(network, lengths.tolist(), AugmentConfig(), rng) if rng else nullcontext():
        frames, counts = network.listen(clips, lengths)
    return Frames(network.attend(frames, counts, stop=START)[0].half(), counts)
