"""`/v1/profiles`: list, enrol, report, add, remove, calibrate, forget."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from metaser.runtime import Profile
from metaser.runtime.audio.recordings import summary
from metaser.runtime.enrolment.changes import calibration_choices
from metaser.runtime.enrolment.embed import EmbeddedClips
from metaser.runtime.enrolment.labels import look_alikes
from metaser.runtime.errors import InputError
from metaser.serve.http.uploads import body_of, files_by_label, form_of, written
from metaser.serve.service import Service

TRUE = ("1", "true", "yes")


async def list_profiles(request: Request) -> JSONResponse:
    """Name, labels and number of clips of each profile."""
    service: Service = request.app.state.service
    return JSONResponse({"profiles": await service.of_lookup(service.profiles.describe)})


async def show(request: Request) -> JSONResponse:
    """What a profile holds, and the report on it."""
    service, name = _named(request)
    profile = await service.of_lookup(service.profiles.get, name)
    return JSONResponse(await service.of_request(_facts, service, name, profile))


async def enroll(request: Request) -> JSONResponse:
    """A new profile of uploaded clips, in fields named by their label; with `?replace=true` also in place of one."""
    service, name = _named(request)
    replaces = request.query_params.get("replace", "").lower() in TRUE
    if not replaces:
        service.profiles.check_free(name)
    async with form_of(request, service.settings.limits) as form:
        files = files_by_label(form)
        found = await service.of_request(_enroll, service, name, files, replaces=replaces)
    return JSONResponse(found, HTTPStatus.CREATED)


async def add(request: Request) -> JSONResponse:
    """More clips for a profile."""
    service, name = _named(request)
    await service.of_lookup(service.profiles.get, name)
    async with form_of(request, service.settings.limits) as form:
        files = files_by_label(form)
        return JSONResponse(await service.of_request(_add, service, name, files))


async def remove(request: Request) -> JSONResponse:
    """A profile without a class, `LABEL`, or a clip, `LABEL/CLIP`."""
    service, name = _named(request)
    profile = await service.of_request(service.profiles.remove, name, request.path_params["what"])
    return JSONResponse(await service.of_request(_facts, service, name, profile))


async def calibrate(request: Request) -> JSONResponse:
    """Another limit of false accepts, from `{"false_accepts": 0.1}`; null: as enrolment set it."""
    service, name = _named(request)
    body = await body_of(request, service.settings.limits)
    try:
        wanted = json.loads(body)
        rate = wanted["false_accepts"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError('send {"false_accepts": 0.1}, a rate between 0 and 1, or null') from None
    profile = await service.of_request(service.profiles.calibrate, name, rate)
    return JSONResponse(await service.of_request(_facts, service, name, profile))


async def choices(request: Request) -> JSONResponse:
    """The expected rates of every limit of false accepts that can be chosen, and the current limit."""
    service, name = _named(request)
    profile = await service.of_lookup(service.profiles.get, name)
    found = await service.of_request(calibration_choices, service.engine.model, profile)
    return JSONResponse(
        {
            "current": profile.reliability.wanted_false_accepts,
            "choices": [
                {
                    "limit": each.wanted_false_accepts,
                    "false_accepts": each.false_accepts,
                    "false_rejects": each.false_rejects,
                }
                for each in found
            ],
        }
    )


async def forget(request: Request) -> Response:
    """Delete a profile and its older copy."""
    service, name = _named(request)
    await service.of_request(service.profiles.forget, name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _named(request: Request) -> tuple[Service, str]:
    """The service, and the profile that the path names."""
    return request.app.state.service, request.path_params["name"]


def _enroll(service: Service, name: str, files: Mapping[str, list[UploadFile]], *, replaces: bool) -> dict[str, Any]:
    with written(files) as folder:
        read = service.engine.embed_support(folder, groups=True)
    profile = service.profiles.enroll(name, _usable(read), replaces=replaces)
    return _facts(service, name, profile, read)


def _add(service: Service, name: str, files: Mapping[str, list[UploadFile]]) -> dict[str, Any]:
    with written(files) as folder:
        read = service.engine.embed_support(folder, add_to=service.profiles.get(name), groups=True)
    profile = service.profiles.add(name, _usable(read))
    return _facts(service, name, profile, read)


def _usable(read: EmbeddedClips) -> EmbeddedClips:
    """The clips, if all can be used.

    Raises:
        InputError: some cannot; it names all of them.
    """
    if read.errors:
        raise InputError("; ".join(str(error) for error in read.errors))
    return read


def _facts(service: Service, name: str, profile: Profile, read: EmbeddedClips | None = None) -> dict[str, Any]:
    notices = [*read.notices, *summary(read.left_out)] if read else []
    return {
        "name": name,
        "bundle": profile.bundle_name,
        "classes": dict(Counter(clip.label for clip in profile.clips)),
        "clips": len(profile.clips),
        "others": len(profile.others),
        "notices": [*notices, *look_alikes(profile.labels)],
        "calibration": asdict(profile.calibration),
        "expected": asdict(profile.reliability),
        "report": service.engine.report(profile).as_dict(),
    }
