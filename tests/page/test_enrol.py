"""Enrolling by the page, from the microphone and from files."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright", reason="the page is tested by `make test-page`")

from playwright.sync_api import Locator, Page, expect

from metaser.runtime import Profile
from tests.page.conftest import (
    RATE_HZ,
    SUPPORT,
    Faults,
    RunningServer,
    chromium,
    noise,
    open_page,
    speech_of,
    write_wav,
)

StartServer = Callable[..., RunningServer]
CLASSES = ("neutral", "anger")
TAKES = 3


def class_card(page: Page, label: str) -> Locator:
    return page.get_by_role("article", name=label)


def choose(page: Page, label: str, count: int = 5) -> None:
    """Choose the demonstration's clips of a class as files."""
    files = [str(path) for path in sorted((SUPPORT / label).iterdir())[:count]]
    class_card(page, label).locator("input[type=file]").set_input_files(files)
    expect(class_card(page, label).get_by_role("listitem")).to_have_count(count)


def test_two_classes_by_microphone_then_live(start_server: StartServer, tmp_path: Path) -> None:
    """The microphone plays 15 s of one class and 15 s of the other, and again when the live view opens it."""
    audio = np.concatenate([noise(1), speech_of("neutral"), noise(2), speech_of("anger"), noise(5)])
    server, faults = start_server(profile=False), Faults()
    with chromium(write_wav(tmp_path / "both.wav", audio)) as browser:
        page = open_page(browser, server.url, faults)
        expect(page.get_by_role("heading", name="Enrol")).to_be_visible()  # there is no profile yet
        page.get_by_role("button", name="Remove the class joy").click()
        page.get_by_role("button", name="+ anger").click()
        began = None
        for label in CLASSES:
            card = class_card(page, label)
            for number in range(TAKES):
                card.get_by_role("button", name=re.compile("^Record clip")).click()
                if began is None:
                    expect(card.get_by_text("Speak now")).to_be_visible()
                    began = time.monotonic()
                    continue_at = began + 17
                expect(card.get_by_role("listitem")).to_have_count(number + 1, timeout=15_000)
            if label == "neutral":
                page.wait_for_timeout(1000 * max(0.0, continue_at - time.monotonic()))
        page.get_by_role("button", name="Enrol", exact=True).click()
        expect(page.get_by_text("clips correct when left out")).to_be_visible(timeout=15_000)
        page.get_by_role("button", name="Go live").click()
        status = page.locator("#now")
        expect(status).to_have_text("neutral", timeout=15_000)
        expect(status).to_have_text("anger", timeout=30_000)
    profile = Profile.load(server.profiles / "me.safetensors")
    assert [len([clip for clip in profile.clips if clip.label == label]) for label in CLASSES] == [TAKES, TAKES]
    assert not faults


def test_files_then_more_then_fewer(start_server: StartServer) -> None:
    server, faults = start_server(profile=False), Faults()
    with chromium() as browser:
        page = open_page(browser, server.url, faults)
        enrol = page.get_by_role("button", name="Enrol", exact=True)
        choose(page, "neutral")
        expect(enrol).to_be_disabled()  # one class is not enough
        choose(page, "joy")
        page.get_by_label("Name of the profile").fill("Ana Ω")
        enrol.click()
        expect(page.get_by_text("10 clips correct").or_(page.get_by_text("of 10 clips"))).to_be_visible(timeout=15_000)
        page.get_by_role("button", name="+ sadness").click()
        choose(page, "sadness", 4)
        page.get_by_role("button", name="Add 4 clips").click()
        expect(page.get_by_text("of 14 clips")).to_be_visible(timeout=15_000)
        page.locator("summary", has_text="joy").click()
        page.get_by_role("button", name="Remove de-m3.flac of joy").click()
        expect(page.get_by_text("of 13 clips")).to_be_visible()
        page.locator("summary", has_text="neutral").click()
        page.get_by_role("button", name="Remove the class neutral").click()
        expect(page.get_by_text("of 8 clips")).to_be_visible()
        page.reload()
        expect(page.locator("#profile")).to_have_value("Ana Ω")
    assert Profile.load(server.profiles / "Ana Ω.safetensors").labels == ("joy", "sadness")
    assert not faults


def test_the_slider_shows_both_rates_and_sets_them(server: RunningServer) -> None:
    with chromium() as browser:
        page = open_page(browser, f"{server.url}/#enrol")
        slider = page.get_by_label("How soon the answer is “unknown”")
        shown = page.locator(".both")
        before = shown.inner_text()
        slider.focus()
        page.keyboard.press("End")
        expect(shown).not_to_have_text(before)
        expect(shown).to_have_text(re.compile(r"^\d+ % of speech .* gets a label; \d+ % of correct labels become"))
        page.wait_for_timeout(500)
    reliability = Profile.load(server.profiles / "me.safetensors").reliability
    assert reliability.wanted_false_accepts == 0.05


def test_forgetting_asks_first(server: RunningServer) -> None:
    with chromium() as browser:
        page = open_page(browser, f"{server.url}/#enrol")
        page.get_by_role("button", name="Forget the profile me").click()
        page.get_by_role("button", name="Keep it").click()
        assert (server.profiles / "me.safetensors").exists()
        page.get_by_role("button", name="Forget the profile me").click()
        page.get_by_role("button", name="Forget it for good").click()
        expect(page.locator("#profile")).to_have_value("")
    assert not (server.profiles / "me.safetensors").exists()


def test_a_silent_take_is_refused_and_a_short_one_is_advised_against(start_server: StartServer, tmp_path: Path) -> None:
    """The microphone is silent for 6 s, then somebody says half a second."""
    burst = speech_of("neutral")[: RATE_HZ // 2]
    audio = np.concatenate([np.zeros(6 * RATE_HZ, np.float32), noise(1), burst, noise(6)])
    server = start_server(profile=False)
    with chromium(write_wav(tmp_path / "silent.wav", audio)) as browser:
        page = open_page(browser, server.url)
        card = class_card(page, "neutral")
        record = card.get_by_role("button", name=re.compile("^Record clip"))
        record.click()
        expect(card.get_by_text("silent")).to_be_visible(timeout=10_000)
        expect(card.get_by_role("listitem")).to_have_count(0)
        page.wait_for_timeout(2500)
        record.click()
        expect(card.get_by_text("Drop it and record it again.")).to_be_visible(timeout=10_000)
        card.get_by_role("button", name="Drop Clip 1 of neutral").click()
        expect(card.get_by_role("listitem")).to_have_count(0)


def test_a_file_that_is_no_audio_is_refused_by_name(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("no audio", encoding="utf-8")
    server = start_server(profile=False)
    with chromium() as browser:
        page = open_page(browser, server.url)
        card = class_card(page, "neutral")
        card.locator("input[type=file]").set_input_files(str(tmp_path / "notes.wav"))
        expect(card.get_by_text("notes.wav:")).to_be_visible()


def test_names_are_data(start_server: StartServer) -> None:
    """A class and a profile whose names look like HTML and paths."""
    server, faults = start_server(profile=False), Faults()
    with chromium() as browser:
        page = open_page(browser, server.url, faults)
        page.get_by_label("Name of a class").fill("<img src=x onerror=alert(1)>")
        page.get_by_role("button", name="Add class").click()
        expect(page.get_by_role("heading", name="<img src=x onerror=alert(1)>")).to_be_visible()
        choose(page, "neutral", 2)
        choose(page, "joy", 2)
        page.get_by_label("Name of the profile").fill("../up")
        page.get_by_role("button", name="Enrol", exact=True).click()
        expect(page.get_by_text("A profile cannot have this name")).to_be_visible()
    assert not list(server.profiles.parent.glob("*.safetensors"))
    assert not faults
