"""Run the server: a listening socket, one process per worker, restarted when it dies."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from metaser.links.all_links import Links
from metaser.runtime import Engine
from metaser.runtime.errors import InputError, WorkError
from metaser.serve.app import create_app, guarded
from metaser.serve.http.uploads import sweep_uploads
from metaser.serve.metrics import SHARED_FOLDER
from metaser.serve.protocol import BoundedProtocol, BoundedWebSocket
from metaser.serve.settings import ServeSettings

BACKLOG = 256
PING_S = 20.0


def serve(settings: ServeSettings, notify: Callable[[str], None]) -> None:
    """Serve until a signal stops it. `notify` is called with each line about the server.

    Raises:
        WorkError: the port is in use, or the address is not of this machine.
        MetaserError: as `Engine.open`.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    with _listen(settings) as listening:
        app = make_app(settings, notify) if settings.workers == 1 else None
        settings.profiles.mkdir(parents=True, exist_ok=True)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        notify(f"Serving at {settings.scheme}://{shown}:{port}, profiles in {settings.profiles}. Ctrl-C stops.")
        if settings.record is not None:
            notify(f"Recording the audio and labels of streams into {settings.record}.")
        if app is not None:
            uvicorn.Server(_config(settings, app)).run(sockets=[listening])
            return
        _open(settings)  # an error here is one line; in a worker it would come again and again
        with TemporaryDirectory(prefix="metaser-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            Multiprocess(_config(settings, partial(make_app, settings, notify)), sockets=[listening]).run()


def make_app(settings: ServeSettings, notify: Callable[[str], None]) -> ASGIApp:
    """The application of a worker, in its own process.

    Raises:
        MetaserError: as `Engine.open` and `Links.open`.
    """
    sweep_uploads()
    engine = _open(settings)
    return guarded(create_app(settings, engine, Links.open(settings.mqtt, settings.webhook, notify)))


def _open(settings: ServeSettings) -> Engine:
    return Engine.open(settings.bundle, provider=settings.provider, threads=settings.threads)


def _config(settings: ServeSettings, app: ASGIApp | Callable[[], ASGIApp]) -> uvicorn.Config:
    """uvicorn's settings for an application, or with several workers for what makes it in each of them."""
    return uvicorn.Config(
        app,
        factory=settings.workers > 1,
        workers=settings.workers,
        http=BoundedProtocol,
        ws=BoundedWebSocket,
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=BACKLOG,
        ws_max_size=settings.limits.message_bytes,
        ws_ping_interval=PING_S,
        ws_ping_timeout=None,  # a busy client answers late and is healthy
        ws_per_message_deflate=False,  # samples do not compress
        timeout_graceful_shutdown=int(settings.limits.drain_s),
        ssl_certfile=None if settings.certificate is None else str(settings.certificate),
        ssl_keyfile=None if settings.key is None else str(settings.key),
    )


def _listen(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)
        listening.set_inheritable(True)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise WorkError(
                f"port {settings.port} is in use: stop the other program, or give another --port"
            ) from error
        if error.errno in (errno.EADDRNOTAVAIL, errno.EACCES) or isinstance(error, socket.gaierror):
            raise InputError(
                f"cannot listen on {settings.host} port {settings.port} ({error.strerror}): give another --host or "
                "--port"
            ) from error
        raise
    return listening


def check_files(*files: Path | None) -> None:
    """Raise InputError if a file of TLS is not there."""
    for path in files:
        if path is not None and not path.is_file():
            raise InputError(f"no such file: {path}")
