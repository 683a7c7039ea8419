"""Transcripts as whisper, whisperX, faster-whisper, whisper.cpp, pyannote, Praat and subtitle editors write them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from praatio.textgrid import openTextgrid

from metaser.archive.transcripts.cue import Cue, Mark, TranscriptError
from metaser.archive.transcripts.find import Transcripts, speaker_of
from metaser.archive.transcripts.rttm import Rttm
from metaser.archive.transcripts.subtitles import SubRip, WebVtt
from metaser.archive.transcripts.textgrid import TextGrid
from metaser.archive.transcripts.whisper_json import WhisperJson
from metaser.runtime.errors import InputError, NotFoundError

JOY = Mark("joy", 0.91234, {"anger": 0.08766, "joy": 0.91234})
UNKNOWN = Mark("unknown", 0.5, {"anger": 0.5, "joy": 0.5})

SRT = """1
00:00:00,000 --> 00:00:02,500
[SPEAKER_00]: Hello <i>there</i>.

2
00:01:02,500 --> 00:01:04,000
Zwei Zeilen
-- und noch eine

7
01:00:00,001 --> 01:00:01,000
{\\an8}Ende

"""
VTT = """WEBVTT - an interview
Kind: captions

NOTE made by hand

STYLE
::cue {color: red}

intro
00:00.000 --> 00:02.500 align:left
<v Ann>Hello</v> there

01:00:00.001 --> 01:00:01.000
Second &amp; <b>last</b>
"""
GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = {size}
item []:
{tiers}"""
RTTM = """;; a comment
SPKR-INFO talk 1 <NA> <NA> <NA> unknown Ann <NA> <NA>
SPEAKER talk 1 0.500 2.000 <NA> <NA> Ann <NA> <NA>
SPEAKER other 1 1.000 1.000 <NA> <NA> Bob <NA> <NA>
SPEAKER talk 1 3.000 0.250 <NA> <NA> <NA> <NA> <NA>
"""


def tier(number: int, name: str, *intervals: tuple[float, float, str]) -> str:
    text = f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n        xmin = 0\n'
    text += f"        xmax = 4\n        intervals: size = {len(intervals)}\n"
    for place, (start, end, words) in enumerate(intervals, start=1):
        text += f"        intervals [{place}]:\n            xmin = {start}\n            xmax = {end}\n"
        text += f'            text = "{words}"\n'
    return text


def grid(*tiers: tuple[str, list[tuple[float, float, str]]]) -> str:
    items = "".join(tier(number, name, *intervals) for number, (name, intervals) in enumerate(tiers, start=1))
    return GRID.format(size=len(tiers), tiers=items)


UTTERANCES = [(0, 0.5, ""), (0.5, 2, 'Sie sagte ""ja"".'), (2, 3, " "), (3, 4, "Gut.")]


def test_subrip_keeps_text_speakers_numbers_and_markup(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8-sig")
    assert SubRip().read(tmp_path / "a.srt") == [
        Cue(0.0, 2.5, "SPEAKER_00", "Hello there."),
        Cue(62.5, 64.0, "", "Zwei Zeilen -- und noch eine"),
        Cue(3600.001, 3601.0, "", "Ende"),
    ]
    SubRip().write(tmp_path / "a.srt", tmp_path / "b.srt", [JOY, None, UNKNOWN])
    expected = SRT.replace("[SPEAKER_00]", "[joy] [SPEAKER_00]").replace("{\\an8}", "[unknown] {\\an8}")
    assert (tmp_path / "b.srt").read_text() == expected


def test_web_vtt_keeps_voices_settings_styles_and_comments(tmp_path: Path) -> None:
    (tmp_path / "a.vtt").write_text(VTT)
    assert WebVtt().read(tmp_path / "a.vtt") == [
        Cue(0.0, 2.5, "Ann", "Hello there"),
        Cue(3600.001, 3601.0, "", "Second & last"),
    ]
    WebVtt().write(tmp_path / "a.vtt", tmp_path / "b.vtt", [JOY, UNKNOWN])
    written = (tmp_path / "b.vtt").read_text()
    assert "<v Ann>[joy] Hello</v> there" in written
    assert "[unknown] Second &amp; <b>last</b>" in written
    for kept in ("WEBVTT - an interview", "NOTE made by hand", "::cue {color: red}", "intro\n", "align:left"):
        assert kept in written
    assert WebVtt().read(tmp_path / "b.vtt")[0][:3] == (0.0, 2.5, "Ann")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_text_grid_gets_a_tier_of_labels_and_keeps_the_others(tmp_path: Path, encoding: str) -> None:
    text = grid(("Ünterview", UTTERANCES), ("words", [(0, 1, "Guten"), (1, 4, "Tag")]))
    (tmp_path / "a.TextGrid").write_text(text, encoding=encoding)
    cues = TextGrid().read(tmp_path / "a.TextGrid")
    assert cues == [Cue(0.5, 2.0, "", 'Sie sagte "ja".'), Cue(3.0, 4.0, "", "Gut.")]
    TextGrid().write(tmp_path / "a.TextGrid", tmp_path / "b.TextGrid", [JOY, None])
    written = openTextgrid(str(tmp_path / "b.TextGrid"), includeEmptyIntervals=False)
    assert written.tierNames == ("Ünterview", "words", "emotion")
    assert [tuple(each) for each in written.getTier("emotion").entries] == [(0.5, 2.0, "joy")]
    assert len(written.getTier("words").entries) == 2
    assert TextGrid().read(tmp_path / "b.TextGrid") == cues


def test_tiers_of_several_speakers_are_read_and_labelled_each(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(
        grid(("Ann", [(0, 1, "a")]), ("Bob", [(0.5, 2, "b")]), ("emotion", [(0, 1, "x")]))
    )
    form = TextGrid()
    assert form.read(tmp_path / "a.TextGrid") == [Cue(0.0, 1.0, "Ann", "a"), Cue(0.5, 2.0, "Bob", "b")]
    form.write(tmp_path / "a.TextGrid", tmp_path / "b.TextGrid", [JOY, UNKNOWN])
    written = openTextgrid(str(tmp_path / "b.TextGrid"), includeEmptyIntervals=False)
    assert written.tierNames == ("Ann", "Bob", "emotion", "emotion of Ann", "emotion of Bob")
    assert TextGrid(["Bob"]).read(tmp_path / "a.TextGrid") == [Cue(0.5, 2.0, "", "b")]


def test_tiers_of_words_need_a_choice_and_unknown_tiers_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.TextGrid").write_text(grid(("Ann - words", [(0, 1, "a")]), ("Ann - phones", [(0, 1, "a")])))
    with pytest.raises(TranscriptError, match=r"choose one with --tier NAME; it has Ann - words, Ann - phones"):
        TextGrid().read(tmp_path / "a.TextGrid")
    assert TextGrid(["Ann - words"]).read(tmp_path / "a.TextGrid") == [Cue(0.0, 1.0, "", "a")]
    with pytest.raises(TranscriptError, match=r"has no interval tier Bob: its interval tiers are Ann - words"):
        TextGrid(["Bob"]).read(tmp_path / "a.TextGrid")


def test_rttm_gives_the_turns_of_a_recording_and_a_table(tmp_path: Path) -> None:
    (tmp_path / "all.rttm").write_text(RTTM)
    form = Rttm("talk")
    assert form.read(tmp_path / "all.rttm") == [Cue(0.5, 2.5, "Ann"), Cue(3.0, 3.25)]
    form.write(tmp_path / "all.rttm", tmp_path / "out.rttm", [JOY, None])
    assert (tmp_path / "out-talk.csv").read_text().splitlines() == [
        "recording,start_s,end_s,speaker,label,confidence",
        "talk,0.500,2.500,Ann,joy,0.9123",
        "talk,3.000,3.250,,,",
    ]


WHISPER: dict[str, Any] = {
    "text": " Hi. Bye.",
    "segments": [
        {"id": 0, "seek": 0, "start": 0.0, "end": 2.5, "text": " Hi.", "tokens": [50364], "avg_logprob": -0.2},
        {"id": 1, "seek": 0, "start": 2.5, "end": 4.0, "text": " Bye.", "words": [{"word": " Bye.", "start": 2.5}]},
    ],
    "language": "en",
}
WHISPER_X: dict[str, Any] = {
    "segments": [
        {"start": 0.0, "end": 2.5, "text": "Hi.", "speaker": "SPEAKER_01", "words": [{"word": "Hi."}]},
        {"start": 2.5, "end": 4, "text": "Bye."},
    ],
    "word_segments": [{"word": "Hi."}],
}
WHISPER_CPP: dict[str, Any] = {
    "systeminfo": "AVX = 1",
    "transcription": [
        {
            "timestamps": {"from": "00:00:00,000", "to": "00:00:02,500"},
            "offsets": {"from": 0, "to": 2500},
            "text": " Hi.",
        },
        {
            "timestamps": {"from": "00:00:02,500", "to": "00:00:04,000"},
            "offsets": {"from": 2500, "to": 4000},
            "text": " Bye.",
        },
    ],
}


@pytest.mark.parametrize(
    ("document", "first_speaker"),
    [(WHISPER, ""), (WHISPER["segments"], ""), (WHISPER_X, "SPEAKER_01"), (WHISPER_CPP, "")],
)
def test_json_of_each_whisper_is_read_and_written_with_one_more_key(
    tmp_path: Path, document: Any, first_speaker: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document))
    assert WhisperJson().read(tmp_path / "a.json") == [Cue(0.0, 2.5, first_speaker, "Hi."), Cue(2.5, 4.0, "", "Bye.")]
    WhisperJson().write(tmp_path / "a.json", tmp_path / "b.json", [JOY, None])
    written = json.loads((tmp_path / "b.json").read_text())
    segments = written if isinstance(written, list) else written.get("segments") or written["transcription"]
    assert [segment.pop("emotion") for segment in segments] == [
        {"label": "joy", "confidence": 0.9123, "scores": {"anger": 0.0877, "joy": 0.9123}},
        None,
    ]
    assert written == document


def test_a_segment_without_times_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"segments": [{"start": 1.0, "end": null, "text": "x"}, {"text": "y"}]}')
    assert WhisperJson().read(tmp_path / "a.json") == [Cue(1.0, None, "", "x"), Cue(None, None, "", "y")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.srt", b"no subtitles at all"),
        ("a.srt", b""),
        ("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\ncaf\xe9\n"),
        ("a.vtt", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n"),
        ("a.vtt", b"WEBVTT\n"),
        ("a.TextGrid", b"not a grid"),
        ("a.TextGrid", b""),
        ("a.TextGrid", grid(("Ann", [(0, 1, "a")])).encode()[:250]),
        ("a.TextGrid", grid(("Ann", [(0, 1, "")])).encode()),
        ("a.json", b"{"),
        ("a.json", b'{"segments": 3}'),
        ("a.json", b'{"segments": []}'),
        ("a.json", b'{"segments": ["a"]}'),
        ("a.json", b'{"words": []}'),
        ("a.json", b"[" * 100_000),
        ("a.json", b"3"),
        ("a.rttm", b"SPEAKER talk 1 x 2.0 <NA> <NA> Ann <NA> <NA>\n"),
        ("a.rttm", b"nothing\n"),
    ],
)
def test_a_damaged_transcript_is_one_line_that_names_it(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TranscriptError) as error:
        cues_at(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def cues_at(path: Path) -> list[Cue]:
    transcript = Transcripts(path).of(path.with_name("a.wav"))
    assert transcript is not None
    return transcript.cues()


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RTTM if path.suffix == ".rttm" else SRT)


def found(transcripts: Transcripts, recording: Path) -> str | None:
    transcript = transcripts.of(recording)
    return transcript.target.as_posix() if transcript else None


def test_a_transcript_has_the_name_of_its_recording_with_or_without_its_suffix(tmp_path: Path) -> None:
    put(tmp_path / "t", "a.srt", "b.wav.json", "c.mp3.srt")
    transcripts = Transcripts(tmp_path / "t")
    assert found(transcripts, tmp_path / "a.wav") == "a.srt"
    assert found(transcripts, tmp_path / "b.wav") == "b.wav.json"
    assert found(transcripts, tmp_path / "c.wav") is None
    assert [path.name for path in transcripts.unused()] == ["c.mp3.srt"]


def test_of_the_formats_that_whisper_writes_the_richest_is_used_and_the_others_are_not_unused(tmp_path: Path) -> None:
    put(tmp_path / "t", "a.srt", "a.vtt", "a.json", "a.txt", "a.tsv")
    transcripts = Transcripts(tmp_path / "t")
    assert found(transcripts, tmp_path / "a.wav") == "a.json"
    assert transcripts.unused() == []


def test_of_equal_names_the_transcript_in_the_like_folder_is_used(tmp_path: Path) -> None:
    put(tmp_path / "t", "day1/a.srt", "day2/a.srt")
    transcripts = Transcripts(tmp_path / "t")
    assert found(transcripts, tmp_path / "r/day2/a.wav") == "day2/a.srt"
    with pytest.raises(TranscriptError, match="it has several transcripts"):
        transcripts.of(tmp_path / "r/day3/a.wav")


def test_a_diarisation_gives_the_turns_or_the_speakers_of_a_transcript(tmp_path: Path) -> None:
    put(tmp_path / "t", "all.rttm", "talk.srt")
    transcripts = Transcripts(tmp_path / "t")
    other = transcripts.of(tmp_path / "other.wav")
    talk = transcripts.of(tmp_path / "talk.wav")
    assert other is not None
    assert other.cues() == [Cue(1.0, 2.0, "Bob")]
    assert talk is not None
    assert [cue.speaker for cue in talk.cues()] == ["SPEAKER_00", "", ""]
    assert speaker_of(Cue(0.0, 2.0), talk.turns) == "Ann"


def test_the_speaker_is_the_one_with_the_most_time() -> None:
    turns = [Cue(0.0, 1.0, "Ann"), Cue(1.0, 3.0, "Bob"), Cue(3.0, 4.5, "Ann")]
    assert speaker_of(Cue(0.0, 4.0), turns) == "Ann"  # 1 + 1 against 2: the first of equals
    assert speaker_of(Cue(0.5, 4.0), turns) == "Bob"
    assert speaker_of(Cue(9.0, 10.0), turns) == ""


def test_places_without_transcripts_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "t", "a.txt")
    with pytest.raises(InputError, match=re.escape(".json, .TextGrid, .vtt, .srt, .rttm")):
        Transcripts(tmp_path / "t")
    with pytest.raises(InputError, match="holds no transcripts"):
        Transcripts(tmp_path / "t" / "a.txt")
    with pytest.raises(NotFoundError):
        Transcripts(tmp_path / "nowhere")
