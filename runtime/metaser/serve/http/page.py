"""The page at `/`. Its files need no token; what they ask the server for needs it."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

FOLDER = Path(__file__).parents[1] / "page"
PREFIX = "/page/"
INDEX = "index.html"

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "media-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""The page takes everything from this server, and no other page can hold it in a frame."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Those of the system may be anything: a registry on Windows, /etc/mime.types elsewhere."""

FILES = {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}


def is_part(path: str) -> bool:
    """Whether this is the path of the page or of one of its files."""
    return path == "/" or path.startswith(PREFIX)


async def index(_request: Request) -> FileResponse:
    """The page."""
    return _answer(INDEX)


async def file(request: Request) -> FileResponse:
    """A file of the page."""
    return _answer(request.path_params["name"])


ROUTES = (Route("/", index), Route(f"{PREFIX}{{name}}", file))


def _answer(name: str) -> FileResponse:
    if name not in FILES:
        raise HTTPException(404)
    path = FILES[name]
    return FileResponse(path, headers=HEADERS, media_type=TYPES[path.suffix])
