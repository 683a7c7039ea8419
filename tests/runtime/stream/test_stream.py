"""Streams: any cutting into chunks gives the same events, and a window's scores are those of its samples alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.runtime import (
    AudioError,
    Calibration,
    Engine,
    InputError,
    InputWarning,
    Profile,
    Stream,
    StreamEvent,
    StreamSettings,
)
from metaser.runtime.arrays import SAMPLE_RATE_HZ

Audio = npt.NDArray[np.float32]


def run(stream: Stream, chunks: list[Audio]) -> list[StreamEvent]:
    events = [event for chunk in chunks for event in stream.push(chunk)] + stream.finish()
    return [replace(event, latency_ms=0.0) for event in events]


@pytest.fixture(scope="module")
def excerpt(conversation: Audio) -> Audio:
    return conversation[: 12 * SAMPLE_RATE_HZ]


@pytest.fixture(scope="module")
def expected(engine: Engine, profile: Profile, excerpt: Audio) -> list[StreamEvent]:
    return run(engine.stream(profile), [excerpt])


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, 12 * SAMPLE_RATE_HZ), max_size=40))
def test_any_cutting_into_chunks_gives_the_same_events(
    engine: Engine, profile: Profile, excerpt: Audio, expected: list[StreamEvent], cuts: list[int]
) -> None:
    assert run(engine.stream(profile), np.split(excerpt, sorted(cuts))) == expected


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1600])
def test_chunks_around_the_edge_give_the_same_events(
    engine: Engine, profile: Profile, excerpt: Audio, size: int
) -> None:
    short = excerpt[: 5 * SAMPLE_RATE_HZ]
    chunks = np.split(short, range(size, len(short), size))
    assert run(engine.stream(profile), chunks) == run(engine.stream(profile), [short])


def test_another_rate_is_resampled_whatever_the_chunks(engine: Engine, profile: Profile, excerpt: Audio) -> None:
    fast = soxr.resample(excerpt[: 6 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ, 44_100)
    whole = run(engine.stream(profile, sample_rate_hz=44_100), [fast])
    assert run(engine.stream(profile, sample_rate_hz=44_100), np.split(fast, range(777, len(fast), 777))) == whole
    assert whole[0].event == "enter"


def test_the_scores_of_a_first_window_are_those_of_its_samples_offline(
    engine: Engine, profile: Profile, excerpt: Audio, expected: list[StreamEvent]
) -> None:
    first = expected[0]
    assert first.event == "enter"
    start = round(first.start_s * SAMPLE_RATE_HZ)
    window = excerpt[start : start + round(StreamSettings().min_window_s * SAMPLE_RATE_HZ)]
    np.testing.assert_array_equal(list(first.scores.values()), engine.scores(engine.embed(window), profile))


def test_events_of_a_segment_come_in_order_and_tile_the_utterances(
    engine: Engine, profile: Profile, conversation: Audio
) -> None:
    events = run(engine.stream(profile), [conversation])
    open_since: float | None = None
    last_end = 0.0
    for event in events:
        if event.event == "enter":
            assert open_since is None
            assert event.start_s >= last_end
            open_since = event.start_s
        elif event.event == "update":
            assert event.start_s == open_since
        elif event.event == "leave":
            assert event.start_s == open_since
            assert event.end_s is not None
            assert event.end_s > event.start_s
            open_since, last_end = None, event.end_s
        else:
            assert event.event == "silence"
            assert open_since is None
            assert event.label is None
    assert open_since is None
    assert {event.event for event in events} == {"enter", "update", "leave", "silence"}


def test_segments_lie_where_the_truth_has_speech(
    engine: Engine, profile: Profile, conversation: Audio, truth: list[dict[str, object]]
) -> None:
    left = [event for event in run(engine.stream(profile), [conversation]) if event.event == "leave"]
    for segment in truth:
        start_s, end_s = float(str(segment["start_s"])), float(str(segment["end_s"]))
        covered = sum(max(0.0, min(end_s, event.end_s or 0.0) - max(start_s, event.start_s)) for event in left)
        assert covered >= 0.9 * (end_s - start_s)
    assert sum((event.end_s or 0.0) - event.start_s for event in left) <= len(conversation) / SAMPLE_RATE_HZ * 0.9


def test_silence_gives_no_label(engine: Engine, profile: Profile) -> None:
    quiet = np.random.default_rng(0).normal(0, 1e-4, 5 * SAMPLE_RATE_HZ).astype(np.float32)
    stream = engine.stream(profile)
    with pytest.warns(InputWarning, match=r"the stream: silent \(its peak is 4\..e-04, speech needs 0\.001\): check"):
        assert run(stream, [quiet]) == []
    assert not stream.in_speech


@pytest.mark.parametrize("rate_hz", [SAMPLE_RATE_HZ, 44_100])
def test_clipped_speech_is_a_warning_at_the_end(engine: Engine, profile: Profile, excerpt: Audio, rate_hz: int) -> None:
    clipped = np.clip(20 * excerpt, -1, 1)
    stream = engine.stream(profile, sample_rate_hz=rate_hz)
    stream.push(clipped)
    with pytest.warns(InputWarning, match=r"the stream: it is clipped \(\d+% of its samples are cut off\)"):
        stream.finish()


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        (lambda speech: speech * np.float32(8e-3 / np.abs(speech).max()), r"its speech is very quiet \(-\d+ dBFS\)"),
        (lambda speech: np.float32(0.01) * np.sign(np.sin(np.arange(len(speech)) / 9)).astype(np.float32),
         r"no speech was found in \d+ s \(its peak is -40 dBFS\)"),
        (lambda speech: speech + np.random.default_rng(0).normal(0, 1.2 * speech.std(), len(speech)).astype(np.float32),
         r"its speech is hardly louder than its pauses"),
    ],
)  # fmt: skip
def test_a_stream_of_very_quiet_or_no_speech_is_a_warning_at_the_end(
    engine: Engine, profile: Profile, excerpt: Audio, change: Callable[[Audio], Audio], doubt: str
) -> None:
    stream = engine.stream(profile)
    stream.push(change(excerpt))
    with pytest.warns(InputWarning, match=f"the stream: {doubt}"):
        stream.finish()


def test_a_burst_of_speech_too_short_to_label_gives_nothing(
    engine: Engine, profile: Profile, excerpt: Audio, expected: list[StreamEvent]
) -> None:
    start = round(expected[0].start_s * SAMPLE_RATE_HZ)
    quiet = np.random.default_rng(0).normal(0, 1e-4, SAMPLE_RATE_HZ).astype(np.float32)
    burst = np.concatenate([quiet, excerpt[start : start + SAMPLE_RATE_HZ // 2], quiet])
    patient = StreamSettings(min_utterance_s=0.9)
    assert run(engine.stream(profile, settings=patient), [burst]) == []
    assert [event.event for event in run(engine.stream(profile), [burst])] == ["enter", "leave", "silence"]


@settings(max_examples=8, deadline=None)
@given(cut=st.integers(0, 12 * SAMPLE_RATE_HZ))
def test_the_future_never_changes_the_past(
    engine: Engine, profile: Profile, excerpt: Audio, expected: list[StreamEvent], cut: int
) -> None:
    stream = engine.stream(profile)
    heard = [replace(event, latency_ms=0.0) for event in stream.push(excerpt[:cut])]
    assert heard == expected[: len(heard)]


def test_an_utterance_cut_by_the_end_is_closed_at_the_last_sample(
    engine: Engine, profile: Profile, excerpt: Audio, expected: list[StreamEvent]
) -> None:
    middle_s = expected[0].start_s + 2.1
    samples = round(middle_s * SAMPLE_RATE_HZ)
    events = run(engine.stream(profile), [excerpt[:samples]])
    assert [event.event for event in events][-2:] == ["leave", "silence"]
    assert events[-2].end_s == pytest.approx(samples / SAMPLE_RATE_HZ, abs=1e-9)


def test_an_empty_stream_has_no_events(engine: Engine, profile: Profile) -> None:
    assert run(engine.stream(profile), []) == []
    assert run(engine.stream(profile), [np.zeros(0, np.float32)]) == []


def test_bad_chunks_are_refused_and_the_stream_goes_on(
    engine: Engine, profile: Profile, excerpt: Audio, expected: list[StreamEvent]
) -> None:
    stream = engine.stream(profile)
    events = stream.push(excerpt[:50_000])
    for chunk in (np.full(10, np.nan, np.float32), np.zeros((2, 10), np.float32), np.zeros(10, np.int32)):
        with pytest.raises(AudioError):
            stream.push(chunk)
    events += stream.push(excerpt[50_000:]) + stream.finish()
    assert [replace(event, latency_ms=0.0) for event in events] == expected


def test_a_window_between_two_labels_moves_no_segment_whichever_it_says(conversation: Audio) -> None:
    """Its scores differ by 2e-6, as by the rounding of another processor, and give another label."""
    utterance = conversation[round(4.5 * SAMPLE_RATE_HZ) : round(9.05 * SAMPLE_RATE_HZ)]  # of seven windows
    left = []
    for nudge in (1e-6, -1e-6):
        windows: list[Audio] = []

        def score(window: Audio, windows: list[Audio] = windows, nudge: float = nudge) -> npt.NDArray[np.float64]:
            windows.append(window)
            of_a = (0.9, 0.9, 0.9, 0.9, 0.9, 0.5 + nudge, 0.2)[len(windows) - 1]
            return np.array([of_a, 1 - of_a])

        stream = Stream(score, ("a", "b"), Calibration(), SAMPLE_RATE_HZ, StreamSettings())
        left.append([event for event in run(stream, [utterance]) if event.event == "leave"])
        assert len(windows) == 7
    assert [[event.label for event in events] for events in left] == [["a"], ["a"]]
    assert left[0][0].confidence == pytest.approx((0.9 + 0.5 + 0.2) / 3, abs=1e-5)
    assert left[1][0].confidence == pytest.approx(left[0][0].confidence, abs=1e-5)


def test_a_finished_stream_takes_no_more(engine: Engine, profile: Profile) -> None:
    stream = engine.stream(profile)
    stream.finish()
    assert stream.finish() == []
    with pytest.raises(InputError, match="the stream is finished"):
        stream.push(np.zeros(10, np.float32))


@pytest.mark.parametrize(
    ("window_s", "hop_s", "min_window_s"), [(3.0, 0.0, 1.0), (3.0, 4.0, 1.0), (3.0, 0.5, 4.0), (3.0, 0.5, 0.1)]
)
def test_settings_that_contradict_each_other_are_refused(window_s: float, hop_s: float, min_window_s: float) -> None:
    with pytest.raises(InputError, match="each must be above 0"):
        StreamSettings(window_s=window_s, hop_s=hop_s, min_window_s=min_window_s)


def test_streams_in_several_threads_of_one_engine_give_what_each_gives_alone(
    engine: Engine, profile: Profile, conversation: Audio
) -> None:
    sounds = [conversation[begin * SAMPLE_RATE_HZ :][: 8 * SAMPLE_RATE_HZ] for begin in (0, 7, 19, 33)]

    def serve(sound: Audio) -> list[StreamEvent]:
        return run(engine.stream(profile), np.split(sound, range(999, len(sound), 999)))

    with ThreadPoolExecutor(len(sounds)) as pool:
        assert list(pool.map(serve, sounds)) == [serve(sound) for sound in sounds]


def test_two_streams_of_one_engine_do_not_disturb_each_other(
    engine: Engine, profile: Profile, excerpt: Audio, expected: list[StreamEvent]
) -> None:
    streams = [engine.stream(profile) for _ in range(2)]
    events: list[list[StreamEvent]] = [[], []]
    for chunk in np.split(excerpt, range(8000, len(excerpt), 8000)):
        for stream, seen in zip(streams, events, strict=True):
            seen.extend(stream.push(chunk))
    for stream, seen in zip(streams, events, strict=True):
        seen.extend(stream.finish())
        assert [replace(event, latency_ms=0.0) for event in seen] == expected


def test_a_stream_is_used_by_one_thread_at_a_time(engine: Engine, profile: Profile, excerpt: Audio) -> None:
    stream = engine.stream(profile)
    with ThreadPoolExecutor(2) as pool:
        pushes = [pool.submit(stream.push, excerpt) for _ in range(2)]
    errors = [error for error in (push.exception() for push in pushes) if error]
    assert ["another thread is using this stream" in str(error) for error in errors] == [True]


def test_a_window_of_minutes_is_refused() -> None:
    with pytest.raises(InputError, match="a window of 61 s: give 60 s at most"):
        StreamSettings(window_s=61)
