"""axe-core finds nothing serious in any state, in light and dark, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="the page is tested by `make test-page`")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.page.conftest import SUPPORT, RunningServer, chromium, open_page

StartServer = Callable[..., RunningServer]
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
    "calm": {"reduced_motion": "reduce", "color_scheme": "dark"},
}
look = pytest.mark.parametrize("look", LOOKS)


def check(page: Page) -> None:
    """Nothing serious, and nothing wider than the screen."""
    found = Axe().run(page).response["violations"]
    serious = [
        f"{each['id']}: {[node['html'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@look
def test_enrolling(start_server: StartServer, look: str, tmp_path: Path) -> None:
    server = start_server(profile=False)
    (tmp_path / "notes.wav").write_text("no audio", encoding="utf-8")
    with chromium() as browser:
        page = open_page(browser, server.url, **LOOKS[look])
        expect(page.get_by_role("heading", name="Enrol")).to_be_visible()
        check(page)
        for label in ("neutral", "joy"):
            files = page.get_by_role("article", name=label).locator("input[type=file]")
            files.set_input_files([str(path) for path in sorted((SUPPORT / label).iterdir())[:3]])
            expect(page.get_by_role("article", name=label).get_by_role("listitem")).to_have_count(3)
        files.set_input_files(str(tmp_path / "notes.wav"))
        expect(page.get_by_text("notes.wav:")).to_be_visible()
        check(page)
        page.get_by_role("button", name="Enrol", exact=True).click()
        expect(page.get_by_text("clips correct when left out")).to_be_visible(timeout=15_000)
        page.locator("summary", has_text="joy").click()
        expect(page.locator(".both")).to_be_visible()
        check(page)
        page.get_by_role("button", name="Forget the profile").click()
        check(page)


@look
def test_live(server: RunningServer, look: str, conversation: Path) -> None:
    with chromium(conversation) as browser:
        page = open_page(browser, server.url, **LOOKS[look])
        expect(page.get_by_role("button", name="Start listening")).to_be_enabled()
        check(page)
        page.get_by_role("button", name="Start listening").click()
        expect(page.locator("#live-segments tbody tr")).to_have_count(2, timeout=25_000)
        check(page)
        server.stop()
        expect(page.get_by_text("Trying again in")).to_be_visible(timeout=10_000)
        check(page)


@look
def test_a_file(server: RunningServer, look: str) -> None:
    with chromium() as browser:
        page = open_page(browser, f"{server.url}/#file", **LOOKS[look])
        expect(page.get_by_text("Drop a recording here")).to_be_visible()
        check(page)
        page.locator("#file-input").set_input_files(str(SUPPORT / "anger" / "en-f2.flac"))
        expect(page.locator("#file-result .label")).to_have_text(re.compile("."))
        check(page)


def test_the_token(start_server: StartServer) -> None:
    server = start_server(METASER_TOKEN="a-token-of-sixteen-letters")
    with chromium() as browser:
        page = open_page(browser, server.url)
        expect(page.get_by_label("Token")).to_be_visible()
        check(page)
