"""Errors as JSON: a code for programs, a sentence for people, and the status of HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from metaser.runtime.errors import InputError, MetaserError, MissingDependencyError, NotFoundError

STATUS = (
    (NotFoundError, HTTPStatus.NOT_FOUND, "not_found"),
    (MissingDependencyError, HTTPStatus.NOT_IMPLEMENTED, "not_installed"),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY, "bad_input"),
    (MetaserError, HTTPStatus.INTERNAL_SERVER_ERROR, "failed"),
)
"""Kind of an error of the library -> status and code."""


class RefusedError(Exception):
    """A request that the server refuses, with the status and code of its answer."""

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


def error_body(code: str, message: str, **more: Any) -> dict[str, Any]:
    """The body of an answer to a request that failed."""
    return {"error": {"code": code, "message": message, **more}}


def refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to a refused request."""
    assert isinstance(error, RefusedError)
    request.app.state.service.metrics.refused.labels(error.code).inc()
    return JSONResponse(error_body(error.code, str(error)), error.status, error.headers)


def code_of(error: MetaserError) -> str:
    """The code of an error of the library."""
    return next(code for kind, _, code in STATUS if isinstance(error, kind))


def failed(_request: Request, error: Exception) -> JSONResponse:
    """The answer when the library raised an error."""
    assert isinstance(error, MetaserError)
    status = next(status for kind, status, _ in STATUS if isinstance(error, kind))
    return JSONResponse(error_body(code_of(error), str(error)), status)


def gone(_request: Request, _error: Exception) -> JSONResponse:
    """The answer to a client that left while it sent its request; nobody reads it."""
    return JSONResponse(error_body("gone", "the request was not sent to its end"), HTTPStatus.BAD_REQUEST)


def broken(_request: Request, _error: Exception) -> JSONResponse:
    """The answer to an error that nobody expected; the log has its traceback."""
    return JSONResponse(error_body("failed", "the server failed: its log says why"), HTTPStatus.INTERNAL_SERVER_ERROR)
