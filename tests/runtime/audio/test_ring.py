"""A bounded ring: the samples read are the samples written, in order, except those counted as lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.audio.ring import Ring


@given(steps=st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=40), capacity=st.integers(1, 20))
def test_what_is_read_and_what_was_lost_are_all_that_was_written(steps: list[tuple[int, bool]], capacity: int) -> None:
    ring = Ring(capacity)
    written = lost_ever = 0
    read: list[float] = []
    for size, reads in [*steps, *[(0, True)] * (2 + sum(size for size, _ in steps) // capacity)]:
        ring.write(np.arange(written + 1, written + size + 1, dtype=np.float32)[:, None])
        written += size
        if reads:
            samples, lost, _ = ring.read(0.0)
            assert len(samples) <= 2 * capacity
            assert not samples[:lost].any()
            lost_ever += lost
            read += samples[:, 0].tolist()
    assert [value for value in read if value] == [float(i) for i, value in enumerate(read, start=1) if value]
    assert (len(read), read.count(0.0)) == (written, lost_ever)


def test_what_is_skipped_is_neither_read_nor_lost() -> None:
    ring = Ring(10)
    ring.write(np.ones((25, 1), np.float32))
    ring.skip()
    ring.write(np.full((3, 1), 2, np.float32))
    samples, lost, _ = ring.read(0.0)
    assert (samples[:, 0].tolist(), lost) == ([2.0, 2.0, 2.0], 0)


def test_a_closed_ring_is_read_to_its_end() -> None:
    ring = Ring(10, channels=2)
    ring.write(np.ones((4, 2), np.float32))
    ring.close()
    assert not ring.is_closed
    assert ring.read(0.0)[0].shape == (4, 2)
    assert ring.is_closed
