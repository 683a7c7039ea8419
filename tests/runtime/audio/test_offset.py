"""A constant offset is removed from clips and streams; without one nothing changes."""

import numpy as np
import pytest

from metaser.runtime import Engine, Profile
from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.offset import OffsetRemoval, without_offset
from metaser.runtime.audio.voice_activity import CHUNK_SAMPLES


@pytest.mark.parametrize("offset", [-0.3, 0.02, 0.5])
def test_the_offset_of_a_clip_is_its_mean(conversation: Waveform, offset: float) -> None:
    clip = 0.5 * conversation[:48_000]
    moved = without_offset((clip + np.float32(offset)).astype(np.float32))
    np.testing.assert_allclose(moved, clip - clip.mean(), atol=1e-6)


def test_a_clip_without_offset_is_returned_as_it_is(conversation: Waveform) -> None:
    assert without_offset(conversation) is conversation
    assert len(without_offset(np.zeros(0, np.float32))) == 0


@pytest.mark.parametrize("offset", [-0.3, 0.05])
def test_an_offset_gives_the_same_label(
    engine: Engine, profile: Profile, conversation: Waveform, offset: float
) -> None:
    clip = 0.5 * conversation[:48_000]
    plain, moved = (engine.classify(each, profile) for each in (clip, (clip + np.float32(offset)).astype(np.float32)))
    assert moved.label == plain.label
    assert moved.confidence == pytest.approx(plain.confidence, abs=0.01)


def test_an_offset_gives_the_same_events(engine: Engine, profile: Profile, conversation: Waveform) -> None:
    speech = 0.5 * conversation[:400_000]
    plain, *moved = (
        [(each.event, each.label, each.start_s) for each in (*stream.push(samples), *stream.finish())]
        for samples in (speech, *((speech + np.float32(offset)).astype(np.float32) for offset in (-0.3, 0.05)))
        for stream in [engine.stream(profile)]
    )
    assert len(plain) >= 6
    for events in moved:
        assert [each[:2] for each in events] == [each[:2] for each in plain]
        np.testing.assert_allclose([each[2] for each in events], [each[2] for each in plain], atol=0.1)


def test_a_stream_without_offset_is_left_as_it_is(conversation: Waveform) -> None:
    removal = OffsetRemoval()
    chunks = conversation[: len(conversation) // CHUNK_SAMPLES * CHUNK_SAMPLES].reshape(-1, CHUNK_SAMPLES)
    assert all(removal.remove(chunk) is chunk for chunk in chunks)
    assert removal.offset == 0
