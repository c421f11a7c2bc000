"""Requests with files: parsed within limits, and put into one folder under harmless names."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from molvis_files.routes import Route, Upload
from molvis_serve.names import harmless

__all__ = ["Body", "Refused", "put_files", "read_body"]

_FIELD = 4 * 1024 * 1024
"""Bytes of a field that is no file."""
_BLOCK = 1024 * 1024
_DEPTH = 64
"""Brackets within brackets of JSON; the parser itself would give up with a RecursionError."""


class Refused(Exception):  # noqa: N818 - what happened to a request
    """A request that is refused.

    Attributes:
        status: of the answer.
        message: for people.
        retry: seconds after which it may be tried again; 0 where that makes no sense.
    """

    def __init__(self, status: int, message: str, retry: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.retry = status, message, retry


@dataclass(frozen=True, slots=True)
class Body:
    """What a request holds.

    Attributes:
        fields: JSON values of fields; texts where they are no JSON.
        files: by field.
    """

    fields: Mapping[str, Any]
    files: Mapping[str, list[UploadFile]]

    async def close(self) -> None:
        """Close the files."""
        for some in self.files.values():
            for file in some:
                await file.close()


async def read_body(request: Request, most: int, files: int, seconds: float) -> Body:
    """The fields and files of a request, as JSON or as a form.

    Args:
        request: the request.
        most: bytes that it may have.
        files: most files.
        seconds: that it may take to arrive.

    Raises:
        Refused: it is too large, too slow, or malformed.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _body(request, most, files)
    except TimeoutError as error:
        raise Refused(408, f"the request did not arrive within {seconds:g} s") from error


async def _body(request: Request, most: int, files: int) -> Body:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    stream = _counted(request, most)
    try:
        if kind == "multipart/form-data":
            parser = _Form(request.headers, stream, max_files=files, max_fields=50, max_part_size=_FIELD)
            form = await parser.parse()
            return _sorted(list(form.multi_items()))
        if kind in ("application/json", ""):
            text = b"".join([chunk async for chunk in stream])
            found = parsed_json(text) if text.strip() else {}
            if not isinstance(found, dict):
                raise Refused(422, "the body must be a JSON object")
            return Body(found, {})
    except MultiPartException as error:
        raise Refused(422, f"the form cannot be read: {error.message}") from error
    except ClientDisconnect as error:
        raise Refused(400, "the request ended early") from error
    raise Refused(415, f"send application/json or multipart/form-data, not {kind[:80]!r}")


class _Form(MultiPartParser):
    """A form that must end as one. Starlette takes a form that is cut off for one without its last part."""

    ended = False

    def on_end(self) -> None:
        super().on_end()
        self.ended = True

    async def parse(self) -> FormData:
        found = await super().parse()
        if not self.ended:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it is cut off before its closing boundary")
        return found


async def _counted(request: Request, most: int) -> AsyncGenerator[bytes]:
    declared = request.headers.get("content-length", "")
    too_large = Refused(413, f"the request is larger than {most} bytes, which is the limit")
    if declared.isdigit() and len(declared) < 20 and int(declared) > most:
        raise too_large
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large
        yield chunk


def _sorted(items: list[tuple[str, Any]]) -> Body:
    fields: dict[str, Any] = {}
    files: dict[str, list[UploadFile]] = {}
    for name, value in items:
        if isinstance(value, UploadFile):
            files.setdefault(name, []).append(value)
        else:
            fields[name] = value
    return Body(fields, files)


def parsed_json(text: bytes | str) -> Any:
    """JSON, without numbers that are none.

    Raises:
        Refused: it is none.
    """

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refused(422, f"the JSON cannot be read: {str(error)[:200]}") from error


async def put_files(body: Body, route: Route, folder: Path) -> dict[str, list[str]]:
    """Write the files of a request into `folder/FIELD/NUMBER/NAME`, and return their names by field.

    Raises:
        Refused: a field that the route does not have, too few or too many files, or another ending.
    """
    known = {upload.name: upload for upload in route.files}
    for name in body.files:
        if name not in known:
            raise Refused(422, f"no files are taken as {name[:80]!r}; there are: {', '.join(known) or 'none'}")
    names: dict[str, list[str]] = {}
    for name, upload in known.items():
        given = body.files.get(name, [])
        if not upload.least <= len(given) <= upload.most:
            raise Refused(422, f"{name}: {upload.least} to {upload.most} files are taken, got {len(given)}")
        names[name] = [_name(upload, file.filename or "") for file in given]
    for name, some in names.items():
        for number, (file, own) in enumerate(zip(body.files.get(name, []), some, strict=True)):
            place = folder / name / str(number) / own
            place.parent.mkdir(parents=True, exist_ok=True)
            await run_in_threadpool(_copy, file, place)
    return {name: some for name, some in names.items() if some}


def _name(upload: Upload, given: str) -> str:
    name = harmless(given)
    ending = name.lower().removesuffix(".gz")
    if upload.suffixes and not ending.endswith(upload.suffixes):
        raise Refused(422, f"{upload.name}: {name!r} has none of the endings {', '.join(upload.suffixes)}")
    return name


def _copy(file: UploadFile, place: Path) -> None:
    file.file.seek(0)
    with place.open("wb") as out:
        shutil.copyfileobj(file.file, out, _BLOCK)
