"""The description of the HTTP interface in OpenAPI 3.1."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from metaser.runtime.audio.formats.pcm import FORMATS

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
TEXTS: Schema = {"type": "array", "items": TEXT}


def _object(**properties: Schema) -> Schema:
    """An object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _map(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


SCHEMAS: dict[str, Schema] = {
    "Error": _object(error=_object(code=TEXT, message=TEXT)),
    "Decision": _object(
        label=_or_null(TEXT), confidence=NUMBER, scores=_map(NUMBER), duration_s=NUMBER, notices=TEXTS, provider=TEXT
    ),
    "Quality": _object(
        duration_s=NUMBER,
        speech_s=NUMBER,
        level_dbfs=NUMBER,
        snr_db=NUMBER,
        clipped_share=NUMBER,
        faults=TEXTS,
        notices=TEXTS,
    ),
    "Choices": _object(
        current=_or_null(NUMBER),
        choices={
            "type": "array",
            "items": _object(limit=_or_null(NUMBER), false_accepts=NUMBER, false_rejects=NUMBER),
        },
    ),
    "Profiles": _object(
        profiles={
            "type": "array",
            "items": _object(name=TEXT, labels=TEXTS, clips=WHOLE, problem=_or_null(TEXT)),
        }
    ),
    "Profile": _object(
        name=TEXT,
        bundle=TEXT,
        classes=_map(WHOLE),
        clips=WHOLE,
        others=WHOLE,
        notices=TEXTS,
        calibration=_map(NUMBER),
        expected=_map(_or_null(NUMBER)),
        report=_object(
            clips={"type": "array", "items": {"type": "object"}},
            classes={"type": "array", "items": {"type": "object"}},
            pairs={"type": "array", "items": {"type": "object"}},
            findings=TEXTS,
            verdict={"type": "object"},
        ),
    ),
    "Bundle": _object(name=TEXT, model_id=TEXT, precision=TEXT, provider=TEXT, licence=TEXT, training_languages=TEXTS),
}

NAME = {"name": "name", "in": "path", "required": True, "schema": TEXT, "description": "The profile."}
CLIPS: Schema = {
    "description": "Clips as files, each in a field named by its label.",
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _map({"type": "array", "items": {"type": "string", "format": "binary"}})}
    },
}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _operation(
    summary: str,
    answer: str | None = None,
    *,
    status: int = 200,
    kind: str = "application/json",
    **more: Any,
) -> Schema:
    """An operation whose answer is a schema by name, or text."""
    good: Schema = {"description": summary}
    if answer:
        good["content"] = {kind: {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    elif kind != "application/json":
        good["content"] = {kind: {"schema": TEXT}}
    bad = {
        "description": "Why it was refused.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {"summary": summary, "responses": {str(status): good, "default": bad}, **more}


CLIP_QUERY = [
    _query("rate", WHOLE, "Of raw samples, in Hz; 16000 without it."),
    _query("channels", WHOLE, "Of raw samples; 1 without it."),
    _query("format", {"enum": list(FORMATS)}, "Of raw samples; s16le without it."),
]
CLIP: Schema = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _object(file={"type": "string", "format": "binary"})},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
    },
}

PATHS: dict[str, dict[str, Schema]] = {
    "/healthz": {"get": _operation("The process answers.", kind="text/plain", security=[])},
    "/readyz": {"get": _operation("New requests are welcome; 503 while stopping.", kind="text/plain", security=[])},
    "/metrics": {"get": _operation("Counters for Prometheus.", kind="text/plain")},
    "/v1/openapi.json": {"get": _operation("This document.")},
    "/v1/bundle": {"get": _operation("The model that computes the labels.", "Bundle")},
    "/v1/classify": {
        "post": _operation(
            "A label for one clip of a few seconds.",
            "Decision",
            parameters=[
                _query("profile", TEXT, "The profile; not needed if there is one only."),
                _query("unknown", {"enum": ["off", "calibrated", "strict"]}, "When the label is null."),
                *CLIP_QUERY,
            ],
            requestBody=CLIP,
        )
    },
    "/v1/quality": {
        "post": _operation("How well a clip is recorded.", "Quality", parameters=CLIP_QUERY, requestBody=CLIP)
    },
    "/v1/profiles": {"get": _operation("All profiles.", "Profiles")},
    "/v1/profiles/{name}": {
        "parameters": [NAME],  # type: ignore[dict-item] # of all its operations
        "get": _operation("What a profile holds, with the report on it.", "Profile"),
        "put": _operation(
            "Enrol clips as a new profile.",
            "Profile",
            status=201,
            requestBody=CLIPS,
            parameters=[_query("replace", {"type": "boolean"}, "Replace a profile of this name.")],
        ),
        "delete": _operation("Forget a profile.", status=204),
    },
    "/v1/profiles/{name}/clips": {
        "parameters": [NAME],  # type: ignore[dict-item]
        "post": _operation("Add clips to a profile.", "Profile", requestBody=CLIPS),
    },
    "/v1/profiles/{name}/clips/{what}": {
        "parameters": [  # type: ignore[dict-item]
            NAME,
            {"name": "what", "in": "path", "required": True, "schema": TEXT, "description": "LABEL, or LABEL/CLIP."},
        ],
        "delete": _operation("Remove a class, or one of its clips.", "Profile"),
    },
    "/v1/profiles/{name}/calibration": {
        "parameters": [NAME],  # type: ignore[dict-item]
        "get": _operation("The expected rates of every limit of false accepts that can be chosen.", "Choices"),
        "put": _operation(
            "Set the limit of false accepts; null restores that of enrolment.",
            "Profile",
            requestBody={
                "required": True,
                "content": {"application/json": {"schema": _object(false_accepts=_or_null(NUMBER))}},
            },
        ),
    },
    "/v1/stream": {
        "get": _operation(
            "Streams are WebSocket connections to this path; without an upgrade, why one would be refused now.",
            status=426,
        )
    },
}


def document() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "metaser serve",
            "version": version("metaser"),
            "description": "Few-shot speech emotion recognition. docs/serve.md describes the streams.",
        },
        "paths": PATHS,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }
