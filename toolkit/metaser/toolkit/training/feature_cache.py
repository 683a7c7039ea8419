"""Disk cache of the frozen part's output for some augmented variants of every clip, computed once.

Training then costs only the layers that learn. Only Whisper's backbones can start at a middle layer.

Letters: B batch, N frames, D frame width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.errors import InputError
from metaser.runtime.system.files import replacing
from metaser.toolkit.config import Config
from metaser.toolkit.data.clip_store import ClipStore
from metaser.toolkit.model.encoder import Backbone
from metaser.toolkit.model.spec_augment import masked
from metaser.toolkit.seeding import Purpose, generator
from metaser.toolkit.training.augment import augment
from metaser.toolkit.training.batches import pad

StoredFrames = npt.NDArray[np.float16]
"""[N, D]"""


class VariantStore:
    """Variants of the clips of a store, in float16 below its run's cache; each is one file that is written atomically.

    Raises:
        InputError: the backbone is not Whisper's, its front end learns, or its layers are summed.
    """

    def __init__(self, config: Config, store: ClipStore, backbone: Backbone) -> None:
        if not backbone.is_divisible:
            raise InputError(f"freeze.variants is for Whisper only and this backbone is {backbone.family}")
        if not config.freeze.front_end and not config.freeze.layers:
            raise InputError("freeze.variants stores a frozen part's output: set freeze.front_end or freeze.layers")
        if backbone.layer_sum is not None:
            raise InputError("freeze.variants stores one layer's output and model.weighted_sum needs all: choose one")
        self._config, self._store, self._backbone = config, store, backbone
        effects = {name: value for name, value in config.plain()["augment"].items() if name != "frame_keep_ratio"}
        settings = json.dumps([effects, config.data.crop_s, config.freeze.layers, config.seed])
        weights = hashlib.sha256(settings.encode())
        for name, tensor in sorted(backbone.state_dict().items()):
            layer = name.partition("encoder.layers.")[2].partition(".")[0]
            if not layer or int(layer) < config.freeze.layers:
                weights.update(tensor.cpu().numpy().tobytes())
        self._folder = config.out / "cache" / f"variants-{weights.hexdigest()[:16]}"

    def load(self, clip: int, variant: int) -> StoredFrames:
        """[N, D], memory-mapped."""
        return np.load(self._path(clip, variant), mmap_mode="r")

    def draw(self, clip: int, rng: np.random.Generator) -> StoredFrames:
        """[N, D], one of the variants of a clip."""
        return self.load(clip, int(rng.integers(self._config.freeze.variants)))

    @torch.inference_mode()
    def fill(self, notify: Callable[[str], None]) -> None:
        """Compute the missing variants."""
        missing = [clip for clip in range(len(self._store.utterances)) if not self._is_there(clip)]
        if not missing:
            return
        notify(f"{len(missing)} clips: computing the frozen part for {self._config.freeze.variants} variants of each")
        self._backbone.eval()
        for clip in missing:
            self._fill(clip)

    def _fill(self, clip: int) -> None:
        config = self._config
        crop_samples = round(config.data.crop_s * SAMPLE_RATE_HZ)
        rng = generator(config.seed, Purpose.VARIANTS, int(self._key(clip)[:8], 16))
        waveform = self._store.load(clip)
        cut = [augment(waveform, crop_samples, config.augment, rng) for _ in range(config.freeze.variants)]
        device = next(self._backbone.parameters()).device
        clips, lengths = (part.to(device) for part in pad(cut))
        with masked(self._backbone, lengths.tolist(), config.augment, rng):
            frames, counts = self._backbone.listen(clips, lengths)
        frames, _ = self._backbone.attend(frames, counts, stop=config.freeze.layers)
        for variant, (row, count) in enumerate(zip(frames, counts.tolist(), strict=True)):
            path = self._path(clip, variant)
            with replacing(path) as file:
                np.save(file, row[:count].to(torch.float16).cpu().numpy())

    def _is_there(self, clip: int) -> bool:
        return all(self._path(clip, variant).exists() for variant in range(self._config.freeze.variants))

    def _path(self, clip: int, variant: int) -> Path:
        return self._folder / f"{self._key(clip)}-{variant}.npy"

    def _key(self, clip: int) -> str:
        """Seed from the clip alone, so that its variants do not depend on the other clips."""
        source = self._store.utterances[clip]
        return hashlib.sha256(f"{source.corpus}/{source.path.name}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
