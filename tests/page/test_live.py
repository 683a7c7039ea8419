"""The live view: labels, microphones that fail, servers that go, several tabs."""

from __future__ import annotations

import csv
import io
import json
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright", reason="the page is tested by `make test-page`")

from playwright.sync_api import Page, expect

from tests.page.conftest import Faults, RunningServer, chromium, noise, open_page, write_wav

StartServer = Callable[..., RunningServer]
OBSERVE = """
window.changes = [];
new MutationObserver(() => window.changes.push(document.getElementById("now").textContent))
  .observe(document.getElementById("now"), { childList: true, characterData: true, subtree: true });
"""


def listen(page: Page) -> None:
    page.get_by_role("button", name="Start listening").click()


def labels(page: Page) -> list[str]:
    """Of the finished segments, the first first."""
    cells = page.locator("#live-segments td:nth-child(3)").all_inner_texts()
    return cells[::-1]


def test_the_conversation_is_labelled_and_downloaded(server: RunningServer, conversation: Path) -> None:
    faults = Faults()
    with chromium(conversation) as browser:
        page = open_page(browser, server.url, faults)
        page.evaluate(OBSERVE)
        listen(page)
        expect(page.locator("#now")).to_have_text("neutral", timeout=15_000)
        expect(page.locator("#live-segments tbody tr")).to_have_count(5, timeout=40_000)
        page.get_by_role("button", name="Stop listening").click()
        heard = labels(page)
        assert (heard[0], heard[2:4]) == ("neutral", ["anger", "sadness"])
        changes = page.evaluate("window.changes")
        assert all(one != other for one, other in pairwise(changes))  # no update is announced
        rows = {}
        for name in ("CSV", "SRT", "JSON"):
            with page.expect_download() as download:
                page.get_by_role("button", name=name).click()
            rows[name] = Path(download.value.path()).read_text(encoding="utf-8")
    parsed = list(csv.DictReader(io.StringIO(rows["CSV"])))
    shown = ["" if label == "unknown" else label for label in heard]
    assert [row["label"] for row in parsed][: len(shown)] == shown
    assert [entry["label"] or "" for entry in json.loads(rows["JSON"])] == [row["label"] for row in parsed]
    assert rows["SRT"].count("-->") == len(parsed)
    assert not faults


def test_the_server_goes_and_comes_back(server: RunningServer, conversation: Path) -> None:
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.locator("#now")).to_have_text("neutral", timeout=15_000)
        server.stop()
        expect(page.get_by_text("Trying again in")).to_be_visible(timeout=10_000)
        server.start()
        expect(page.get_by_text("Trying again in")).to_be_hidden(timeout=20_000)
        expect(page.get_by_text("were not sent")).to_be_visible()
        before = page.locator("#live-segments tbody tr").count()
        expect(page.locator("#live-segments tbody tr").nth(before)).to_be_visible(timeout=20_000)


def test_two_tabs_have_a_stream_each(server: RunningServer, conversation: Path) -> None:
    with chromium(conversation) as browser:
        first = open_page(browser, server.url)
        second = first.context.new_page()
        second.goto(server.url)
        listen(first)
        listen(second)
        expect(first.locator("#now")).to_have_text("neutral", timeout=15_000)
        expect(second.locator("#now")).not_to_have_text("", timeout=15_000)


def test_no_room_is_said_and_tried_again(start_server: StartServer, conversation: Path) -> None:
    server = start_server("--streams", "1")
    with chromium(conversation) as browser:
        first = open_page(browser, server.url)
        second = first.context.new_page()
        second.goto(server.url)
        listen(first)
        expect(first.get_by_text("Model default")).to_have_count(2)
        listen(second)
        expect(second.get_by_text("as many as this server carries")).to_be_visible(timeout=10_000)
        first.get_by_role("button", name="Stop listening").click()
        expect(second.get_by_text("as many as this server carries")).to_be_hidden(timeout=20_000)


def test_a_denied_microphone_has_a_reason(server: RunningServer) -> None:
    with chromium(None, "--deny-permission-prompts") as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.get_by_role("alert").get_by_text("does not allow this page to use the microphone")).to_be_visible()
        expect(page.get_by_role("button", name="Start listening")).to_be_enabled()


def test_an_absent_microphone_has_a_reason(server: RunningServer) -> None:
    with chromium(None, "--use-fake-ui-for-media-stream", has_microphone=False) as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.get_by_role("alert").get_by_text("No microphone was found")).to_be_visible()


def test_digital_silence_is_noticed(server: RunningServer, tmp_path: Path) -> None:
    with chromium(write_wav(tmp_path / "zeros.wav", np.zeros(16_000, np.float32))) as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.get_by_text("digital silence")).to_be_visible(timeout=15_000)


def test_a_microphone_that_is_pulled_out_has_a_reason(server: RunningServer, conversation: Path) -> None:
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        page.evaluate(
            """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (wish) => (window.source = await ask(wish)); }"""
        )
        listen(page)
        expect(page.get_by_text("Model default on")).to_be_visible()
        page.evaluate("window.source.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
        expect(page.get_by_role("alert").get_by_text("was disconnected")).to_be_visible()
        expect(page.get_by_role("button", name="Start listening")).to_be_enabled()


def test_a_page_that_is_not_secure_says_so(start_server: StartServer) -> None:
    server = start_server("--allow-host", "metaser.test")
    with chromium(None, "--host-resolver-rules=MAP metaser.test 127.0.0.1") as browser:
        page = open_page(browser, f"http://metaser.test:{server.port}")
        expect(page.get_by_role("alert").get_by_text("over HTTPS")).to_be_visible()
        expect(page.get_by_role("button", name="Start listening")).to_be_disabled()


def test_the_timeline_can_be_held(server: RunningServer, conversation: Path) -> None:
    picture = "document.getElementById('timeline').toDataURL()"
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.locator("#now")).to_have_text("neutral", timeout=15_000)
        page.get_by_role("button", name="Hold").click()
        page.wait_for_timeout(200)
        held = page.evaluate(picture)
        page.wait_for_timeout(600)
        assert page.evaluate(picture) == held
        page.get_by_role("button", name="Held").click()
        page.wait_for_timeout(400)
        assert page.evaluate(picture) != held


def test_everything_works_by_keyboard(server: RunningServer, conversation: Path) -> None:
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        expect(page.get_by_role("button", name="Start listening")).to_be_enabled()
        names = []
        for _ in range(14):
            page.keyboard.press("Tab")
            names.append(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
            if names[-1] == "Start listening":
                break
        assert names[:4] == ["Skip to content", "Live", "Enrol", "Label a file"]
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Stop listening")).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Start listening")).to_be_visible()


def test_a_quiet_room_has_no_label(server: RunningServer, tmp_path: Path) -> None:
    with chromium(write_wav(tmp_path / "room.wav", noise(20))) as browser:
        page = open_page(browser, server.url)
        listen(page)
        page.wait_for_timeout(4000)
        expect(page.locator("#now")).to_have_text("")
        expect(page.get_by_text("Listening …")).to_be_visible()


def test_a_profile_that_is_forgotten_is_no_longer_listened_for(server: RunningServer, conversation: Path) -> None:
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.locator("#live-segments tbody tr")).to_have_count(1, timeout=20_000)
        page.get_by_role("link", name="Enrol").click()
        page.get_by_role("button", name="Forget the profile me").click()
        page.get_by_role("button", name="Forget it for good").click()
        expect(page.locator("#profile")).to_have_value("")
        page.get_by_role("link", name="Live").click()
        expect(page.get_by_role("button", name="Start listening")).to_be_disabled()
        expect(page.locator("#now")).to_have_text("")
        expect(page.locator("#live-segments tbody tr")).to_have_count(0)


def test_stopping_and_starting_goes_on_in_time(server: RunningServer, conversation: Path) -> None:
    """Also when a setting is changed; the segment that is running then is not lost."""
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.locator("#now")).to_have_text("neutral", timeout=15_000)
        page.get_by_label("When it is not sure").select_option("off")
        expect(page.locator("#live-segments tbody tr")).to_have_count(1, timeout=5_000)
        expect(page.locator("#live-segments tbody tr")).to_have_count(3, timeout=25_000)
        page.get_by_role("button", name="Stop listening").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="JSON").click()
        segments = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    ends = [0.0, *(segment["end_s"] for segment in segments)]
    assert all(segment["start_s"] >= end for segment, end in zip(segments, ends, strict=False))


def test_audio_that_the_server_loses_is_counted(server: RunningServer, conversation: Path) -> None:
    """The server sleeps for longer than the ten seconds that it keeps, and then hears everything at once."""
    assert server.process is not None
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        listen(page)
        expect(page.locator("#now")).to_have_text("neutral", timeout=15_000)
        server.process.send_signal(signal.SIGSTOP)
        page.wait_for_timeout(14_000)
        server.process.send_signal(signal.SIGCONT)
        expect(page.get_by_text("were lost: the server was too slow")).to_be_visible(timeout=15_000)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NotReadableError", "Another program may be using it"),
        ("OverconstrainedError", "is not there any more"),
        ("AbortError", "cannot be opened (AbortError)"),
    ],
)
def test_every_error_of_a_microphone_has_a_reason(server: RunningServer, name: str, reason: str) -> None:
    with chromium() as browser:
        page = open_page(browser, server.url)
        page.evaluate(
            """(name) => { navigator.mediaDevices.getUserMedia = async () => {
            throw Object.assign(new Error(), { name }); }; }""",
            name,
        )
        listen(page)
        expect(page.get_by_role("alert").get_by_text(reason)).to_be_visible()


def test_processing_that_the_browser_keeps_on_is_said(server: RunningServer, conversation: Path) -> None:
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        page.evaluate(
            """() => { MediaStreamTrack.prototype.getSettings =
            () => ({ noiseSuppression: true, autoGainControl: true }); }"""
        )
        listen(page)
        expect(page.get_by_text("keeps noise suppression and automatic gain on")).to_be_visible()
