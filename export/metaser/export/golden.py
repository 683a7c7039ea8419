"""The golden vectors of a bundle: a synthetic waveform, and the frames and embedding that PyTorch gives for it."""

from __future__ import annotations

import numpy as np
import torch

from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, Frames, Waveform
from metaser.toolkit.model.network import ProtoNet

GOLDEN_S = 1.5


def voiced_waveform(samples: int, seed: int = 0) -> Waveform:
    """[T] a synthetic sound, not corpus audio: harmonics of a gliding pitch under moving formants, and noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    pitch_hz = 120 + 60 * np.sin(2 * np.pi * 0.7 * time_s + seed)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    formant_hz = 700 + 300 * np.sin(2 * np.pi * 1.3 * time_s)
    voice = np.zeros(samples)
    for harmonic in range(1, 25):
        resonance = np.exp(-(((harmonic * pitch_hz - formant_hz) / 400) ** 2)) + 0.3 / harmonic
        voice += resonance * np.sin(harmonic * phase)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.5 * time_s)
    wave = voice * syllables + 0.02 * rng.standard_normal(samples)
    return (0.5 * wave / np.abs(wave).max()).astype(np.float32)


def golden_vectors(network: ProtoNet) -> tuple[Waveform, Frames, Embedding]:
    """Waveform [T], frames [N, D] and embedding [E] by PyTorch in float32."""
    waveform = voiced_waveform(int(GOLDEN_S * SAMPLE_RATE_HZ))
    batch, lengths = torch.from_numpy(waveform)[None], torch.tensor([len(waveform)])
    with torch.inference_mode():
        frames, _ = network.backbone(batch, lengths)
        embedding = network.embed(batch, lengths)
    return waveform, frames[0].numpy(), embedding[0].numpy()
