"""`metaser serve --record`: what is kept of a stream, where, and that a client knows."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.serve.conftest import Audio, StartServer, pcm, talk


def test_the_audio_and_the_segments_of_a_stream_are_kept(
    start_server: StartServer, conversation: Audio, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    server = start_server(record=folder)
    samples = pcm(conversation)
    found = talk(server, samples, source="../kitchen", live=False)
    assert found.messages[0]["recorded"] is True
    (source,) = folder.iterdir()
    assert source.parent == folder
    assert not (tmp_path / "kitchen").exists()
    (audio,) = source.glob("heard-*.wav")
    assert stat.S_IMODE(audio.stat().st_mode) == 0o600
    kept, rate_hz = soundfile.read(audio, dtype="int16")
    assert rate_hz == 16_000
    np.testing.assert_allclose(kept, np.frombuffer(samples, "<i2"), atol=1)
    left = [event for event in found.events if event["event"] == "leave"]
    rows = [line.split("\t") for line in audio.with_suffix(".txt").read_text().splitlines()]
    assert [row[2] for row in rows] == [event["label"] or "unknown" for event in left]
    clips = list(source.glob("*/heard-*.wav"))
    assert len(clips) == sum(event["label"] is not None for event in left)


def test_without_the_option_nothing_is_kept(start_server: StartServer, conversation: Audio) -> None:
    found = talk(start_server(), pcm(conversation[:16_000]))
    assert found.messages[0]["recorded"] is False


@pytest.mark.parametrize("content", ["a file", "a link to nothing"])
def test_a_recording_that_cannot_be_written_ends_the_stream_in_one_line(
    start_server: StartServer, conversation: Audio, tmp_path: Path, content: str
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    if content == "a file":
        (folder / "kitchen").write_text("")
    else:
        (folder / "kitchen").symlink_to(tmp_path / "gone" / "kitchen")
    found = talk(start_server(record=folder), pcm(conversation[:16_000]), source="kitchen")
    assert found.kinds()[-1] == "error"
    assert found.messages[-1]["code"] == "failed"
    assert "recordings into" in found.messages[-1]["message"]
    assert found.close_code == 1011
