"""The hop of a live stream, by hand, and a stream whose model really is too slow."""

import time

import numpy as np
import numpy.typing as npt

from metaser.runtime import Calibration, StreamEvent, StreamSettings
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.pace import Pace
from metaser.runtime.stream import Stream


def test_the_hop_doubles_while_the_work_fills_it_and_halves_when_it_does_not() -> None:
    pace = Pace(0.5, 8.0)
    hops = []
    for work_s in (0.04, 0.7, 0.7, 0.04, 0.04, 100.0):
        pace.worked(work_s)
        hops.append(pace.hop_s)
    assert hops == [0.5, 1.0, 1.0, 0.5, 0.5, 8.0]


def test_a_slow_model_widens_the_hop_says_so_and_the_latency_stays_bounded(
    conversation: npt.NDArray[np.float32],
) -> None:
    slow_s = 0.35

    def score(_: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        if windows < slow_windows:
            time.sleep(slow_s)
        counted()
        return np.array([0.9, 0.1])

    windows, slow_windows = 0, 4

    def counted() -> None:
        nonlocal windows
        windows += 1

    settings = StreamSettings(hop_s=0.2)
    stream = Stream(score, ("a", "b"), Calibration(), SAMPLE_RATE_HZ, settings, live=True)
    events: list[StreamEvent] = []
    began = time.perf_counter()
    heard, total = 0, 9 * SAMPLE_RATE_HZ
    while heard < total:
        here = min(total, int((time.perf_counter() - began) * SAMPLE_RATE_HZ))
        events += stream.push(conversation[heard:here], heard_at=time.perf_counter())
        heard = here
        time.sleep(0.02)
    overloads = [event for event in events if event.event == "overload"]
    assert overloads[0].end_s is None
    assert overloads[-1].end_s is not None
    assert stream.hop_s == 0.2
    assert max(event.latency_ms for event in events) < 1000 * (2 * slow_s + 0.4)


def test_lost_audio_is_said_at_once(conversation: npt.NDArray[np.float32]) -> None:
    stream = Stream(
        lambda _: np.array([0.9, 0.1]), ("a", "b"), Calibration(), SAMPLE_RATE_HZ, StreamSettings(), live=True
    )
    (event,) = stream.push(conversation[:100], heard_at=time.perf_counter(), dropped_ms=250.0)
    assert (event.event, event.start_s, event.end_s, event.dropped_ms) == ("overload", 0.0, 0.25, 250.0)
