"""The two queues of a stream: what is lost, what is dropped, and that nothing else is."""

import time

import anyio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.serve.streams.inbox import Inbox
from metaser.serve.streams.outbox import MOST, UPDATES, Outbox

STEREO = RawFormat(1000, 2, "s16le")  # 4 bytes a frame


@given(st.lists(st.integers(0, 30), max_size=30), st.lists(st.booleans(), min_size=30, max_size=30))
def test_an_inbox_without_a_capacity_gives_all_bytes_in_whole_frames(sizes: list[int], reads: list[bool]) -> None:
    inbox, sent, got = Inbox(STEREO), b"", b""
    for size, read in zip(sizes, reads, strict=False):
        message = bytes(np.arange(len(sent), len(sent) + size) % 251)
        sent += message
        inbox.put(message)
        assert inbox.has_frames == (len(sent) - len(got) >= 4)
        if read:
            taken = inbox.take()
            assert len(taken.content) % 4 == taken.lost_frames == 0
            got += taken.content
    got += inbox.take().content
    assert got == sent[: len(sent) // 4 * 4]


@given(st.lists(st.integers(0, 50), max_size=40))
def test_a_full_inbox_loses_its_oldest_frames_and_counts_them(sizes: list[int]) -> None:
    inbox, sent = Inbox(STEREO, 0.005), b""  # five frames
    for size in sizes:
        message = bytes(np.arange(len(sent), len(sent) + size) % 251)
        sent += message
        inbox.put(message)
        assert inbox.seconds <= 0.005
    taken = inbox.take()
    frames = len(sent) // 4
    assert taken.lost_frames * 4 + len(taken.content) == frames * 4
    assert taken.content == sent[taken.lost_frames * 4 : frames * 4]
    assert taken.seconds == pytest.approx(len(taken.content) / 4000)


def test_the_wait_of_an_inbox_counts_from_the_first_whole_frame() -> None:
    inbox = Inbox(STEREO)
    arrivals = []
    for size in (3, 4, 4):  # 7 bytes are a frame and a part of the next
        arrivals.append(time.perf_counter())
        inbox.put(bytes(size))
        time.sleep(0.01)
    taken = inbox.take()
    assert arrivals[0] <= taken.waiting_since
    assert taken.waiting_since < arrivals[2] < taken.heard_at
    later = time.perf_counter()
    inbox.put(bytes(4))
    assert inbox.take().waiting_since > later


def everything(outbox: Outbox) -> list[str]:
    async def run() -> list[str]:
        outbox.close()
        found = []
        while (text := await outbox.get()) is not None:
            found.append(text)
        return found

    return anyio.run(run)


@given(st.lists(st.booleans(), max_size=400))
def test_only_updates_are_dropped_and_the_order_stays(updates: list[bool]) -> None:
    outbox = Outbox()
    for number, is_update in enumerate(updates):
        outbox.put(str(number), is_update=is_update)
    found = [int(text) for text in everything(outbox)]
    assert found == sorted(found)
    assert {number for number, is_update in enumerate(updates) if not is_update} <= set(found)
    assert len(found) + outbox.dropped == len(updates)
    assert not outbox.dropped or len(updates) > UPDATES


def test_a_client_that_reads_nothing_overruns_its_outbox() -> None:
    outbox = Outbox()
    for number in range(MOST):
        assert not outbox.is_overrun
        outbox.put(str(number))
    assert outbox.is_overrun
