"""A view that also passes a stream's events to other systems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaser.cli.streaming.playback import Heard, View
    from metaser.links.all_links import Links
    from metaser.runtime import StreamEvent


class LinkedView:
    """Pass events to links and to another view."""

    def __init__(self, links: Links, source: str, labels: Sequence[str], view: View) -> None:
        self._links, self._source, self._view = links, source, view
        links.announce(source, labels)

    def on_event(self, event: StreamEvent) -> None:
        """Show the event, and pass it on."""
        self._view.on_event(event)
        self._links.on_event(self._source, event)

    def refresh(self, heard: Heard) -> None:
        """Pass the state on to the view."""
        self._view.refresh(heard)
