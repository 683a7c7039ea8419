"""Uploaded files: bounded in size and time, written into a folder that is deleted with the answer."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory, gettempdir

import anyio
from filelock import FileLock, Timeout
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from metaser.runtime.enrolment.labels import check_label
from metaser.runtime.errors import InputError
from metaser.runtime.system.files import open_new, replace_file
from metaser.serve.answers import RefusedError
from metaser.serve.profiles import without_place
from metaser.serve.settings import Limits

MOST_FILES = 2000
LONGEST_NAME_BYTES = 200
PREFIX = "metaser-upload-"
"""Of temporary folders."""

LOCK = "lock"
YOUNG_S = 60.0
"""A folder is not swept before this age: it may not be locked yet."""


def bounded(request: Request, limits: Limits) -> Request:
    """The request, whose body is refused beyond the limit.

    Raises:
        RefusedError: the stated length is beyond it.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limits.upload_bytes:
        raise _too_large(limits)
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > limits.upload_bytes:
            raise _too_large(limits)
        return message

    return Request(request.scope, receive)


def _too_large(limits: Limits) -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"a request has {limits.upload_bytes >> 20} MiB at most"
    )


@asynccontextmanager
async def form_of(request: Request, limits: Limits) -> AsyncIterator[FormData]:
    """The fields and files of a form.

    Raises:
        RefusedError: it is no form, too large, or too slow.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_type", "send the files as multipart/form-data")
    form = None
    try:
        with anyio.move_on_after(limits.upload_s):
            form = await bounded(request, limits).form(max_files=MOST_FILES, max_fields=MOST_FILES)
    except HTTPException as error:
        raise RefusedError(error.status_code, "form", f"the form cannot be read: {error.detail}") from error
    except (LookupError, UnicodeError) as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, "form", f"the form cannot be read ({error}): name its fields in UTF-8"
        ) from error
    if form is None:
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "slow", f"the body took more than {limits.upload_s:g} s")
    try:
        yield form
    finally:
        await form.close()


async def body_of(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        RefusedError: it is too large or too slow.
    """
    with anyio.move_on_after(limits.upload_s):
        return await bounded(request, limits).body()
    raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "slow", f"the body took more than {limits.upload_s:g} s")


def files_by_label(form: FormData) -> dict[str, list[UploadFile]]:
    """The files of a form, whose fields are named by label.

    Raises:
        InputError: there are none, or a field is no file or has no valid name.
    """
    found: dict[str, list[UploadFile]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            raise InputError(f"the field {name} is no file: send clips as files, in fields named by their label")
        label = check_label(name)
        if not _is_folder_name(label):
            raise InputError(f"the label {label!r} cannot be used here: leave out slashes, and begin with a letter")
        found.setdefault(label, []).append(value)
    if not found:
        raise InputError("the form holds no files: send clips as files, in fields named by their label")
    return found


@contextmanager
def written(files: Mapping[str, list[UploadFile]]) -> Iterator[Path]:
    """A folder LABEL/FILE of uploaded files, until the block ends."""
    with _folder() as folder:
        for label, uploads in files.items():
            own = folder / label
            own.mkdir(exist_ok=True)
            numbers: Counter[str] = Counter()
            for upload in uploads:
                path = _free(own, _base_name(upload.filename or ""), numbers)
                with open_new(path) as file:
                    shutil.copyfileobj(upload.file, file)
        try:
            yield folder
        except InputError as error:
            raise without_place(error, str(folder), "the form") from error


@contextmanager
def written_bytes(content: bytes) -> Iterator[Path]:
    """A file of these bytes, until the block ends."""
    with _folder() as folder:
        path = folder / "clip"
        replace_file(path, content)
        yield path


def _is_folder_name(label: str) -> bool:
    return not set(label) & {"/", "\0"} and not label.startswith(".") and len(os.fsencode(label)) <= LONGEST_NAME_BYTES


def _base_name(name: str) -> str:
    """The last part of a client's file name, which is data and never a path."""
    base = PurePosixPath(PureWindowsPath(name.replace("\0", "")).name).name.lstrip(".")
    while len(os.fsencode(base)) > LONGEST_NAME_BYTES:
        base = base[1:]
    return base or "clip"


def _free(folder: Path, name: str, numbers: Counter[str]) -> Path:
    """A path in the folder that is not taken; `numbers` counts the files of each name."""
    path = folder / name
    while path.exists():
        numbers[name] += 1
        path = folder / f"{Path(name).stem} {numbers[name] + 1}{Path(name).suffix}"
    return path


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that is locked while it is in use, so that one of a killed process can be recognised."""
    with TemporaryDirectory(prefix=PREFIX) as outer, FileLock(Path(outer) / LOCK, timeout=0):
        folder = Path(outer) / "clips"
        folder.mkdir()
        yield folder


def sweep_uploads() -> None:
    """Delete what processes of this user left that were killed while they had uploads."""
    user = getattr(os, "getuid", int)()
    for folder in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):  # it is in use, or another process sweeps too
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == user and time.time() - found.st_mtime > YOUNG_S:
                with FileLock(folder / LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
