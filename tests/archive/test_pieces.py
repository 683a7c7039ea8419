"""Cutting recordings: utterances as voice activity detection finds them, and given parts to the sample."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from metaser.archive.source.unit import WHOLE
from metaser.archive.work.pieces import Piece, pieces_of
from metaser.archive.work.utterances import MAX_UTTERANCE_S, utterances
from metaser.runtime.audio.load import read_audio
from metaser.runtime.audio.trim import load_speech, utterances_in
from metaser.runtime.bundles.bundle import shipped_folder
from tests.archive.conftest import RATE_HZ, ClipMaker, Floats


def read(path: Path) -> Floats:
    samples, _ = soundfile.read(path, dtype="float32")
    return np.asarray(samples, np.float32)


def spoken(samples: Floats) -> list[tuple[int, int]]:
    """The utterances by voice activity detection over the whole recording, without the padding of its end."""
    return [(each.start, min(each.end or 0, len(samples))) for each in utterances_in(samples)]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=12))
def test_utterances_are_those_of_a_clip_for_any_cut_into_blocks(talk: Path, sizes: list[int]) -> None:
    samples = read(talk)
    cuts = [cut for cut in np.cumsum(sizes).tolist() if cut < len(samples)]
    found = list(utterances(np.split(samples, cuts)))
    expected = spoken(samples)
    assert [(each.start, each.start + len(each.samples)) for each in found] == expected
    assert len(found) == 10
    for each in found:
        np.testing.assert_array_equal(each.samples, samples[each.start : each.start + len(each.samples)])


def test_speech_without_a_pause_is_cut_and_nothing_is_lost() -> None:
    speech = [load_speech(path) for path in sorted((shipped_folder() / "demo" / "support").rglob("*.flac"))]
    samples = np.concatenate([clip[1600:-4800] for clip in speech])
    found = list(utterances([samples]))
    whole = spoken(samples)
    assert max(end - start for start, end in whole) > 2 * MAX_UTTERANCE_S * RATE_HZ
    assert len(found) > len(whole)
    assert {start for start, _ in whole} <= {each.start for each in found}
    assert {end for _, end in whole} <= {each.start + len(each.samples) for each in found}
    assert sum(len(each.samples) for each in found) == sum(end - start for start, end in whole)
    assert all(len(each.samples) <= MAX_UTTERANCE_S * RATE_HZ + 512 for each in found)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 4799])
def test_short_and_silent_recordings_have_no_utterances(length: int) -> None:
    assert list(utterances([np.zeros(length, np.float32)])) == []


def test_a_clip_is_one_piece_as_it_is_read_for_classify(clips: Path) -> None:
    path = clips / "calm00.wav"
    [piece] = pieces_of(str(path), [WHOLE])
    assert piece.waveform is not None
    np.testing.assert_array_equal(piece.waveform, read_audio(path).waveform)
    assert (piece.start_s, piece.is_speech) == (0.0, False)


def test_a_recording_becomes_its_utterances(talk: Path) -> None:
    pieces = list(pieces_of(str(talk), [WHOLE]))
    assert len(pieces) == 10
    assert all(piece.is_speech and piece.span == WHOLE for piece in pieces)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2999), st.integers(1, 800)).map(lambda each: (each[0] / 100, sum(each) / 100)),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_parts_are_cut_to_the_sample_whatever_others_are_wanted(talk: Path, spans: list[tuple[float, float]]) -> None:
    samples = read(talk)
    pieces = {piece.span: piece for piece in pieces_of(str(talk), spans)}
    assert set(pieces) == set(spans)
    for start_s, end_s in spans:
        piece = pieces[start_s, end_s]
        assert piece.waveform is not None
        start, end = round(start_s * RATE_HZ), round(min(end_s, 30.0) * RATE_HZ)
        np.testing.assert_array_equal(piece.waveform, samples[start:end])
        assert bool(piece.notices) == (end_s - 30.0 >= 0.5)


@pytest.mark.parametrize("first", [(20.0, None), (20.0, 30.2), (20.0, 31.0)])
def test_a_part_within_one_that_reaches_the_end_keeps_its_own_end(
    talk: Path, first: tuple[float, float | None]
) -> None:
    within = [(20.0, 20.5), (22.0, 23.25), (29.5, 30.0)]
    pieces = {piece.span: piece.waveform for piece in pieces_of(str(talk), [first, *within])}
    samples = read(talk)
    np.testing.assert_array_equal(pieces[first], samples[20 * RATE_HZ :])
    for start_s, end_s in within:
        np.testing.assert_array_equal(
            pieces[start_s, end_s], samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        )


def test_a_part_of_a_resampled_recording_does_not_depend_on_the_others(make_clip: ClipMaker, tmp_path: Path) -> None:
    path = tmp_path / "wide.flac"
    wide = np.repeat(make_clip("calm", 25.0, 1), 3)
    soundfile.write(path, wide, 48_000)
    [alone] = pieces_of(str(path), [(12.3, 14.5)])
    among = {piece.span: piece for piece in pieces_of(str(path), [(0.0, 13.0), (12.3, 14.5), (20.0, None)])}
    assert alone.waveform is not None
    assert len(alone.waveform) == round(2.2 * RATE_HZ)
    np.testing.assert_array_equal(alone.waveform, among[12.3, 14.5].waveform)
    last = among[20.0, None].waveform
    assert last is not None
    assert len(last) == 5 * RATE_HZ


def errors(pieces: list[Piece]) -> list[str]:
    return [piece.error for piece in pieces]


def test_parts_outside_of_the_recording_are_errors(talk: Path, tmp_path: Path) -> None:
    pieces = list(pieces_of(str(talk), [(29.0, 31.0), (30.5, 31.0)]))
    assert errors(pieces) == ["", "it starts at 30.5 s, but the recording has 30.00 s"]
    assert pieces[0].notices == ("it ends at 31 s, but the recording has 30.00 s",)
    long = tmp_path / "long.wav"
    soundfile.write(long, np.tile(read(talk), 21), RATE_HZ)
    assert errors(list(pieces_of(str(long), [(5.0, None)]))) == [
        "it has more than 600 s up to the end of the recording: give an end"
    ]


def test_a_file_that_is_no_recording_is_an_error_of_each_of_its_units(tmp_path: Path) -> None:
    spans = [WHOLE, (0.0, 1.0), (2.0, 3.0)]
    (tmp_path / "a.wav").write_bytes(b"no audio")
    (tmp_path / "empty.wav").touch()
    for name in ("a.wav", "empty.wav", "gone.wav", "."):
        found = list(pieces_of(str(tmp_path / name), spans))
        assert [piece.span for piece in found] == spans
        assert all(piece.error and piece.is_last for piece in found)


def test_a_recording_that_breaks_off_keeps_what_is_before_it(talk: Path, tmp_path: Path) -> None:
    samples = np.tile(read(talk), 2)
    samples[RATE_HZ * 45] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE_HZ, "FLOAT")
    whole = list(pieces_of(str(tmp_path / "nan.wav"), [WHOLE]))
    assert [bool(piece.error) for piece in whole] == [*[False] * (len(whole) - 1), True]
    assert len(whole) > 10
    first, last = pieces_of(str(tmp_path / "nan.wav"), [(1.0, 2.0), (48.0, 49.0)])
    assert not first.error
    assert "NaN" in last.error


def test_silence_is_an_error_that_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(30 * RATE_HZ), RATE_HZ)
    [piece] = pieces_of(str(tmp_path / "a.wav"), [WHOLE])
    assert piece.error == "no speech was found in 30 s: check the recording"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_in_another_unicode_form_is_found(clips: Path, tmp_path: Path, form: str) -> None:
    other = {"NFC": "a\u0308", "NFD": "\u00e4"}[form]
    (tmp_path / f"{other}.wav").write_bytes((clips / "calm00.wav").read_bytes())
    given_name = {"NFC": "\u00e4", "NFD": "a\u0308"}[form]
    [piece] = pieces_of(str(tmp_path / f"{given_name}.wav"), [WHOLE])
    assert piece.waveform is not None


def test_a_pipe_is_read_like_a_file(clips: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((clips / "calm00.wav").read_bytes()))
    writer.start()
    [piece] = pieces_of(str(pipe), [WHOLE])
    writer.join()
    assert piece.waveform is not None
