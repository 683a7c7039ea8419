"""Who may use the server: the names in Host, the origin of a page, and the token.

A page of another site can reach a server on this machine by WebSocket, by a form, and under a name of its own that
resolves to 127.0.0.1 (DNS rebinding). So Host must be an address or a known name, and Origin, which browsers always
send with such requests, must be the server's own or one that is allowed. Programs send no Origin.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from metaser.serve.answers import RefusedError
from metaser.serve.settings import LOCAL_NAMES, ServeSettings

PORTS = {"http": 80, "https": 443}


class Access:
    """The checks of a server."""

    def __init__(self, settings: ServeSettings) -> None:
        self._names = frozenset(name.lower() for name in (*LOCAL_NAMES, settings.host, *settings.hosts))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in settings.origins)
        self._scheme = settings.scheme
        self._token = None if settings.token is None else settings.token.encode()

    @property
    def needs_token(self) -> bool:
        """Whether clients must send a token."""
        return self._token is not None

    def check_source(self, headers: Headers) -> None:
        """Raise RefusedError for a Host that is not ours, or a page of another origin."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_ours(host):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "host",
                f"this server is not called {host or 'nothing'}: start it with --allow-host NAME",
            )
        for origin in headers.getlist("origin"):
            if origin.lower() not in self._origins and not self._is_same(origin, host):
                raise RefusedError(
                    HTTPStatus.FORBIDDEN,
                    "origin",
                    f"pages of {origin} may not use this server: start it with --allow-origin ORIGIN",
                )

    def check_token(self, connection: HTTPConnection) -> None:
        """Raise RefusedError unless the Authorization header holds the token, or none is needed."""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if not self.accepts(given.strip() if scheme.lower() == "bearer" else None):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, "token", "the token is missing or wrong: send `Authorization: Bearer TOKEN`"
            )

    def accepts(self, token: object) -> bool:
        """Whether this is the token, compared in constant time."""
        if self._token is None:
            return True
        return isinstance(token, str) and hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token)

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name is None:
            return False
        try:
            ip_address(name)
        except ValueError:
            return name in self._names
        return True  # no name was resolved, so nothing was rebound

    def _is_same(self, origin: str, host: str) -> bool:
        """Whether an origin has the scheme, name and port of the request."""
        try:
            parts = urlsplit(origin)
            port = parts.port or PORTS.get(parts.scheme)
            own = urlsplit(f"//{host}").port or PORTS[self._scheme]
        except ValueError:
            return False
        is_bare = origin == f"{parts.scheme}://{parts.netloc}" and "@" not in origin
        return is_bare and (parts.scheme, parts.hostname, port) == (self._scheme, _name(host), own)


def _name(host: str) -> str | None:
    """The lower-case name or address in a Host header; None if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None
