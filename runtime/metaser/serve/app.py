"""The ASGI application of one worker: its routes, and what stands in front of them."""

from __future__ import annotations

import asyncio
import signal
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import FrameType

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from metaser.links.all_links import Links
from metaser.runtime import Engine
from metaser.runtime.errors import InputWarning, MetaserError
from metaser.serve import systemd
from metaser.serve.answers import RefusedError, broken, error_body, failed, gone, refused
from metaser.serve.http import clips, page, profiles, state
from metaser.serve.service import Service
from metaser.serve.settings import ServeSettings
from metaser.serve.streams.session import Session

PROBES = ("/healthz", "/readyz")
"""Answered also without a token, and if there is no room."""

STREAM = "/v1/stream"
QUIET_S = 0.05
"""How often a stopping worker looks whether its streams have ended."""

SECURE = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer."""

ROUTES = (
    Route("/healthz", state.healthz),
    Route("/readyz", state.readyz),
    Route("/metrics", state.metrics),
    Route("/v1/openapi.json", state.openapi),
    Route("/v1/bundle", state.bundle),
    Route("/v1/classify", clips.classify, methods=["POST"]),
    Route("/v1/quality", clips.quality, methods=["POST"]),
    Route("/v1/profiles", profiles.list_profiles),
    Route("/v1/profiles/{name}", profiles.show),
    Route("/v1/profiles/{name}", profiles.enroll, methods=["PUT"]),
    Route("/v1/profiles/{name}", profiles.forget, methods=["DELETE"]),
    Route("/v1/profiles/{name}/clips", profiles.add, methods=["POST"]),
    Route("/v1/profiles/{name}/clips/{what:path}", profiles.remove, methods=["DELETE"]),
    Route("/v1/profiles/{name}/calibration", profiles.choices),
    Route("/v1/profiles/{name}/calibration", profiles.calibrate, methods=["PUT"]),
    Route(STREAM, state.stream_state),
)


def create_app(settings: ServeSettings, engine: Engine, links: Links) -> Starlette:
    """The application of a server, without the checks of `guarded`."""

    async def stream(websocket: WebSocket) -> None:
        await Session(websocket, websocket.app.state.service).run()

    return Starlette(
        routes=[*page.ROUTES, *ROUTES, WebSocketRoute(STREAM, stream)],
        lifespan=lambda app: _lifespan(app, Service(settings, engine, links)),
        exception_handlers={
            RefusedError: refused,
            MetaserError: failed,
            HTTPException: _no_route,
            ClientDisconnect: gone,
            Exception: broken,
        },
    )


def guarded(app: Starlette) -> ASGIApp:
    """The application behind its checks: room, Host, Origin and token."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        service: Service = app.state.service
        connection = HTTPConnection(scope)
        sent = _with_headers(service, scope, send)
        try:
            path = connection.url.path
            service.access.check_source(connection.headers)
            if scope["type"] == "websocket" or path not in PROBES:
                service.check_room()
            if scope["type"] == "http" and not (path in PROBES or page.is_part(path)):
                service.access.check_token(connection)
        except RefusedError as error:
            service.metrics.refused.labels(error.code).inc()
            await _refuse(error, scope, receive, sent)
            return
        with service.counted_connection():
            try:
                await app(scope, receive, sent)
            except asyncio.CancelledError:  # by uvicorn, for what has not ended in time when the server stops
                if not service.is_draining:
                    raise

    return guard


async def _refuse(error: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer before the handshake of a WebSocket is made, with a status of HTTP."""
    answer = JSONResponse(error_body(error.code, str(error)), error.status, error.headers)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await answer(scope, receive, send)


def _with_headers(service: Service, scope: Scope, send: Send) -> Send:
    """`send`, which adds the headers of every answer and counts answers."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            known = {name.lower() for name, _ in message["headers"]}
            more = [(name.lower().encode(), value.encode()) for name, value in SECURE.items()]
            message = {**message, "headers": [*message["headers"], *(each for each in more if each[0] not in known)]}
            service.metrics.requests.labels(str(message["status"])).inc()
        await send(message)

    return sent if scope["type"] == "http" else send


def _no_route(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    phrases = {404: "there is nothing at this path", 405: "this path does not take this method"}
    body = error_body(
        "not_found" if error.status_code == HTTPStatus.NOT_FOUND else "request",
        phrases.get(error.status_code, error.detail),
    )
    return JSONResponse(body, error.status_code, error.headers)


@asynccontextmanager
async def _lifespan(app: Starlette, service: Service) -> AsyncIterator[None]:
    """Take over the signals that stop the worker, and tell systemd."""
    warnings.simplefilter("ignore", InputWarning)  # answers hold what the library warns of
    app.state.service = service
    async with anyio.create_task_group() as tasks:
        _stop_gently(service)
        systemd.notify("READY=1")
        if pause_s := systemd.watchdog_s():
            tasks.start_soon(_beat, service, pause_s)
        yield
        systemd.notify("STOPPING=1")
        tasks.cancel_scope.cancel()
    await anyio.to_thread.run_sync(service.links.close)


async def _beat(service: Service, pause_s: float) -> None:
    """Tell systemd that streams are still computed."""
    while True:
        await service.of_stream(lambda: None)
        systemd.notify("WATCHDOG=1")
        await anyio.sleep(pause_s)


def _stop_gently(service: Service) -> None:
    """At the first signal, let each stream end before the web server stops; a second Ctrl-C stops at once."""
    if threading.current_thread() is not threading.main_thread():  # inside another program
        return
    loop = asyncio.get_running_loop()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int) -> None:
        handler = handlers[signal.Signals(number)]
        if callable(handler):
            handler(number, None)

    async def drain(number: int) -> None:
        with anyio.move_on_after(service.settings.limits.drain_s):
            while service.streams:
                await anyio.sleep(QUIET_S)
        stop(number)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if not service.is_draining:
            loop.call_soon_threadsafe(begin, number)
        elif number == signal.SIGINT:
            stop(number)

    draining = set()

    def begin(number: int) -> None:
        if not service.is_draining:
            service.draining.set()
            draining.add(loop.create_task(drain(number)))

    for number in handlers:
        signal.signal(number, on_signal)
