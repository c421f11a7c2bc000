"""Operations that are waited for: the request stays open until its answer is there."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from molvis_core.errors import ConfigError
from molvis_files.routes import checked_options
from molvis_serve.operations import Operation
from molvis_serve.pool import Cancelled, Failed, Lost, TimedOut
from molvis_serve.uploads import Body, Refused, parsed_json, put_files, read_body
from molvis_serve.worker import Task

if TYPE_CHECKING:
    from molvis_serve.service import Service

__all__ = ["answer", "called", "fields_of", "options_of", "require_ready"]

_BUSY = 2
_NOT_READY = 5


def options_of(operation: Operation, given: Any, opened: Mapping[str, Any]) -> dict[str, Any]:
    """Checked options; `opened` is what the workers tell of what they have opened.

    Raises:
        Refused: an option that there is not, or a value that it does not take.
    """
    if isinstance(given, str):
        given = parsed_json(given) if given.strip() else {}
    if not isinstance(given, Mapping):
        raise Refused(422, "options must be a JSON object")
    try:
        return checked_options(operation.route, given, opened)
    except ConfigError as error:
        raise Refused(422, f"{operation.name}: {error}") from error


def fields_of(body: Body, operation: Operation, request: Request, opened: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call: all of a JSON object, or the field `options` of a form.

    Raises:
        Refused: see `options_of`.
    """
    if not request.headers.get("content-type", "").startswith("multipart/"):
        return options_of(operation, body.fields, opened)
    if others := sorted(set(body.fields) - {"options"}):
        raise Refused(422, f"no field {others[0][:80]!r}; send options as one field, JSON, and files by their field")
    return options_of(operation, body.fields.get("options", {}), opened)


def require_ready(service: Service) -> None:
    """Raise `Refused` while no worker can work."""
    if not service.pool.ready:
        raise Refused(503, "the service is still opening its bundle and libraries; try again soon", _NOT_READY)


async def called(service: Service, operation: Operation, request: Request) -> bytes:
    """The answer to a call, as JSON.

    Raises:
        Refused: for any reason why there is none.
    """
    require_ready(service)
    if service.pool.waiting >= service.settings.max_waiting:
        raise Refused(503, f"{service.pool.waiting} calls are waiting; try again in some seconds", _BUSY)
    settings = service.settings
    body = await read_body(request, settings.max_call, settings.max_files, settings.request_seconds)
    folder = service.settings.state / "calls" / secrets.token_hex(8)
    try:
        return await _worked_out(service, operation, request, body, folder)
    finally:
        await body.close()
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder, True)


async def _worked_out(service: Service, operation: Operation, request: Request, body: Body, folder: Path) -> bytes:
    options = fields_of(body, operation, request, service.pool.described)
    names = await put_files(body, operation.route, folder / "inputs")
    (folder / "work").mkdir(parents=True, exist_ok=True)
    files = {
        field: [folder / "inputs" / field / str(n) / name for n, name in enumerate(some)]
        for field, some in names.items()
    }
    most = service.settings.max_call
    task = Task(secrets.token_hex(8), operation.name, options, files, folder / "work", unpacked=most)
    return await answer(service, task, request)


async def answer(service: Service, task: Task, request: Request | None = None) -> bytes:
    """What a worker answers to a call; a caller who goes away takes the call along.

    Raises:
        Refused: the operation refuses the request, takes too long, or fails.
    """
    seconds = service.settings.call_seconds
    working = asyncio.ensure_future(service.pool.run(task, "call", seconds, lambda done, total, what: None))
    leaving = asyncio.ensure_future(_left(request)) if request is not None else None
    try:
        await asyncio.wait([one for one in (working, leaving) if one], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            service.pool.cancel(task.id)
        return await working
    except Failed as error:
        raise Refused(422 if error.by_request else 500, str(error)) from error
    except TimedOut as error:
        raise Refused(503, f"{error}; send it as a job, or try again when there is less to do", _BUSY) from error
    except Lost as error:
        raise Refused(503, f"{error}; try again", _BUSY) from error
    except Cancelled as error:
        raise Refused(499, "the caller went away") from error
    finally:
        for one in (working, leaving):
            if one is not None and not one.done():
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await one


async def _left(request: Request) -> None:
    """End when the caller has gone away."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.25)
