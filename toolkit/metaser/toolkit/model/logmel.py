"""Whisper's log-mel spectrogram as a module of plain convolutions, so that it exports with the encoder."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.toolkit.model.masking import frame_mask

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
FRAMES_PER_STEP = 2
"""The encoder's second convolution halves the frame rate, so clips have an even number of mel frames."""

STEP_SAMPLES = FRAMES_PER_STEP * HOP_SAMPLES

TAIL_FRAMES = 2
"""Frames beyond M that still overlap the clip: they are cut off, but their bins count for the floor."""


class LogMel(nn.Module):
    """Waveform [B, T], lengths [B] -> log-mel [B, mel_bins, M], each clip as by `WhisperFeatureExtractor` alone.

    Clip i of length T_i has M_i = 2 * ceil(T_i / 320) valid frames, zeros beyond; frame m is centred on sample 160 m::

        reflected        clip          zeros, as in the extractor's 30 s
        [200 ..... 1][0 1 2 ... T_i-1][0 0 0 ...
        |--- frame 0: 400 ---|
             |--- frame 1: 400 ---|

    The floor is 80 dB below the clip's loudest bin. Frames of zeros have the smallest possible value and so never set
    it: other clips of the batch have no influence.
    """

    def __init__(self, mel_bins: int) -> None:
        super().__init__()
        self.keeps_float32 = False
        """Whether autocast is disabled."""
        filters = mel_filter_bank(
            num_frequency_bins=WINDOW_SAMPLES // 2 + 1,
            num_mel_filters=mel_bins,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE_HZ / 2,
            sampling_rate=SAMPLE_RATE_HZ,
            norm="slaney",
            mel_scale="slaney",
        )
        self.fourier: Tensor  # [2 * 201, 1, 400]
        self.mel_filters: Tensor  # [mel_bins, 201]
        self.register_buffer("fourier", windowed_fourier_basis(WINDOW_SAMPLES), persistent=False)
        self.register_buffer("mel_filters", torch.from_numpy(filters.T).to(torch.float32), persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """[B, T] float32 and [B] int64 -> [B, mel_bins, M]; samples beyond a clip's length are ignored."""
        if not self.keeps_float32:
            return self._log_mel(waveform, lengths)
        with torch.autocast(waveform.device.type, enabled=False):
            return self._log_mel(waveform, lengths)

    def _log_mel(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        samples, half_window = waveform.shape[1], WINDOW_SAMPLES // 2
        clip = waveform.masked_fill(frame_mask(lengths, samples) == 0, 0.0)
        whole_steps = (samples + STEP_SAMPLES - 1) // STEP_SAMPLES * STEP_SAMPLES
        clip = F.pad(clip, (0, whole_steps - samples + half_window + (TAIL_FRAMES - 1) * HOP_SAMPLES))
        reflected = clip[:, 1 : half_window + 1].flip(1)
        padded = torch.cat([reflected, clip], dim=1)
        cosine, sine = F.conv1d(padded[:, None], self.fourier, stride=HOP_SAMPLES).chunk(2, dim=1)  # [B, 201, M + 2]
        mel = self.mel_filters @ (cosine.square() + sine.square())  # [B, mel_bins, M + 2]
        log_mel = mel.clamp(min=1e-10).log10()
        floor = log_mel.amax(dim=(1, 2), keepdim=True) - 8.0
        log_mel = (torch.maximum(log_mel, floor)[:, :, :-TAIL_FRAMES] + 4.0) / 4.0  # [B, mel_bins, M]
        return log_mel * frame_mask(FRAMES_PER_STEP * encoder_steps(lengths), log_mel.shape[2])[:, None]


def encoder_steps(lengths: Tensor) -> Tensor:
    """[B] samples -> [B] frames of the encoder, ceil(T / 320)."""
    return torch.div(lengths + STEP_SAMPLES - 1, STEP_SAMPLES, rounding_mode="floor")


def windowed_fourier_basis(n: int) -> Tensor:
    """[2 * (n/2 + 1), 1, n]: cosines, then sines, of the n-point Fourier transform under a periodic Hann window."""
    sample = torch.arange(n, dtype=torch.float64)
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * sample / n)
    angle = 2 * math.pi / n * (torch.arange(n // 2 + 1)[:, None] * sample % n)  # [n/2 + 1, n]
    basis = torch.cat([angle.cos() * window, angle.sin() * window])
    return basis[:, None].to(torch.float32)
