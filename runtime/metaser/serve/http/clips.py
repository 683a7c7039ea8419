"""`POST /v1/classify`: a label for one clip, a file or samples."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse

from metaser.runtime import Profile
from metaser.runtime.arrays import SAMPLE_RATE_HZ, Waveform
from metaser.runtime.audio.downmix import Downmix
from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.runtime.audio.load import read_array, read_audio
from metaser.runtime.audio.raw_check import RawCheck
from metaser.runtime.errors import AudioError, InputError
from metaser.runtime.words import counted
from metaser.serve.answers import RefusedError
from metaser.serve.http.uploads import body_of, form_of, written, written_bytes
from metaser.serve.service import Service

RAW = "application/octet-stream"


async def classify(request: Request) -> JSONResponse:
    """A file as the field `file` of a form or as the body, or raw samples with their rate, format and channels."""
    service: Service = request.app.state.service
    query, limits = request.query_params, service.settings.limits
    profile = await service.of_request(service.profiles.get, query.get("profile"))
    profile = profile.answering(query.get("unknown", "calibrated"))  # type: ignore[arg-type] # checked there
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with form_of(request, limits) as form:
            uploads = [value for value in form.values() if isinstance(value, UploadFile)]
            if len(uploads) != 1:
                raise InputError(f"the form holds {counted(len(uploads), 'file')}: send one clip, in the field `file`")
            return JSONResponse(await service.of_request(_of_upload, service, profile, uploads[0]))
    content = await body_of(request, limits)
    if not content:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_input", "the body is empty: send a clip")
    if kind == RAW:
        raw = RawFormat(
            _whole("rate", query.get("rate"), SAMPLE_RATE_HZ),
            _whole("channels", query.get("channels"), 1),
            query.get("format", "s16le"),
        )
        return JSONResponse(await service.of_request(_of_samples, service, profile, content, raw))
    return JSONResponse(await service.of_request(_of_bytes, service, profile, content))


def _of_upload(service: Service, profile: Profile, upload: UploadFile) -> dict[str, Any]:
    with written({"clip": [upload]}) as folder:
        (path,) = (folder / "clip").iterdir()
        return _of_file(service, profile, path)


def _of_bytes(service: Service, profile: Profile, content: bytes) -> dict[str, Any]:
    with written_bytes(content) as path:
        return _of_file(service, profile, path)


def _of_file(service: Service, profile: Profile, path: Path) -> dict[str, Any]:
    loaded = read_audio(path)
    return _answer(service, profile, loaded.waveform, loaded.notices)


def _of_samples(service: Service, profile: Profile, content: bytes, form: RawFormat) -> dict[str, Any]:
    whole = len(content) // form.frame_bytes * form.frame_bytes
    samples, check = form.decode(content[:whole]), RawCheck(form)
    if better := check.better_format(content[:whole]):
        raise AudioError(
            f"the samples look like {better.sample_format} with {counted(better.channels, 'channel')} and are read as "
            f"{form.sample_format} with {form.channels}: state their format and channels"
        )
    if check.is_stereo(samples):
        raise AudioError("the clip repeats each sample: state channels=2 if it is stereo")
    downmix = Downmix(form.rate_hz, form.channels)
    mono = [downmix.push(samples), downmix.finish()]
    notices = [downmix.notice] if downmix.notice else []
    if whole < len(content):
        notices.append(f"it ended within a sample: its last {len(content) - whole} bytes were left out")
    loaded = read_array(np.concatenate(mono), "the clip", form.rate_hz)
    return _answer(service, profile, loaded.waveform, (*notices, *loaded.notices))


def _answer(service: Service, profile: Profile, waveform: Waveform, notices: tuple[str, ...]) -> dict[str, Any]:
    decision, doubts = service.engine.classify_with_doubts(waveform, profile)
    return {
        **decision.as_dict(),
        "duration_s": round(len(waveform) / SAMPLE_RATE_HZ, 3),
        "notices": [*notices, *doubts],
        "provider": service.engine.provider,
    }


def _whole(name: str, given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isdecimal() or len(given) > 9:
        raise InputError(f"{name} is {given!r}: give a whole number above 0")
    return int(given)
