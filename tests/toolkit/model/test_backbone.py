"""Frames: equal to transformers for each clip alone, for any batch and any content of the padding."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.export import Dim, export

from metaser.runtime.errors import InputError
from metaser.toolkit.model.backbone import Backbone

if TYPE_CHECKING:
    from tests.toolkit.conftest import Pretrained

SHORTEST = 400
TWO_FRAMES = 720
"""The shortest waveform that torch exports at a dynamic length: an axis of 1 would be a constant."""

LONGEST = 40_000


def speech(samples: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[T] noise with an offset and a changing level, so that no two stretches have the same mean or variance."""
    noise = np.random.default_rng(seed).standard_normal(samples)
    return (0.05 + noise * (0.1 + 0.05 * np.sin(np.arange(samples) / 700))).astype(np.float32)


def together(backbone: Backbone, clips: list[Any], extra: int = 0, padding: float = 0.0) -> tuple[Tensor, Tensor]:
    """The frames of clips in one batch, padded with `extra` more samples than needed."""
    waveform = torch.full((len(clips), max(len(clip) for clip in clips) + extra), padding)
    for row, clip in enumerate(clips):
        waveform[row, : len(clip)] = torch.from_numpy(clip)
    with torch.no_grad():
        frames, frame_lengths = backbone(waveform, torch.tensor([len(clip) for clip in clips]))
    return frames, frame_lengths


@pytest.mark.parametrize("samples", [400, 401, 719, 720, 721, 16_000, 33_333])
def test_frames_equal_the_hidden_states_of_transformers(pretrained: "Pretrained", samples: int) -> None:
    clip = speech(samples)
    for layers in (1, pretrained.depth):
        frames, frame_lengths = together(pretrained.backbone(layers), [clip])
        expected = pretrained.reference(clip, layers)
        assert frame_lengths.tolist() == [len(expected)]
        torch.testing.assert_close(frames[0], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 319, 320, 321])
def test_whisper_has_frames_for_the_shortest_clips(whisper: "Pretrained", samples: int) -> None:
    frames, _ = together(whisper.backbone(2), [speech(samples)])
    torch.testing.assert_close(frames[0], whisper.reference(speech(samples), 2), rtol=0, atol=2e-5)


def test_the_reference_at_full_depth_is_before_the_final_norm(wav2vec2: "Pretrained") -> None:
    clip = torch.from_numpy(speech(2_000))[None]
    with torch.no_grad():
        output = wav2vec2.model(clip, output_hidden_states=True)
    assert not torch.allclose(output.hidden_states[wav2vec2.depth], output.last_hidden_state, atol=0.01)


@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(SHORTEST, 4_000), min_size=1, max_size=3),
    extra=st.integers(0, 1_000),
    padding=st.sampled_from([0.0, 1.0, 1e30, float("inf"), float("nan")]),
)
def test_padding_garbage_and_company_change_nothing(
    pretrained: "Pretrained", lengths: list[int], extra: int, padding: float
) -> None:
    backbone = pretrained.loaded
    clips = [speech(samples, seed=row) for row, samples in enumerate(lengths)]
    frames, frame_lengths = together(backbone, clips, extra, padding)
    for row, clip in enumerate(clips):
        expected, n = together(backbone, [clip])
        assert frame_lengths[row] == n[0]
        torch.testing.assert_close(frames[row, : int(n[0])], expected[0], rtol=1e-5, atol=1e-5)
        assert (frames[row, int(n[0]) :] == 0).all()


def test_a_clip_too_short_for_a_frame_has_none_and_disturbs_nobody(pretrained: "Pretrained") -> None:
    empty = np.zeros(0, np.float32)
    frames, frame_lengths = together(pretrained.loaded, [empty, speech(1_000)])
    assert frame_lengths[0] == 0
    assert (frames[0] == 0).all()
    torch.testing.assert_close(frames[1:], together(pretrained.loaded, [speech(1_000)])[0], rtol=0, atol=1e-5)


def test_gradients_reach_the_weights_and_are_finite_with_an_empty_clip_in_the_batch(pretrained: "Pretrained") -> None:
    backbone = pretrained.backbone(1)
    waveform = torch.from_numpy(speech(1_000)).expand(2, -1)
    frames, _ = backbone(waveform, torch.tensor([1_000, 0]))
    frames.square().sum().backward()
    gradients = [parameter.grad for parameter in backbone.parameters() if parameter.requires_grad]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert sum(bool((gradient != 0).any()) for gradient in gradients if gradient is not None) > len(gradients) / 2


def test_hop_and_receptive_field_are_derived_from_the_convolutions(pretrained: "Pretrained") -> None:
    backbone = pretrained.loaded
    whisper = pretrained.name == "whisper"
    assert backbone.hop_samples == 320
    assert backbone.receptive_field_samples == (1040 if whisper else 400)
    assert backbone.family == ("whisper" if whisper else "wav2vec2")
    assert (backbone.width, backbone.layers) == (32, pretrained.depth)


def test_clips_outside_the_range_of_the_encoder_are_refused(wav2vec2: "Pretrained", whisper: "Pretrained") -> None:
    with pytest.raises(InputError, match="needs 400 samples or more, got 399"):
        together(wav2vec2.loaded, [speech(399)])
    with pytest.raises(InputError, match="takes 40960 samples at most, got 40961"):
        together(whisper.loaded, [speech(40_961)])


def test_attention_is_torchs_fused_product(pretrained: "Pretrained") -> None:
    program = export(pretrained.backbone(1), (torch.zeros(2, 1_000), torch.tensor([1_000, 800])))
    fused = [node for node in program.graph.nodes if "scaled_dot_product_attention" in str(node.target)]
    assert len(fused) == 1


def test_torch_export_works_with_any_batch_and_length(pretrained: "Pretrained") -> None:
    backbone = pretrained.loaded
    batch, samples = Dim("batch", max=64), Dim("samples", min=TWO_FRAMES, max=LONGEST)
    example = (torch.from_numpy(speech(2_000)).expand(2, -1), torch.tensor([2_000, 1_234]))
    program = export(backbone, example, dynamic_shapes=({0: batch, 1: samples}, {0: batch}), strict=False).module()
    for lengths in ([TWO_FRAMES], [1_039, 401], [5_000, 0, 3_333], [16_000]):
        waveform = torch.from_numpy(speech(max(lengths))).repeat(len(lengths), 1)
        with torch.no_grad():
            expected, expected_lengths = backbone(waveform, torch.tensor(lengths))
            frames, frame_lengths = program(waveform, torch.tensor(lengths))
        torch.testing.assert_close(frames, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(frame_lengths, expected_lengths)
