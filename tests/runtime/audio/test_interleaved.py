"""Two channels that are read as one are recognised; one channel never is."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime import Engine, InputWarning, Profile
from metaser.runtime.arrays import Waveform
from metaser.runtime.audio.interleaved import RepeatCheck, repeats


def stereo(clip: Waveform, right: float = 1.0) -> Waveform:
    """Both channels as one, with a little noise in each."""
    noise = np.random.default_rng(0).normal(size=(len(clip), 2)) * 0.01 * clip.std()
    return (np.stack([clip, right * clip], axis=1) + noise).astype(np.float32).ravel()


def test_two_channels_are_recognised_and_one_is_not(conversation: Waveform) -> None:
    for start in range(0, len(conversation) - 16_000, 16_000):
        clip = conversation[start : start + 16_000]
        assert (repeats(stereo(clip)), repeats(np.repeat(clip, 2)), repeats(clip)) == (True, True, False)
    assert not repeats(np.zeros(16_000, np.float32))
    assert not repeats(np.repeat(conversation[:2_000], 2))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 20_000), max_size=12))
def test_the_size_of_the_blocks_does_not_matter(cuts: list[int]) -> None:
    rng = np.random.default_rng(1)
    samples = np.repeat(rng.normal(size=10_001), 2)[1:].astype(np.float32)
    check = RepeatCheck()
    for start, end in pairwise([0, *sorted(cuts), len(samples)]):
        check.push(samples[start:end])
    assert check.repeats


def test_a_clip_and_a_stream_say_it(engine: Engine, profile: Profile, conversation: Waveform) -> None:
    samples = stereo(conversation[:64_000])
    with pytest.warns(InputWarning, match="the clip: it repeats each sample: it seems to be two channels"):
        engine.classify(samples, profile)
    stream = engine.stream(profile)
    stream.push(samples)
    with pytest.warns(InputWarning) as caught:
        stream.finish()
    assert any("the stream: it repeats each sample" in str(each.message) for each in caught)
