"""Labelling a file by dropping or choosing it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the page is tested by `make test-page`")

from playwright.sync_api import expect

from tests.page.conftest import DEMO, SUPPORT, Faults, RunningServer, chromium, open_page

StartServer = Callable[..., RunningServer]
DROP = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
  const moved = new DataTransfer();
  moved.items.add(new File([bytes], name));
  const drop = new DragEvent("drop", { dataTransfer: moved, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(drop);
}"""


def test_a_dropped_clip_gets_a_label(server: RunningServer) -> None:
    clip, faults = SUPPORT / "anger" / "en-f2.flac", Faults()
    with chromium() as browser:
        page = open_page(browser, f"{server.url}/#file", faults)
        expect(page.get_by_text("Drop a recording here")).to_be_visible()
        page.evaluate(DROP, [base64.b64encode(clip.read_bytes()).decode(), clip.name])
        expect(page.locator("#file-result .label")).to_have_text("anger")
        expect(page.locator("#file-result")).to_contain_text("en-f2.flac")
    assert not faults


def test_a_recording_gets_segments(server: RunningServer) -> None:
    with chromium() as browser:
        page = open_page(browser, f"{server.url}/#file")
        expect(page.get_by_text("Drop a recording here")).to_be_visible()
        page.locator("#file-input").set_input_files(str(DEMO / "conversation.flac"))
        expect(page.get_by_text("conversation.flac is labelled.")).to_be_visible(timeout=30_000)
        heard = page.locator("#file-segments td:nth-child(3)").all_inner_texts()
    assert heard[0] == "neutral"
    assert len(heard) >= 12


def test_a_format_that_only_the_server_reads_is_sent_to_it(server: RunningServer, tmp_path: Path) -> None:
    """An AU file, which browsers do not play."""
    import soundfile

    from metaser.runtime import load_audio

    clip = tmp_path / "clip.au"
    soundfile.write(clip, load_audio(SUPPORT / "anger" / "en-f2.flac"), 16_000, "PCM_16", format="AU")
    with chromium() as browser:
        page = open_page(browser, f"{server.url}/#file")
        expect(page.get_by_text("Drop a recording here")).to_be_visible()
        page.locator("#file-input").set_input_files(str(clip))
        expect(page.locator("#file-result .label")).to_have_text("anger")


def test_what_is_no_audio_is_refused_with_its_name(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no audio", encoding="utf-8")
    with chromium() as browser:
        page = open_page(browser, f"{server.url}/#file")
        expect(page.get_by_text("Drop a recording here")).to_be_visible()
        page.locator("#file-input").set_input_files(str(tmp_path / "notes.txt"))
        expect(page.get_by_role("alert").get_by_text("notes.txt:")).to_be_visible()


def test_without_a_profile_it_says_what_to_do(start_server: StartServer) -> None:
    with chromium() as browser:
        page = open_page(browser, f"{start_server(profile=False).url}/#file")
        expect(page.get_by_role("alert").get_by_text("enrol your classes first")).to_be_visible()
