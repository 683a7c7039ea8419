"""`/healthz`, `/readyz`, `/metrics`, `/v1/bundle`, and what a GET of the stream's path says."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from metaser.serve.answers import error_body
from metaser.serve.openapi import document
from metaser.serve.service import Service

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def healthz(_request: Request) -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> PlainTextResponse:
    """Whether new streams and requests are welcome."""
    service: Service = request.app.state.service
    if service.is_draining:
        return PlainTextResponse("stopping\n", HTTPStatus.SERVICE_UNAVAILABLE)
    return PlainTextResponse("ready\n")


async def metrics(request: Request) -> Response:
    """The counters of all workers for Prometheus."""
    service: Service = request.app.state.service
    return Response(await service.of_lookup(service.metrics.text), media_type=METRICS_TYPE)


async def bundle(request: Request) -> JSONResponse:
    """The model that computes the labels."""
    service: Service = request.app.state.service
    manifest = service.engine.bundle.manifest
    return JSONResponse(
        {
            "name": manifest.name,
            "model_id": manifest.model_id,
            "precision": manifest.precision,
            "provider": service.engine.provider,
            "licence": manifest.licence,
            "training_languages": list(manifest.training_languages),
        }
    )


async def stream_state(request: Request) -> JSONResponse:
    """Why a stream would be refused, as browsers do not show it; otherwise how to open one."""
    service: Service = request.app.state.service
    if refusal := service.refusal:
        raise refusal
    return JSONResponse(
        error_body("upgrade", "streams are WebSocket connections to this path"),
        HTTPStatus.UPGRADE_REQUIRED,
        {"Upgrade": "websocket"},
    )


async def openapi(_request: Request) -> JSONResponse:
    """The description of this interface."""
    return JSONResponse(document())
