"""Whole jobs: the rows, in any order and by any number of workers, after stops and kills, and what is refused."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pytest
import soundfile
from praatio.textgrid import openTextgrid

from metaser.archive import Job, Options, Progress, Source, Transcripts, label_archive
from metaser.archive.tables.speakers import Stretch
from metaser.archive.tables.text_grids import without_overlaps
from metaser.runtime import Engine, load_audio
from metaser.runtime.errors import InputError, NotFoundError, ProfileError, WorkError
from tests.archive.conftest import RATE_HZ, ClipMaker, Label, lines, table
from tests.rights import without_rights

PROGRAM = """
import json, sys
from pathlib import Path
from metaser.archive import Job, Options, Source, label_archive
recordings, out, job, workers = sys.argv[1:]
label_archive(Source([Path(recordings)]), out, Job(**json.loads(job)), Options(int(workers)))
"""


def started(recordings: Path, out: Path, job: Job, workers: int = 2) -> subprocess.Popen[bytes]:
    """A job in a process of its own, which leads a group."""
    words = [sys.executable, "-c", PROGRAM, str(recordings), str(out), job.to_json(), str(workers)]
    return subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)


def test_clips_get_the_labels_of_classify(clips: Path, label: Label, job: Job, tmp_path: Path) -> None:
    summary = label(clips)
    engine = Engine.open(job.bundle, provider="cpu", threads=1)
    profile = engine.open_profile(job.profile)
    rows = lines(tmp_path / "out")
    assert [Path(row["path"]).name for row in rows] == sorted(path.name for path in clips.iterdir())
    for row in rows:
        waveform = load_audio(row["path"])
        decision, notices = engine.classify_with_doubts(waveform, profile)
        expected = {
            "label": decision.label, "confidence": round(decision.confidence, 4), "notices": list(notices)
        }  # fmt: skip
        assert {name: row[name] for name in expected} == expected
        assert row["scores"] == {name: round(score, 4) for name, score in decision.scores.items()}
        assert (row["start_s"], row["end_s"]) == (0.0, round(len(waveform) / RATE_HZ, 3))
    assert (summary.rows, summary.failed, summary.finished) == (12, 0, True)
    assert sum(summary.labels.values()) == 12


def test_a_recording_gets_a_row_per_utterance(talk: Path, label: Label, tmp_path: Path) -> None:
    label(talk)
    rows = table(tmp_path / "out")
    assert [row["label"] for row in rows] == ["calm", "keen"] * 5
    starts = [float(row["start_s"]) for row in rows]
    assert np.allclose(starts, np.arange(10) * 3 + 1, atol=0.3)


def test_rows_do_not_depend_on_order_or_workers(clips: Path, talk: Path, label: Label, tmp_path: Path) -> None:
    paths = [*sorted(clips.iterdir()), talk]
    label(paths, "one")
    expected = sorted((tmp_path / "one" / "labels.jsonl").read_text().splitlines())
    random.Random(0).shuffle(paths)
    label(paths, "two", workers=2)
    assert sorted((tmp_path / "two" / "labels.jsonl").read_text().splitlines()) == expected


def test_a_manifest_gives_rows_with_its_columns(clips: Path, talk: Path, label: Label, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "path,start_s,end_s,speaker,text,label,session\n"
        f"{talk},4.0,6.0,Bob,second,keen,=1+1\n"
        f"{clips / 'calm00.wav'},,,Ann,hello,calm,7\n"
        f"{talk},1.0,3.0,Ann,first,calm,7\n"
        f"{talk},-1,2.0,Ann,,,\n"
        f"{tmp_path / 'gone.wav'},,,,,,\n"
    )
    summary = label(manifest)
    rows = table(tmp_path / "out")
    assert [row["label"] for row in rows] == ["keen", "calm", "calm", "", ""]
    assert [row["manifest_label"] for row in rows] == ["keen", "calm", "calm", "", ""]
    assert [row["session"] for row in rows] == ["'=1+1", "7", "7", "", ""]
    assert [row["speaker"] for row in rows[:3]] == ["Bob", "Ann", "Ann"]
    assert (rows[0]["start_s"], rows[0]["end_s"]) == ("4.0", "6.0")
    assert "starts at -1 s" in rows[3]["error"]
    assert "gone.wav" in rows[4]["error"]
    assert (summary.failed, summary.rows) == (2, 5)
    assert lines(tmp_path / "out")[0]["manifest"] == {"label": "keen", "session": "=1+1"}


def test_transcripts_give_rows_and_come_back_with_labels(talk: Path, label: Label, tmp_path: Path) -> None:
    segments = [
        {"start": 3.0 * place + 1, "end": 3.0 * place + 3, "text": f" part {place}", "speaker": "AB"[place % 2]}
        for place in range(10)
    ]
    segments += [{"start": 1.2, "end": 2.8, "text": "over it"}, {"start": 31.0, "end": 32.0, "text": "late"}]
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "talk.json").write_text(json.dumps({"segments": segments}))
    (tmp_path / "t" / "other.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nx\n")
    summary = label(talk, segments=tmp_path / "t", timelines=True, text_grids=True)
    rows = table(tmp_path / "out")
    assert [row["label"] for row in rows] == [*["calm", "keen"] * 5, "calm", ""]
    assert [row["text"] for row in rows[:2]] == ["part 0", "part 1"]
    assert "overlaps" in rows[0]["notices"]
    assert "overlaps" not in rows[1]["notices"]
    assert "overlaps" in rows[10]["notices"]
    assert "starts at 31 s" in rows[11]["error"]
    written = json.loads((tmp_path / "out" / "transcripts" / "talk.json").read_text())["segments"]
    assert [each["emotion"] and each["emotion"]["label"] for each in written] == [*["calm", "keen"] * 5, "calm", None]
    speakers = json.loads((tmp_path / "out" / "speakers.json").read_text())
    assert {each["speaker"]: each["shares"] for each in speakers["by_name"]} == {
        "": {"calm": 1.0}, "A": {"calm": 1.0}, "B": {"keen": 1.0},
    }  # fmt: skip
    [recording] = speakers["recordings"]
    assert [len(each["timeline"]) for each in recording["speakers"]] == [1, 5, 5]
    [picture] = (tmp_path / "out" / "timelines").iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")
    [path] = (tmp_path / "out" / "textgrids").iterdir()
    assert path.name == "talk.TextGrid"
    grid = openTextgrid(str(path), includeEmptyIntervals=False)
    assert grid.maxTimestamp == 30.0
    assert grid.tierNames == ("text", "emotion", "A", "emotion of A", "B", "emotion of B")
    assert [tuple(each) for each in grid.getTier("emotion of B").entries[:2]] == [
        (4.0, 6.0, "keen"),
        (10.0, 12.0, "keen"),
    ]
    assert [each.label for each in grid.getTier("A").entries] == [f"part {place}" for place in range(0, 10, 2)]
    assert any("1 transcript without a recording" in line for line in summary.notices)


def test_a_spreadsheet_has_numbers_and_texts_as_they_are(talk: Path, label: Label, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path,start_s,end_s,text\n{talk},1,3,=1+1 J\u00fcrgen\n{talk},-1,3,- no\n")
    label(manifest, spreadsheet=True)
    sheet = openpyxl.load_workbook(tmp_path / "out" / "labels.xlsx").active
    columns, first, second = [[cell.value for cell in row] for row in sheet.rows]
    row = dict(zip(columns, first, strict=True))
    assert (row["start_s"], row["end_s"], row["text"], row["label"]) == (1, 3, "=1+1 J\u00fcrgen", "calm")
    assert row["confidence"] == lines(tmp_path / "out")[0]["confidence"]
    row = dict(zip(columns, second, strict=True))
    assert (row["label"], row["confidence"], row["text"]) == (None, None, "- no")
    assert [cell.data_type for cell in next(sheet.iter_rows(min_row=2))][4] == "s"


def test_recordings_of_one_name_get_files_of_their_own(talk: Path, label: Label, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "r" / folder).mkdir(parents=True)
        shutil.copy(talk, tmp_path / "r" / folder)
    label(tmp_path / "r", text_grids=True)
    assert len(list((tmp_path / "out" / "textgrids").iterdir())) == 2


def test_results_with_and_without_transcripts_are_not_mixed(talk: Path, label: Label, tmp_path: Path) -> None:
    shutil.copy(talk, tmp_path / "talk.wav")
    (tmp_path / "talk.srt").write_text("1\n00:00:04,000 --> 00:00:06,000\nhello\n")
    label(tmp_path / "talk.wav", segments=tmp_path / "talk.srt")
    with pytest.raises(InputError, match="was labelled with transcripts, and now it is without transcripts"):
        label(tmp_path / "talk.wav")
    (tmp_path / "both").mkdir()
    for name in ("talk.wav", "talk.srt"):
        shutil.copy(tmp_path / name, tmp_path / "both")
    summary = label(tmp_path / "both", "other")
    assert f"{tmp_path / 'both' / 'talk.srt'} looks like a transcript" in summary.notices[-1]
    assert label(tmp_path / "both", "third", segments=tmp_path / "both").notices == []


def test_a_smaller_source_names_what_is_no_longer_in_the_tables(clips: Path, label: Label) -> None:
    label(clips)
    summary = label(sorted(clips.iterdir())[:5])
    assert summary.rows == 5
    assert summary.notices == [
        "7 earlier results of recordings or parts that the source no longer names: not in the tables"
    ]


def test_a_stopped_recording_keeps_the_lines_that_are_labelled(talk: Path, job: Job, tmp_path: Path) -> None:
    lines_of_talk = [{"start": place * 0.2, "end": place * 0.2 + 1, "text": str(place)} for place in range(140)]
    (tmp_path / "talk.json").write_text(json.dumps({"segments": lines_of_talk}))
    source = Source([talk], Transcripts(tmp_path / "talk.json"))
    done: list[int] = []
    summary = label_archive(
        source, tmp_path / "out", job, Options(1), progress=lambda state: done.append(state.done),
        is_stopped=lambda: bool(done) and done[-1] >= 20,
    )  # fmt: skip
    assert not summary.finished
    first = done[-1]
    done.clear()
    label_archive(source, tmp_path / "out", job, Options(1), progress=lambda state: done.append(state.done))
    assert 20 <= first <= done[0] < 140
    assert done[-1] == 140


def test_overlapping_lines_of_one_speaker_follow_each_other_in_a_text_grid() -> None:
    stretches = [Stretch(1.0, 3.0, "joy", 1.0), Stretch(2.0, 2.5, "joy", 1.0), Stretch(0.0, 1.5, "joy", 1.0)]
    stretches += [Stretch(2.5, 4.0, "joy", 1.0)]
    assert [each[:2] for each in without_overlaps(stretches)] == [(0.0, 1.5), (1.5, 3.0), (3.0, 4.0)]


def test_a_recording_without_a_transcript_is_cut_into_utterances(
    clips: Path, talk: Path, label: Label, tmp_path: Path
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "calm00.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    summary = label([talk, clips / "calm00.wav"], segments=tmp_path / "t")
    assert len(table(tmp_path / "out")) == 11
    assert summary.notices == [f"No transcript, so each utterance is labelled: {talk}"]


def test_a_damaged_transcript_is_a_row_and_stops_nobody(talk: Path, clips: Path, label: Label, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "talk.json").write_text("{")
    (tmp_path / "t" / "calm00.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    label([talk, clips / "calm00.wav"], segments=tmp_path / "t")
    bad, good = table(tmp_path / "out")
    assert "talk.json is not JSON" in bad["error"]
    assert good["label"] == "calm"


def test_one_transcript_is_for_one_recording(talk: Path, clips: Path, label: Label, tmp_path: Path) -> None:
    (tmp_path / "any.srt").write_text("1\n00:00:04,000 --> 00:00:06,000\nhello\n")
    label(talk, segments=tmp_path / "any.srt")
    assert [row["label"] for row in table(tmp_path / "out")] == ["keen"]
    with pytest.raises(InputError, match="one transcript is for one recording"):
        label(clips, "other", segments=tmp_path / "any.srt")


def test_unreadable_files_are_rows_with_their_reasons(clips: Path, label: Label, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    shutil.copytree(clips, folder)
    (folder / "damaged.wav").write_bytes(b"RIFF" + bytes(100))
    (folder / "notes.txt").write_text("not audio")
    (folder / "gone.wav").symlink_to("nowhere")
    soundfile.write(folder / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    with without_rights(folder / "calm00.wav"):
        summary = label(folder)
    reasons = {Path(row["path"]).name: row["error"] for row in table(tmp_path / "out") if row["error"]}
    assert set(reasons) == {"damaged.wav", "gone.wav", "silent.wav", "calm00.wav"}
    assert "silent" in reasons["silent.wav"]
    assert "link" in reasons["gone.wav"]
    assert "Permission denied" in reasons["calm00.wav"]
    assert summary.failed == 4
    assert any("notes.txt" in line for line in summary.notices)


def test_a_new_run_labels_only_what_is_missing(clips: Path, label: Label, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    shutil.copytree(clips, folder)
    late = (folder / "calm00.wav").rename(tmp_path / "calm00.wav")
    (folder / "bad.wav").write_bytes(b"no audio")
    label(folder)
    before = {path: path.read_bytes() for path in (tmp_path / "out" / "shards").iterdir()}
    late.rename(folder / "calm00.wav")
    soundfile.write(folder / "bad.wav", soundfile.read(folder / "keen01.wav")[0], RATE_HZ)
    label(folder)
    after = {path: path.read_bytes() for path in (tmp_path / "out" / "shards").iterdir()}
    assert before.items() < after.items()
    rows = {Path(row["path"]).name: row for row in table(tmp_path / "out")}
    assert rows["calm00.wav"]["label"] == "calm"
    assert rows["bad.wav"]["error"]
    label(folder, retry_failed=True)
    rows = {Path(row["path"]).name: row for row in table(tmp_path / "out")}
    assert rows["bad.wav"]["label"] == rows["keen01.wav"]["label"] == "keen"
    assert len(rows) == 13


def test_a_stopped_job_keeps_its_shards_and_continues(clips: Path, talk: Path, job: Job, tmp_path: Path) -> None:
    source = Source([clips, talk])
    seen: list[Progress] = []

    def watch(state: Progress) -> None:
        seen.append(replace(state))

    summary = label_archive(
        source, tmp_path / "out", job, Options(1), progress=watch, is_stopped=lambda: bool(seen) and seen[-1].new >= 3
    )
    assert not summary.finished
    assert not (tmp_path / "out" / "labels.csv").exists()
    assert list((tmp_path / "out" / "shards").iterdir())
    first = seen[-1].done
    seen.clear()
    assert label_archive(source, tmp_path / "out", job, Options(1), progress=watch).finished
    assert 3 <= first <= seen[0].done < 13
    assert seen[-1].done == seen[-1].units == 13
    assert len(table(tmp_path / "out")) == 22


@pytest.mark.parametrize("seed", range(3))
def test_killed_jobs_lose_no_row_and_double_none(
    clips: Path, job: Job, label: Label, tmp_path: Path, seed: int
) -> None:
    label(clips, "expected")
    rng = random.Random(seed)
    for _ in range(3):
        with started(clips, tmp_path / "out", job) as process:
            time.sleep(rng.uniform(0.0, 1.6))
            (os.killpg if rng.random() < 0.5 else os.kill)(process.pid, signal.SIGKILL)
    assert started(clips, tmp_path / "out", job).wait() == 0
    for name in ("labels.csv", "labels.jsonl", "speakers.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    assert not list((tmp_path / "out").rglob("*.tmp"))


def kill_readers(pipe: Path, count: int) -> None:
    """Kill the next processes that open a named pipe for reading."""
    while count:
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # no reader yet
            time.sleep(0.01)
            continue
        while not (killed := [number for number in readers(pipe) if number != os.getpid()]):
            time.sleep(0.01)
        for number in killed:
            os.kill(number, signal.SIGKILL)
        os.close(writer)
        count -= 1
        while readers(pipe):
            time.sleep(0.01)


def readers(pipe: Path) -> list[int]:
    """The processes that have opened a pipe."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if pipe in [path.readlink() for path in (process / "fd").iterdir()]:
                found.append(int(process.name))
    return found


def test_a_recording_that_ends_its_worker_is_a_row_and_the_others_are_labelled(
    clips: Path, label: Label, tmp_path: Path
) -> None:
    folder = tmp_path / "recordings"
    shutil.copytree(clips, folder)
    pipe = folder / "calm05.wav"
    os.mkfifo(pipe)
    manifest = tmp_path / "m.csv"
    manifest.write_text("path\n" + "".join(f"recordings/{path.name}\n" for path in sorted(folder.iterdir())))
    killer = threading.Thread(target=kill_readers, args=(pipe, 4), daemon=True)
    killer.start()
    summary = label(manifest, workers=2)
    rows = table(tmp_path / "out")
    [bad] = [row for row in rows if row["error"]]
    assert bad["path"] == "recordings/calm05.wav"
    assert "each process that labelled it ended (signal SIGKILL)" in bad["error"]
    assert (summary.rows, summary.failed) == (13, 1)
    assert not killer.is_alive()


def test_results_of_another_profile_bundle_or_rule_are_refused_with_both_names(
    clips: Path, label: Label, job: Job, make_clip: ClipMaker, tmp_path: Path
) -> None:
    label(clips)
    before = (tmp_path / "out" / "labels.csv").read_bytes()
    other = tmp_path / "you.safetensors"
    engine = Engine.open(job.bundle, provider="cpu")
    engine.add(engine.open_profile(job.profile), {"calm": [make_clip("calm", 1.2, 9)]}).save(other)
    with pytest.raises(
        InputError, match=r"was labelled with the profile me.safetensors \(.{8}\), and now it is with the profile you"
    ):
        label(clips, job=replace(job, profile=str(other)))
    with pytest.raises(InputError, match="was labelled with --unknown calibrated, and now it is with --unknown off"):
        label(clips, job=replace(job, unknown="off"))
    bundle = tmp_path / "bundle"
    shutil.copytree(str(job.bundle), bundle)
    text = (bundle / "bundle.json").read_text()
    document = json.loads(text) | {"name": "other", "graph_id": "3" * 64}
    (bundle / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(
        InputError, match=r"was labelled with the bundle tiny \(2{8}\), and now it is with the bundle other \(3{8}\)"
    ):
        label(clips, job=replace(job, bundle=str(bundle), accept_precision=True))
    with pytest.raises(ProfileError, match="another export of the same model"):
        label(clips, job=replace(job, bundle=str(bundle)))
    assert (tmp_path / "out" / "labels.csv").read_bytes() == before


def test_a_shard_from_elsewhere_or_a_damaged_one_is_refused(clips: Path, label: Label, tmp_path: Path) -> None:
    label(clips)
    [shard] = (tmp_path / "out" / "shards").iterdir()
    content = shard.read_bytes()
    for damaged in (content[:-20], b"", b"{}\n", content.replace(b'"rows"', b'"raws"'), b"\xff" + content):
        shard.write_bytes(damaged)
        with pytest.raises(InputError, match=r"\.jsonl is damaged: delete it"):
            label(clips)
    shard.write_bytes(content.replace(b'{"shard": 1', b'{"shard": 2'))
    with pytest.raises(InputError, match="another version of metaser"):
        label(clips)
    shard.unlink()
    assert label(clips).rows == 12


def test_two_jobs_cannot_write_into_one_folder(clips: Path, talk: Path, job: Job, label: Label, tmp_path: Path) -> None:
    pipe = tmp_path / "slow.wav"
    os.mkfifo(pipe)
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"path\n{talk}\nslow.wav\n")
    with started(manifest, tmp_path / "out", job, 1) as process:
        while not (tmp_path / "out" / "shards").is_dir():
            time.sleep(0.01)
        time.sleep(0.2)
        with pytest.raises(WorkError, match="another metaser process is labelling into"):
            label(clips)
        process.kill()
    assert label(clips).rows == 12


def test_other_files_are_not_touched(clips: Path, label: Label, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "labels.csv").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        label(clips)
    with pytest.raises(InputError, match="is a file"):
        label(clips, "out/labels.csv")
    assert (tmp_path / "out" / "labels.csv").read_text() == "mine"


def test_a_full_disk_is_one_line_and_the_job_continues(clips: Path, job: Job, label: Label, tmp_path: Path) -> None:
    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    words = [sys.executable, "-c", PROGRAM, str(clips), str(tmp_path / "out"), job.to_json(), "1"]
    done = subprocess.run(words, preexec_fn=limited, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("metaser.runtime.errors.WorkError: cannot write ")
    assert "File too large" in last
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert label(clips).rows == 12


def test_a_missing_source_or_profile_is_refused_before_anything_is_written(
    clips: Path, label: Label, job: Job, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="no such file or folder"):
        label(tmp_path / "nowhere")
    with pytest.raises(NotFoundError):
        label(clips, job=replace(job, profile=str(tmp_path / "nobody.safetensors")))
    with pytest.raises(NotFoundError):
        label(clips, job=replace(job, bundle=str(tmp_path / "nothing")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no recordings"):
        label(tmp_path / "empty")
    (tmp_path / "m.csv").write_text("path\n")
    with pytest.raises(InputError, match="names no recordings"):
        label(tmp_path / "m.csv")
    assert not (tmp_path / "out").exists()
