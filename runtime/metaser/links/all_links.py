"""The links that a command was given, as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from metaser.runtime.errors import MissingDependencyError
from metaser.runtime.stream.event import StreamEvent


class Link(Protocol):
    """A connection to another system, for the streams of several sources."""

    def announce(self, source: str, labels: Sequence[str]) -> None:
        """A source with these labels begins."""

    def on_event(self, source: str, event: StreamEvent) -> None:
        """Pass on an event of a source that was announced; never waits."""

    def end(self, source: str) -> None:
        """The stream of a source has ended."""

    def close(self) -> None:
        """Pass on what waits, within seconds, and end."""


class Links:
    """Several links as one."""

    def __init__(self, links: Sequence[Link] = ()) -> None:
        self._links = list(links)

    @classmethod
    def open(cls, mqtt: str | None, webhook: str | None, notify: Callable[[str], None]) -> Links:
        """Connect to a broker and prepare a webhook, as far as they are given.

        Raises:
            InputError: an address cannot be used.
            MissingDependencyError: the extra `mqtt` is not installed.
            WorkError: the broker does not answer, or refuses.
        """
        links: list[Link] = []
        if webhook is not None:
            from metaser.links.webhook import WebhookLink

            links.append(WebhookLink(webhook, notify))
        if mqtt is not None:
            try:
                from metaser.links.mqtt import Broker, MqttLink
            except ImportError as error:
                raise MissingDependencyError(f"--mqtt needs {error.name}: pip install 'metaser[mqtt]'") from error
            links.append(MqttLink(Broker.read(mqtt), notify))
        return cls(links)

    def announce(self, source: str, labels: Sequence[str]) -> None:
        """As `Link.announce`, for all."""
        for link in self._links:
            link.announce(source, labels)

    def on_event(self, source: str, event: StreamEvent) -> None:
        """As `Link.on_event`, for all."""
        for link in self._links:
            link.on_event(source, event)

    def end(self, source: str) -> None:
        """As `Link.end`, for all."""
        for link in self._links:
            link.end(source)

    def close(self) -> None:
        """As `Link.close`, for all."""
        for link in self._links:
            link.close()
