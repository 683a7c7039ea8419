"""The hop of a live stream, by hand, and a stream whose model really is too slow."""

import threading
import time

import numpy as np
import pytest

from metaser.runtime import Calibration, Engine, Profile, StreamEvent, StreamSettings
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Embedding, HeadParameters, Waveform
from metaser.runtime.audio.ring import Ring
from metaser.runtime.model.model import Model
from metaser.runtime.stream.pace import Pace
from metaser.runtime.stream.stream import Stream

BLOCK = 512


def test_the_hop_doubles_while_the_work_fills_it_and_halves_when_it_does_not() -> None:
    pace = Pace(0.5, 8.0)
    hops = []
    for work_s in (0.04, 0.7, 0.7, 0.04, 0.04, 100.0):
        pace.worked(work_s)
        hops.append(pace.hop_s)
    assert hops == [0.5, 1.0, 1.0, 0.5, 0.5, 8.0]


def test_a_hop_that_was_narrowed_too_early_stays_wide_longer_each_time() -> None:
    pace, waits_s = Pace(0.5, 8.0), []
    for _ in range(7):
        pace.worked(0.5)  # too much for 0.5 s, and fine for 1 s
        assert pace.hop_s == 1.0
        waited_s = 1.0
        while not pace.worked(0.1):
            waited_s += 1.0
        assert pace.hop_s == 0.5
        waits_s.append(waited_s)
    assert waits_s == [1.0, 5.0, 9.0, 17.0, 33.0, 65.0, 65.0]


def test_a_hop_that_lasted_is_narrowed_at_once_after_the_next_overload() -> None:
    pace = Pace(0.5, 8.0)
    for work_s in (0.5, 0.1, 0.5):
        pace.worked(work_s)
    assert pace.hop_s == 1.0  # the first relapse
    while pace.hop_s > 0.5:
        pace.worked(0.1)
    for _ in range(21):  # more than ten seconds without an overload
        pace.worked(0.1)
    pace.worked(0.5)
    pace.worked(0.1)
    assert pace.hop_s == 0.5


class SlowModel(Model):
    """The shipped model on a machine that is slow for its first windows; it knows one embedding."""

    slow_s = 0.0
    slow_windows = 0
    known: Embedding

    def embed(self, waveform: Waveform, head: HeadParameters | None = None) -> Embedding:  # noqa: ARG002
        """Take the given time, then none, whatever this machine takes."""
        if self.slow_windows > 0:
            self.slow_windows -= 1
            time.sleep(self.slow_s)
        return self.known


def slow_engine(clip: Waveform, slow_s: float, slow_windows: int) -> Engine:
    model = SlowModel.open(provider="cpu", threads=1)
    assert isinstance(model, SlowModel)
    model.slow_s, model.slow_windows, model.known = slow_s, slow_windows, Model.embed(model, clip)
    return Engine(model)


def feed(ring: Ring, samples: Waveform) -> None:
    """Write in real time, as a microphone does."""
    began = time.perf_counter()
    for start in range(0, len(samples), BLOCK):
        time.sleep(max(0.0, began + (start + BLOCK) / SAMPLE_RATE_HZ - time.perf_counter()))
        ring.write(samples[start : start + BLOCK, None])
    ring.close()


def hear(ring: Ring, stream: Stream) -> tuple[list[StreamEvent], int]:
    """All events until the ring is closed, and how many samples were lost."""
    events: list[StreamEvent] = []
    lost_ever = 0
    while not ring.is_closed:
        samples, lost, heard_at = ring.read(0.1)
        lost_ever += lost
        dropped_ms = 1000 * lost_ever / SAMPLE_RATE_HZ
        events += stream.push(samples[:, 0], heard_at=heard_at, dropped_ms=dropped_ms)
    return events + stream.finish(), lost_ever


def test_a_slow_engine_widens_the_hop_says_so_and_the_latency_stays_bounded(
    profile: Profile, conversation: Waveform
) -> None:
    slow_s = 0.35
    engine = slow_engine(conversation[:SAMPLE_RATE_HZ], slow_s, slow_windows=4)
    stream = engine.stream(profile, settings=StreamSettings(hop_s=0.2), live=True)
    ring = Ring(10 * SAMPLE_RATE_HZ)
    feeder = threading.Thread(target=feed, args=(ring, conversation[: 9 * SAMPLE_RATE_HZ]))
    feeder.start()
    events, lost = hear(ring, stream)
    feeder.join()
    overloads = [event for event in events if event.event == "overload"]
    assert lost == 0
    assert overloads[0].end_s is None
    assert overloads[-1].end_s is not None
    assert stream.hop_s == 0.2
    assert max(event.latency_ms for event in events) < 1000 * (2 * slow_s + 0.4)


def test_an_engine_that_is_far_too_slow_loses_audio_says_how_much_and_queues_nothing(
    profile: Profile, conversation: Waveform
) -> None:
    slow_s = 1.8
    engine = slow_engine(conversation[:SAMPLE_RATE_HZ], slow_s, slow_windows=100)
    stream = engine.stream(profile, settings=StreamSettings(hop_s=0.2, widest_hop_s=0.4), live=True)
    ring = Ring(SAMPLE_RATE_HZ)  # a second, so that it overflows soon
    feeder = threading.Thread(target=feed, args=(ring, conversation[: 5 * SAMPLE_RATE_HZ]))
    feeder.start()
    began = time.perf_counter()
    events, lost = hear(ring, stream)
    lasted_s = time.perf_counter() - began
    feeder.join()
    assert lost > SAMPLE_RATE_HZ // 2
    assert events[-1].dropped_ms == pytest.approx(1000 * lost / SAMPLE_RATE_HZ)
    assert stream.position_s == pytest.approx(5.0, abs=0.05)
    assert lasted_s < 5 + 3 * slow_s  # the window at work at the end, and those that closing may take


@pytest.mark.parametrize(
    ("waited_s", "expected"), [(0.55, [2 * StreamSettings.hop_s, StreamSettings.hop_s]), (0.45, [])]
)
def test_waiting_a_hop_for_a_shared_processor_widens_the_hop_like_slow_work_does(
    conversation: Waveform, waited_s: float, expected: list[float]
) -> None:
    stream = Stream(
        lambda _: np.array([0.9, 0.1]), ("a", "b"), Calibration(), SAMPLE_RATE_HZ, StreamSettings(), live=True
    )
    chunk, hops = SAMPLE_RATE_HZ // 10, []
    for start in range(0, 12 * SAMPLE_RATE_HZ, chunk):
        wait_s = waited_s if start < 6 * SAMPLE_RATE_HZ else 0.0
        for event in stream.push(conversation[start : start + chunk], waited_s=wait_s):
            hops += [stream.hop_s] if event.event == "overload" else []
    assert hops == expected


def test_lost_audio_is_said_at_once(conversation: Waveform) -> None:
    stream = Stream(
        lambda _: np.array([0.9, 0.1]), ("a", "b"), Calibration(), SAMPLE_RATE_HZ, StreamSettings(), live=True
    )
    (event,) = stream.push(conversation[:100], heard_at=time.perf_counter(), dropped_ms=250.0)
    assert (event.event, event.start_s, event.end_s, event.dropped_ms) == ("overload", 0.0, 0.25, 250.0)


def test_a_loss_that_goes_on_is_said_at_its_beginning_and_in_all_at_its_end() -> None:
    stream = Stream(
        lambda _: np.array([0.9, 0.1]), ("a", "b"), Calibration(), SAMPLE_RATE_HZ, StreamSettings(), live=True
    )
    block = np.zeros(SAMPLE_RATE_HZ * 32 // 1000 * 10, np.float32)  # 0.32 s
    events = [
        event
        for dropped_ms in (0.0, 320.0, 640.0, 960.0, 960.0, 960.0, 1280.0, 1280.0)
        for event in stream.push(block, heard_at=time.perf_counter(), dropped_ms=dropped_ms)
    ]
    reported = [(event.start_s, round(event.end_s or 0, 6), event.dropped_ms) for event in events]
    assert reported == [(0.32, 0.64, 320.0), (0.32, 1.28, 960.0), (1.92, 2.24, 1280.0)]
