"""The token, pages of other origins, and what the page itself may load."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the page is tested by `make test-page`")

from playwright.sync_api import expect

from tests.page.conftest import Faults, RunningServer, chromium, open_page

StartServer = Callable[..., RunningServer]
MOST_BYTES = 150_000

ATTACK = """async (url) => {
  const tried = {};
  const fail = (error) => `blocked: ${error.name ?? error}`;
  tried.read = await fetch(`${url}/v1/profiles`).then((answer) => answer.text(), fail);
  const blind = { method: "POST", mode: "no-cors", body: "x" };
  tried.blind = await fetch(`${url}/v1/profiles/me`, blind).then(() => "sent", fail);
  tried.remove = await fetch(`${url}/v1/profiles/me`, { method: "DELETE" }).then(() => "done", fail);
  tried.stream = await new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/stream`);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("blocked");
  });
  tried.frame = await new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.onload = () => resolve(frame.contentDocument === null ? "blocked" : "open");
    frame.src = url;
    document.body.append(frame);
  });
  return tried;
}"""

FORM = """(url) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "POST", enctype: "multipart/form-data", action: `${url}/v1/profiles/me/clips` });
  document.body.append(form);
  form.submit();
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title><body>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def foreign() -> Iterator[str]:
    """The address of another site on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


def test_another_site_can_do_nothing(server: RunningServer, foreign: str) -> None:
    profile = server.profiles / "me.safetensors"
    before = profile.read_bytes()
    with chromium() as browser:
        page = open_page(browser, foreign)
        tried = page.evaluate(ATTACK, server.url)
        assert {name: value.partition(":")[0] for name, value in tried.items()} == {
            "read": "blocked",
            "blind": "blocked",
            "remove": "blocked",
            "stream": "blocked",
            "frame": "blocked",
        }
        page.evaluate(FORM, server.url)
        page.wait_for_url(f"{server.url}/**")
        expect(page.get_by_text("may not use this server")).to_be_visible()
    assert profile.read_bytes() == before


def test_a_name_that_was_rebound_is_refused(server: RunningServer) -> None:
    """The site evil.test resolves to 127.0.0.1, so that the server's answers would be its own."""
    with chromium(None, "--host-resolver-rules=MAP evil.test 127.0.0.1") as browser:
        page = open_page(browser, f"http://evil.test:{server.port}")
        expect(page.get_by_text("this server is not called evil.test")).to_be_visible()
        answer = page.evaluate("fetch('/v1/profiles').then((answer) => answer.status)")
    assert answer == 421


def test_a_token_is_asked_for_and_never_in_an_address(start_server: StartServer, conversation: Path) -> None:
    server, asked = start_server(METASER_TOKEN="a-token-of-sixteen-letters"), []
    with chromium(conversation) as browser:
        page = open_page(browser, server.url)
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_text("This token is wrong.")).to_be_visible()
        page.get_by_label("Token").fill("a-token-of-sixteen-letters")
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Start listening").click()
        expect(page.locator("#now")).to_have_text("neutral", timeout=15_000)
        page.reload()
        expect(page.get_by_role("button", name="Start listening")).to_be_enabled()  # kept in this tab
    assert any(url.startswith("ws:") for url in asked)
    assert not [url for url in asked if "sixteen" in url]


def test_the_page_loads_little_and_only_from_the_server(server: RunningServer) -> None:
    faults: Faults = Faults()
    sizes: list[int] = []
    with chromium() as browser:
        page = browser.new_context().new_page()
        page.on("response", lambda answer: sizes.append(len(answer.body())))
        page.on("request", lambda request: None if request.url.startswith(server.url) else faults.append(request.url))
        page.goto(server.url)
        expect(page.get_by_role("button", name="Start listening")).to_be_enabled()
        policy = page.request.get(server.url).headers["content-security-policy"]
    assert sum(sizes) <= MOST_BYTES
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not faults
