"""One live stream of a client: its messages in, events out, until it ends, fails, falls silent or the server stops.

    socket -> reader -> Inbox -> worker (a thread computes) -> Outbox -> writer -> socket

Each of the three tasks waits for nothing but its own neighbour, so that a slow model, a slow network and a slow client
do not disturb one another or other streams.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from metaser.runtime import StreamEvent
from metaser.runtime.audio.microphone import RING_S
from metaser.runtime.enrolment.labels import on_disk, safe_name
from metaser.runtime.errors import AudioError, InputError, MetaserError
from metaser.runtime.stream.recording import Recording
from metaser.serve.answers import code_of
from metaser.serve.service import Service
from metaser.serve.streams.inbox import Inbox
from metaser.serve.streams.messages import Start, read_start, read_text
from metaser.serve.streams.outbox import Outbox
from metaser.serve.streams.raw_stream import RawStream

NORMAL, GOING_AWAY, BAD_DATA, POLICY, FAILED, TRY_LATER = 1000, 1001, 1003, 1008, 1011, 1013
"""Codes of closing (RFC 6455, and 1013 of its registry)."""

WAITING_S = 5.0
"""A client whose audio is not live waits while so much of it is in the inbox."""

SLOW_S = 10.0
"""How long the last messages wait for a slow client."""


class StreamError(Exception):
    """The end of a stream by an error: a code and a sentence for the client, and the code of closing."""

    def __init__(self, code: str, message: str, close_code: int) -> None:
        super().__init__(message)
        self.code, self.close_code = code, close_code


class Session:
    """A connection of `WS /v1/stream`."""

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        self._socket, self._service = websocket, service
        self._limits = service.settings.limits
        self._outbox = Outbox()
        self._ended = False  # by the client
        self._gone = False  # the connection
        self._failure: StreamError | None = None
        self._source = ""  # for links
        self._news = anyio.Event()  # for the worker
        self._room = anyio.Event()  # for the reader of audio that is not live
        self._written = anyio.Event()

    async def run(self) -> None:
        """Serve the connection to its end."""
        await self._socket.accept()
        try:
            start = await self._read_start()
            with self._service.counted_stream():
                await self._serve(start)
        except StreamError as error:
            self._put_error(error)
            self._outbox.close()
            with anyio.move_on_after(SLOW_S):
                await self._write()
            await self._close(error.close_code)
        except WebSocketDisconnect:
            return

    async def _read_start(self) -> Start:
        """The first message, with a right token, if there is room for a stream."""
        message = await self._receive_in(self._limits.start_s, "start", "no start within {:g} s")
        try:
            start = read_start(message.get("text") or "")
        except InputError as error:
            raise StreamError("start", str(error), POLICY) from error
        by_header = self._socket.headers.get("authorization", "").partition(" ")[2].strip()
        if not (self._service.access.accepts(start.token) or self._service.access.accepts(by_header or None)):
            raise StreamError("token", 'the token is missing or wrong: send "token" in start', POLICY)
        if refusal := self._service.refusal:
            raise StreamError(refusal.code, str(refusal), TRY_LATER)
        return start

    async def _serve(self, start: Start) -> None:
        """Open the stream, and run the three tasks until one of them ends it."""
        service, form = self._service, start.form
        try:
            profile = await service.of_lookup(service.profiles.get, start.profile)
            profile = profile.answering(start.unknown)
            stream = service.engine.stream(
                profile, sample_rate_hz=form.rate_hz, settings=start.settings, live=start.live
            )
        except MetaserError as error:
            raise StreamError(code_of(error), str(error), POLICY) from error
        self._source = start.source or start.profile or service.profiles.only_name()
        recording = await self._open_recording()
        self._put(
            event="ready",
            profile=start.profile,
            labels=list(profile.labels),
            hint=service.engine.hint(profile) or None,
            bundle=service.engine.bundle.manifest.name,
            provider=service.engine.provider,
            rate=form.rate_hz,
            channels=form.channels,
            format=form.sample_format,
            live=start.live,
            recorded=recording is not None,
            window_s=start.window_s,
            hop_s=start.hop_s,
            max_message_bytes=self._limits.message_bytes,
        )
        async with anyio.create_task_group() as tasks:
            inbox = Inbox(form, RING_S if start.live else None)
            tasks.start_soon(self._read, inbox, start)
            tasks.start_soon(self._write)
            tasks.start_soon(self._watch)
            service.links.announce(self._source, profile.labels)
            await self._compute(inbox, RawStream(stream, form, recording, live=start.live))
            service.links.end(self._source)
            if self._failure is not None:
                self._put_error(self._failure)
            self._outbox.close()
            with anyio.move_on_after(SLOW_S):
                await self._written.wait()
            tasks.cancel_scope.cancel()
        if not self._gone:
            ended_by_us = GOING_AWAY if service.is_draining and not self._ended else NORMAL
            await self._close(self._failure.close_code if self._failure else ended_by_us)

    async def _open_recording(self) -> Recording | None:
        """The recording of the stream, in a folder named by its source, if the server keeps them."""
        folder = self._service.settings.record
        if folder is None:
            return None
        try:
            return await self._service.of_lookup(Recording, folder / on_disk(safe_name(self._source)))
        except MetaserError as error:
            raise StreamError(code_of(error), str(error), FAILED) from error

    async def _read(self, inbox: Inbox, start: Start) -> None:
        """Put what arrives into the inbox until the client ends the stream, fails or stays silent."""
        try:
            while not self._ended:
                message = await self._receive_in(self._limits.idle_s, "idle", "nothing arrived for {:g} s")
                content, text = message.get("bytes"), message.get("text")
                if content:
                    inbox.put(content)
                else:
                    self._ended = text is None or self._is_end(text)
                self._news.set()
                while not start.live and (inbox.seconds > WAITING_S or inbox.is_full):
                    self._room = anyio.Event()
                    await self._room.wait()
        except StreamError as error:
            self._failure = error
        except WebSocketDisconnect:
            self._gone = True
        self._news.set()

    def _is_end(self, text: str) -> bool:
        try:
            return read_text(text) == "end"
        except InputError as error:
            raise StreamError("text", str(error), BAD_DATA) from error

    async def _compute(self, inbox: Inbox, stream: RawStream) -> None:
        """Work to the end of the stream; an error, also of its recording, is its failure."""
        try:
            with closing(stream):
                await self._work(inbox, stream)
        except AudioError as error:
            self._failure = StreamError("audio", str(error), BAD_DATA)
        except MetaserError as error:
            self._failure = StreamError(code_of(error), str(error), FAILED)

    async def _work(self, inbox: Inbox, stream: RawStream) -> None:
        """Push what is in the inbox into the stream, until it ends."""
        while not self._gone:
            if not (inbox.has_frames or self._is_over):
                await self._news.wait()
                self._news = anyio.Event()
            is_over, taken, lost_s = self._is_over, inbox.take(), stream.lost_s
            is_last = is_over and not inbox.has_frames
            events = await self._service.of_stream(stream.push, taken)
            notices: list[str] = []
            if is_last:
                rest, notices = await self._service.of_stream(stream.finish)
                events += rest
            self._room.set()
            self._service.metrics.audio_s.inc(taken.seconds)
            self._service.metrics.lost_s.inc(stream.lost_s - lost_s)
            self._put_events(events)
            for notice in notices:
                self._put(event="notice", message=notice)
            if is_last:
                return
            if self._outbox.is_overrun:
                self._failure = StreamError("slow", "the client reads too slowly: events would be lost", POLICY)
                return

    @property
    def _is_over(self) -> bool:
        return self._ended or self._gone or self._failure is not None or self._service.is_draining

    async def _watch(self) -> None:
        """Wake the worker when the server stops."""
        await self._service.draining.wait()
        self._news.set()

    async def _write(self) -> None:
        """Send what is in the outbox until it is closed or the client is gone."""
        try:
            while (text := await self._outbox.get()) is not None:
                await self._socket.send_text(text)
        except WebSocketDisconnect:
            self._gone = True
            self._news.set()
        self._written.set()

    def _put_events(self, events: list[StreamEvent]) -> None:
        metrics = self._service.metrics
        for event in events:
            before = self._outbox.dropped
            self._outbox.put(event.to_json(), is_update=event.event == "update")
            self._service.links.on_event(self._source, event)
            metrics.latency.observe(event.latency_ms / 1000)
            if event.event == "overload":
                metrics.overloads.inc()
            metrics.unsent.inc(self._outbox.dropped - before)

    def _put(self, **message: Any) -> None:
        self._outbox.put(json.dumps(message, ensure_ascii=False))

    def _put_error(self, error: StreamError) -> None:
        self._service.metrics.refused.labels(error.code).inc()
        self._put(event="error", code=error.code, message=str(error))

    async def _receive_in(self, seconds: float, code: str, otherwise: str) -> dict[str, Any]:
        """The next message, as ASGI gives it.

        Raises:
            StreamError: none came in time.
            WebSocketDisconnect: the client is gone.
        """
        message = None
        with anyio.move_on_after(seconds):
            message = await self._socket.receive()
        if message is None:
            raise StreamError(code, otherwise.format(seconds), POLICY)
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        return dict(message)

    async def _close(self, code: int) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            with anyio.move_on_after(SLOW_S):
                await self._socket.close(code)
