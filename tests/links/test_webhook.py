"""Events posted to a real web server, one that fails for a while, and one that always does."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.links import webhook
from metaser.links.state import SpokenState
from metaser.links.webhook import WebhookLink
from metaser.runtime import InputError, StreamEvent
from tests.serve.conftest import free_port


class Receiver:
    """A web server that answers with the given statuses, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.got: list[dict[str, Any]] = []
        self.asked = 0
        receiver, waiting = self, list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name that http.server calls
                receiver.asked += 1
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = waiting.pop(0) if waiting else 200
                if status == 200:
                    receiver.got.append(content)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/labels"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSE_S", 0.01)


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    started: list[Receiver] = []
    yield started
    for each in started:
        each.close()


def event(kind: Any, label: str | None) -> StreamEvent:
    return StreamEvent(kind, label, 1.0, None, 0.9, {"joy": 0.9}, 10.0)


def test_all_events_but_updates_come_in_order_even_if_the_server_fails_at_first(receivers: list[Receiver]) -> None:
    receivers.append(Receiver(503, 500))
    said: list[str] = []
    link = WebhookLink(receivers[0].url, said.append)
    for kind, label in (("enter", "joy"), ("update", "joy"), ("leave", "joy"), ("silence", None)):
        link.on_event("kitchen", event(kind, label))
    link.close()
    assert [each["event"] for each in receivers[0].got] == ["enter", "leave", "silence"]
    assert {each["source"] for each in receivers[0].got} == {"kitchen"}
    assert said == []


def test_what_is_refused_for_good_is_not_tried_again_and_is_said(receivers: list[Receiver]) -> None:
    receivers.append(Receiver(404))
    said: list[str] = []
    link = WebhookLink(receivers[0].url, said.append)
    link.on_event("kitchen", event("enter", "joy"))
    link.on_event("kitchen", event("leave", "joy"))
    link.close()
    assert receivers[0].asked == 2
    assert said == [
        "The webhook 127.0.0.1 fails (status 404): 4 attempts per event, then it is dropped.",
        "The webhook 127.0.0.1 works again.",
        "Events that 127.0.0.1 did not get: 1.",
    ]


def test_an_address_that_never_answers_costs_a_bounded_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "LAST_S", 0.2)
    monkeypatch.setattr(webhook, "WAITING", 10)
    said: list[str] = []
    link = WebhookLink(f"http://127.0.0.1:{free_port()}/", said.append)
    began = time.monotonic()
    for _ in range(100):
        link.on_event("kitchen", event("enter", "joy"))
    link.close()
    assert time.monotonic() - began < 5
    assert "did not get" in said[-1]
    assert int(said[-1].rpartition(" ")[2].strip(".")) >= 90


@pytest.mark.parametrize("url", ["", "ftp://board", "board/labels", "file:///etc/passwd", "http://"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="give an address that begins with https"):
        WebhookLink(url, pytest.fail)


def test_a_segment_is_unknown_only_once_it_is_over() -> None:
    state = SpokenState()
    changes = [
        (event("enter", None), "silence", False),
        (event("update", "joy"), "joy", True),
        (event("update", "joy"), "joy", False),
        (event("leave", "joy"), "joy", False),
        (event("enter", None), "unknown", True),
        (event("leave", None), "unknown", False),
        (event("silence", None), "silence", True),
        (event("overload", None), "silence", False),
        (event("enter", None), "silence", False),
        (event("leave", None), "unknown", True),
    ]
    for given_event, value, changed in changes:
        assert state.change(given_event) == changed
        assert state.value == value


@given(st.lists(st.tuples(st.sampled_from(["enter", "update", "leave", "silence"]), st.sampled_from([None, "joy"]))))
def test_a_state_is_always_one_of_the_options(events: list[tuple[str, str | None]]) -> None:
    state = SpokenState()
    for kind, label in events:
        before = state.value
        assert state.change(event(kind, None if kind == "silence" else label)) == (state.value != before)
        assert state.value in {"joy", "unknown", "silence"}
