"""The log-mel baseline without a model: means and deviations of a clip's log-mel spectrogram."""

from __future__ import annotations

import hashlib
from functools import cache

import torch

from metaser.runtime.arrays import Embedding, Waveform
from metaser.toolkit.evaluation.embeddings import Embedder
from metaser.toolkit.model.logmel import LogMel

MEL_BINS = 128


def log_mel_statistics(waveform: Waveform) -> Embedding:
    """Float32 [T] at 16 kHz -> [2 · 128], the mean of each mel bin over frames and its standard deviation."""
    with torch.inference_mode():
        mel = _log_mel()(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))[0]  # [128, M]
        statistics: Embedding = torch.cat([mel.mean(1), mel.std(1, correction=0)]).numpy()
    return statistics


def log_mel_embedder() -> Embedder:
    """The baseline as an embedder."""
    key = hashlib.sha256(f"mean and deviation of {MEL_BINS} log-mel bins".encode()).hexdigest()
    return Embedder("log-mel", "statistics", key, log_mel_statistics)


@cache
def _log_mel() -> LogMel:
    return LogMel(MEL_BINS)
