"""Uploaded files: bounded in size and time, written into a folder that is deleted with the answer."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory, gettempdir

import anyio
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
"""Of temporary folders; the number of the process follows."""


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
    with TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
        for label, uploads in files.items():
            own = Path(folder) / label
            own.mkdir(exist_ok=True)
            numbers: Counter[str] = Counter()
            for upload in uploads:
                path = _free(own, _base_name(upload.filename or ""), numbers)
                with open_new(path) as file:
                    shutil.copyfileobj(upload.file, file)
        try:
            yield Path(folder)
        except InputError as error:
            raise without_place(error, folder, "the form") from error


@contextmanager
def written_bytes(content: bytes) -> Iterator[Path]:
    """A file of these bytes, until the block ends."""
    with TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
        path = Path(folder) / "clip"
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


def sweep_uploads() -> None:
    """Delete what processes of this user left that were killed while they had uploads."""
    for folder in Path(gettempdir()).glob(f"{PREFIX}*-*"):
        process = folder.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(OSError):  # another process sweeps too
            if process.isdecimal() and folder.stat().st_uid == os.getuid() and not _is_alive(int(process)):
                shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
