"""Labels to a program on the web: each event but updates is posted as JSON, with a bounded number of attempts."""

from __future__ import annotations

import json
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from metaser.links.state import attributes
from metaser.runtime.errors import InputError
from metaser.runtime.stream.event import StreamEvent

ATTEMPTS = 4
PAUSE_S = 0.5
"""Before the second attempt; twice as long before each further one."""

PATIENCE_S = 5.0
"""For one attempt."""

WAITING = 200
"""Events that wait for the address to answer; a further one replaces the oldest."""

LAST_S = 5.0
"""How long the last events are waited for."""

TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same request may succeed."""


class WebhookLink:
    """A thread that posts events in their order."""

    def __init__(self, url: str, notify: Callable[[str], None]) -> None:
        """Start.

        Raises:
            InputError: it is no address of the web.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"--webhook {url}: give an address that begins with https:// or http://")
        self._url, self._notify = url, notify
        self._host = parts.hostname
        self._waiting: queue.Queue[bytes | None] = queue.Queue()
        self._lost = 0
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def announce(self, source: str, labels: Sequence[str]) -> None:
        """Do nothing: each event names its source."""

    def on_event(self, source: str, event: StreamEvent) -> None:
        """Post an event, unless it is an update."""
        if event.event == "update":
            return
        if self._waiting.qsize() >= WAITING:
            self._waiting.get_nowait()
            self._lost += 1
        self._waiting.put(json.dumps({"source": source, **attributes(event)}, ensure_ascii=False).encode())

    def end(self, source: str) -> None:
        """Do nothing: the last events say it."""

    def close(self) -> None:
        """Wait a few seconds for the last events."""
        self._waiting.put(None)
        self._thread.join(LAST_S)
        self._lost += self._waiting.qsize()
        if self._lost:
            self._notify(f"Events that {self._host} did not get: {self._lost}.")

    def _run(self) -> None:
        while (content := self._waiting.get()) is not None:
            reason = self._post(content)
            if reason and not self._failing:
                self._notify(
                    f"The webhook {self._host} fails ({reason}): {ATTEMPTS} attempts per event, then it is dropped."
                )
            elif self._failing and not reason:
                self._notify(f"The webhook {self._host} works again.")
            self._failing = bool(reason)
            self._lost += bool(reason)

    def _post(self, content: bytes) -> str:
        """Post once or a few times; return why it failed, or nothing."""
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_S * 2 ** (attempt - 1))
            request = urllib.request.Request(  # noqa: S310 # the scheme was checked
                self._url, content, {"Content-Type": "application/json; charset=utf-8", "User-Agent": "metaser"}
            )
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S):  # noqa: S310
                    return ""
            except urllib.error.HTTPError as error:
                reason = f"status {error.code}"
                error.close()
                if error.code not in TRY_AGAIN:
                    return reason
            except OSError as error:
                reason = str(getattr(error, "reason", None) or error)
        return reason
