import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from metaser.toolkit.model.logmel import LogMel


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    """[T] noise that fades in and out between 0.02 and 0.4."""
    waveform = np.random.default_rng(seed).standard_normal(samples) * (0.21 + 0.19 * np.sin(np.arange(samples) / 900))
    return torch.from_numpy(waveform.astype(np.float32))


def stock(clip: torch.Tensor, mel_bins: int = 80) -> torch.Tensor:
    """[T] -> [mel_bins, 2 * ceil(T / 320)] by transformers."""
    extractor = WhisperFeatureExtractor(feature_size=mel_bins)
    features: torch.Tensor = extractor(clip.numpy(), sampling_rate=16_000, return_tensors="pt").input_features[0]
    return features[:, : 2 * -(-len(clip) // 320)]


def alone(log_mel: LogMel, clip: torch.Tensor) -> torch.Tensor:
    return log_mel(clip[None], torch.tensor([len(clip)]))[0]


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 200, 201, 202, 319, 320, 321, 639, 640, 16_000, 33_333, 160_000])
def test_it_equals_the_stock_extractor_cut_to_the_clip(samples: int) -> None:
    clip = noise(samples)
    torch.testing.assert_close(alone(LogMel(80), clip), stock(clip), rtol=0, atol=2e-5)


def test_it_has_as_many_mel_bins_as_the_encoder_asks_for() -> None:
    clip = noise(4_000)
    torch.testing.assert_close(alone(LogMel(128), clip), stock(clip, 128), rtol=0, atol=2e-5)


@pytest.mark.parametrize("last", [318, 319, 638, 639])
def test_a_click_at_the_very_end_sets_the_floor_as_in_the_stock_extractor(last: int) -> None:
    clip = 1e-5 * noise(last + 1)
    clip[last] = 1.0  # loudest in a frame that is cut off
    torch.testing.assert_close(alone(LogMel(80), clip), stock(clip), rtol=0, atol=2e-5)


def test_silence_gives_the_stock_value_and_no_nan() -> None:
    clip = torch.zeros(1_000)
    torch.testing.assert_close(alone(LogMel(80), clip), stock(clip), rtol=0, atol=0)


def test_frames_beyond_a_clip_are_zero() -> None:
    features = LogMel(80)(noise(2_000)[None].repeat(2, 1), torch.tensor([321, 0]))
    assert (features[0, :, :4] != 0).any(0).all()
    assert (features[0, :, 4:] == 0).all()
    assert (features[1] == 0).all()


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 3_000), min_size=1, max_size=3),
    extra=st.integers(0, 700),
    garbage=st.sampled_from([0.0, 1.0, 1e30, float("inf"), float("nan")]),
)
def test_padding_garbage_and_company_change_nothing(lengths: list[int], extra: int, garbage: float) -> None:
    log_mel = LogMel(80)
    batch = torch.full((len(lengths), max(lengths) + extra), garbage)
    for row, samples in enumerate(lengths):
        batch[row, :samples] = noise(samples, seed=row)
    together = log_mel(batch, torch.tensor(lengths))
    for row, samples in enumerate(lengths):
        expected = alone(log_mel, noise(samples, seed=row))
        torch.testing.assert_close(together[row, :, : expected.shape[1]], expected, rtol=0, atol=1e-5)


def test_it_adds_nothing_to_a_checkpoint() -> None:
    assert not LogMel(80).state_dict()
