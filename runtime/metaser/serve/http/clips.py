"""`POST /v1/classify` and `/v1/quality`: a label for one clip, a file or samples, and how well it is recorded."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import numpy as np
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse

from metaser.runtime import Profile
from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.downmix import Downmix
from metaser.runtime.audio.formats.pcm import RawFormat
from metaser.runtime.audio.load import MAX_CLIP_S, LoadedAudio, read_array, read_audio
from metaser.runtime.audio.quality import measure
from metaser.runtime.audio.raw_check import RawCheck
from metaser.runtime.errors import AudioError, InputError
from metaser.runtime.words import counted
from metaser.serve.answers import RefusedError
from metaser.serve.http.uploads import body_of, form_of, written, written_bytes
from metaser.serve.service import Service

RAW = "application/octet-stream"


async def classify(request: Request) -> JSONResponse:
    """The label of a clip."""
    service: Service = request.app.state.service
    query = request.query_params
    profile = await service.of_lookup(service.profiles.get, query.get("profile"))
    profile = profile.answering(query.get("unknown", "calibrated"))  # type: ignore[arg-type] # checked there
    clip = await _clip_of(request, service)
    return JSONResponse(await service.of_request(_answer, service, profile, clip))


async def quality(request: Request) -> JSONResponse:
    """How well a clip is recorded, as enrolment would report it; a clip that enrolment refuses is refused."""
    service: Service = request.app.state.service
    clip = await _clip_of(request, service)
    return JSONResponse(await service.of_request(_quality, clip))


async def _clip_of(request: Request, service: Service) -> LoadedAudio:
    """A file as the field `file` of a form or as the body, or raw samples with their rate, format and channels."""
    query, limits = request.query_params, service.settings.limits
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with form_of(request, limits) as form:
            uploads = [value for value in form.values() if isinstance(value, UploadFile)]
            if len(uploads) != 1:
                raise InputError(f"the form holds {counted(len(uploads), 'file')}: send one clip, in the field `file`")
            return await service.of_request(_of_upload, uploads[0])
    content = await body_of(request, limits)
    if not content:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_input", "the body is empty: send a clip")
    if kind == RAW:
        raw = RawFormat(
            _whole("rate", query.get("rate"), SAMPLE_RATE_HZ),
            _whole("channels", query.get("channels"), 1),
            query.get("format", "s16le"),
        )
        return await service.of_request(_of_samples, content, raw)
    return await service.of_request(_of_bytes, content)


def _of_upload(upload: UploadFile) -> LoadedAudio:
    with written({"clip": [upload]}) as folder:
        (path,) = (folder / "clip").iterdir()
        return read_audio(path)


def _of_bytes(content: bytes) -> LoadedAudio:
    with written_bytes(content) as path:
        return read_audio(path)


def _of_samples(content: bytes, form: RawFormat) -> LoadedAudio:
    whole = len(content) // form.frame_bytes * form.frame_bytes
    if (duration_s := whole / form.frame_bytes / form.rate_hz) > MAX_CLIP_S:
        raise AudioError(f"the clip has {duration_s:.0f} s: send at most {MAX_CLIP_S:g} s, or a stream")
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
    return LoadedAudio(loaded.waveform, (*notices, *loaded.notices))


def _answer(service: Service, profile: Profile, clip: LoadedAudio) -> dict[str, Any]:
    decision, doubts = service.engine.classify_with_doubts(clip.waveform, profile)
    return {
        **decision.as_dict(),
        "duration_s": round(len(clip.waveform) / SAMPLE_RATE_HZ, 3),
        "notices": [*clip.notices, *doubts],
        "provider": service.engine.provider,
    }


def _quality(clip: LoadedAudio) -> dict[str, Any]:
    found = measure(clip.waveform)
    return {**asdict(found), "faults": found.faults(), "notices": list(clip.notices)}


def _whole(name: str, given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isdecimal() or len(given) > 9:
        raise InputError(f"{name} is {given!r}: give a whole number above 0")
    return int(given)
