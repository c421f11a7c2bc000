"""The endpoints below `/api/v1`."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import shutil
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.requests import Request

from molvis_files.routes import json_schema
from molvis_serve import __version__
from molvis_serve.calls import answer, called, fields_of, options_of, require_ready
from molvis_serve.jobs import FILES, INPUTS
from molvis_serve.operations import Operation, routes
from molvis_serve.schemas import FileInfo, Info, JobInfo, JobList, Problem, Progress
from molvis_serve.store import ENDED, Job
from molvis_serve.uploads import Body, Refused, put_files, read_body
from molvis_serve.worker import Task

if TYPE_CHECKING:
    from molvis_serve.service import Service

__all__ = ["PREFIX", "router"]

PREFIX = "/api/v1"
_FULL = 10
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": what}
    for status, what in (
        (401, "an API key is needed"),
        (413, "too large"),
        (415, "neither JSON nor a form"),
        (422, "the request cannot be done as it is"),
        (429, "too much at once from one asker; Retry-After says when to try again"),
        (503, "too much at once, or not ready; Retry-After says when to try again"),
    )
}
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "no such job, or file of it"}}
Id = Annotated[str, Path(min_length=1, max_length=64, description="of the job")]


def router(service: Service) -> APIRouter:
    """All endpoints of the API."""
    api = APIRouter(prefix=PREFIX, responses=_PROBLEMS)
    _add_info(api, service)
    _add_jobs(api, service)
    _add_results(api, service)
    _add_depict(api, service)
    for operation in routes().values():
        _add_call(api, service, operation)
    return api


def _add_info(api: APIRouter, service: Service) -> None:
    @api.get("/info", tags=["service"])
    async def info() -> Info:
        """What the service offers: operations with their options and files, what is opened, and limits."""
        names = (
            "max_upload", "max_call", "max_files", "call_seconds", "job_seconds", "max_queued", "max_queued_each",
            "keep_hours", "rate",
        )  # fmt: skip
        limits = {name: getattr(service.settings, name) for name in names}
        opened = service.pool.described
        described: list[Any] = [operation.describe(opened) for operation in routes().values()]
        return Info(
            version=__version__, ready=service.pool.ready, shared=opened, operations=described,
            limits=limits,
        )  # fmt: skip


def _job_info(service: Service, job: Job) -> JobInfo:
    results = []
    if job.state == "done":
        home = service.jobs.folder / job.id / FILES
        for path in service.jobs.files(job):
            name = path.relative_to(home).as_posix()
            url = f"{PREFIX}/jobs/{job.id}/files/{quote(name)}"
            results.append(FileInfo(name=name, bytes=path.stat().st_size, url=url))
    state: Any = job.state
    return JobInfo(
        id=job.id, operation=job.operation, title=job.title, options=dict(job.options),
        files={field: list(names) for field, names in job.files.items()}, state=state,
        ahead=service.jobs.store.ahead(job) if job.state == "queued" else None,
        created=job.created, started=job.started, ended=job.ended,
        expires=None if job.ended is None else job.ended + 3600 * service.settings.keep_hours,
        attempts=job.attempts, progress=Progress(done=job.done, total=job.total, what=job.what), problem=job.problem,
        results=results,
    )  # fmt: skip


def _found(service: Service, request: Request, identifier: str) -> Job:
    job = service.jobs.store.get(identifier)
    if job is None or job.owner != request.state.owner:
        raise Refused(404, "no such job; it may have expired")
    return job


def _add_jobs(api: APIRouter, service: Service) -> None:
    @api.post("/jobs", status_code=202, tags=["jobs"], openapi_extra=_job_form())
    async def submit(request: Request) -> JobInfo:
        """Queue a job: the operation, its options as JSON, a title, and files by their fields."""
        return _job_info(service, await _submitted(service, request))

    @api.get("/jobs", tags=["jobs"])
    async def jobs(
        request: Request,
        state: Literal["queued", "running", "done", "failed", "cancelled"] | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> JobList:
        """The jobs of this key, the newest first."""
        found = service.jobs.store.all(request.state.owner, state, limit)
        return JobList(jobs=[_job_info(service, job) for job in found])

    @api.get("/jobs/{identifier}", tags=["jobs"], responses=_MISSING)
    async def job(request: Request, identifier: Id) -> JobInfo:
        """One job."""
        return _job_info(service, _found(service, request, identifier))

    @api.delete("/jobs/{identifier}", tags=["jobs"], responses=_MISSING)
    async def cancel(request: Request, identifier: Id) -> JobInfo | None:
        """Cancel a job that waits or runs; forget one that has ended, with its files."""
        left = service.jobs.cancel(_found(service, request, identifier))
        return _job_info(service, left) if left else None

    @api.get(
        "/jobs/{identifier}/events", tags=["jobs"], response_class=StreamingResponse,
        responses=_MISSING | {200: {"content": {"text/event-stream": {}}, "description": "events `job`"}},
    )  # fmt: skip
    async def events(request: Request, identifier: Id) -> StreamingResponse:
        """The job now and after each change, as server-sent events of the type `job`, until it has ended."""
        _found(service, request, identifier)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_events(service, identifier), media_type="text/event-stream", headers=headers)


async def _events(service: Service, identifier: str) -> AsyncIterator[str]:
    async for job in service.jobs.changes(identifier):
        # A line without meaning keeps proxies from closing what is quiet.
        yield f"event: job\ndata: {_job_info(service, job).model_dump_json()}\n\n" if job else ": waiting\n\n"


async def _submitted(service: Service, request: Request, wanted: Operation | None = None) -> Job:
    """A new job: of the operation that is wanted, whose form is that of a call, or of the one that the form names."""
    store, settings = service.jobs.store, service.settings
    if store.count("queued") >= settings.max_queued:
        raise Refused(503, f"{settings.max_queued} jobs are waiting, which is the limit; try again later", _FULL)
    if shutil.disk_usage(settings.state).free < settings.least_free + settings.max_upload:
        raise Refused(503, "the service's disk is nearly full; try again later", _FULL)
    owner = request.state.owner
    if store.count("queued", owner) >= settings.max_queued_each:
        raise Refused(429, f"{settings.max_queued_each} jobs of yours are waiting, which is the limit", _FULL)
    body = await read_body(request, settings.max_upload, settings.max_files, settings.request_seconds)
    try:
        opened = service.pool.described
        if wanted is None:
            operation, options, title = _asked(body, opened)
        else:
            operation, options, title = wanted, fields_of(body, wanted, request, opened), ""
        identifier, folder = service.jobs.place()
        try:
            names = await put_files(body, operation.route, folder / INPUTS)
            return service.jobs.add(identifier, operation, options, names, owner=owner, title=title)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            raise
    finally:
        await body.close()


def _asked(body: Body, opened: Mapping[str, Any]) -> tuple[Operation, dict[str, Any], str]:
    """Operation, options and title of a job."""
    if others := sorted(set(body.fields) - {"operation", "options", "title"}):
        raise Refused(422, f"no field {others[0][:80]!r}; a job has operation, options, title, and files")
    name = body.fields.get("operation")
    operation = routes().get(name) if isinstance(name, str) else None
    if operation is None:
        raise Refused(422, f"no operation {str(name)[:80]!r}; there are: {', '.join(routes())}")
    title = body.fields.get("title", "")
    if not isinstance(title, str) or len(title) > 200:
        raise Refused(422, "title must be a text of at most 200 characters")
    return operation, options_of(operation, body.fields.get("options", {}), opened), title


def _add_results(api: APIRouter, service: Service) -> None:
    @api.get("/jobs/{identifier}/result", tags=["jobs"], responses=_MISSING)
    async def result(request: Request, identifier: Id) -> Response:
        """The answer of a job that is done, as JSON. 409: it is not done (yet)."""
        job = _found(service, request, identifier)
        if job.state != "done":
            ended = job.state in ENDED
            raise Refused(409, f"the job is {job.state}{': ' if job.problem else ''}{job.problem}", 0 if ended else 1)
        return FileResponse(service.jobs.result(job), media_type="application/json")

    @api.get("/jobs/{identifier}/files", tags=["jobs"], responses=_MISSING)
    async def files(request: Request, identifier: Id) -> list[FileInfo]:
        """The files that a job has made."""
        return _job_info(service, _found(service, request, identifier)).results

    @api.get("/jobs/{identifier}/files/{name:path}", tags=["jobs"], responses=_MISSING)
    async def file(
        request: Request, identifier: Id, name: str, inline: Annotated[bool, Query(description="to be shown")] = False
    ) -> Response:
        """One of them. It is sent to be kept, or, with `inline`, to be shown in a sandbox."""
        job = _found(service, request, identifier)
        path = service.jobs.file(job, name) if job.state == "done" else None
        if path is None:
            raise Refused(404, "the job has no such file")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        # A report may draw itself, but it is no page of this service: in an origin of its own, it can ask nobody.
        policy = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        policy += "img-src data:"
        return FileResponse(
            path, media_type=kind, filename=path.name, content_disposition_type="inline" if inline else "attachment",
            headers={"content-security-policy": policy},
        )  # fmt: skip


def _add_call(api: APIRouter, service: Service, operation: Operation) -> None:
    async def call(request: Request) -> Response:
        if operation.route.quick and "respond-async" not in request.headers.get("prefer", ""):
            return Response(await called(service, operation, request), media_type="application/json")
        job = _job_info(service, await _submitted(service, request, operation))
        headers = {"location": f"{PREFIX}/jobs/{job.id}"}
        return Response(job.model_dump_json(), 202, headers, "application/json")

    answers: dict[int | str, dict[str, Any]] = {202: {"model": JobInfo, "description": "a job, which it became"}}
    if operation.route.quick:
        answers[200] = {"description": "the answer", "content": {"application/json": {}}}

    api.add_api_route(
        f"/{operation.path}", call, methods=["POST"], name=operation.name, summary=operation.summary,
        tags=["operations"], openapi_extra=_call_form(operation),
        responses=answers, status_code=200 if operation.route.quick else 202,
    )  # fmt: skip


def _add_depict(api: APIRouter, service: Service) -> None:
    cache: Any = lru_cache(maxsize=1)(dict)()  # of this service, newest last

    @api.get("/depict", tags=["operations"], responses={200: {"content": {"image/svg+xml": {}}}})
    async def depict(
        request: Request,
        smiles: Annotated[str, Query(min_length=1, max_length=1000)],
        theme: Literal["light", "dark"] = "light",
    ) -> Response:
        """A structure as an SVG, for an `img`."""
        key = (smiles, theme)
        if key not in cache:
            require_ready(service)
            operation = routes()["depict"]
            options = options_of(operation, {"smiles": smiles, "theme": theme}, {})
            task = Task(request.state.request_id, "depict", options)
            cache[key] = json.loads(await answer(service, task))["svg"]
            while len(cache) > _DRAWINGS:
                cache.pop(next(iter(cache)))
        headers = {"cache-control": "private, max-age=86400", "content-security-policy": "default-src 'none'"}
        return Response(cache[key], media_type="image/svg+xml", headers=headers)


_DRAWINGS = 4096


def _upload_properties(operation: Operation) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    return {u.name: {"type": "array", "items": file, "description": u.help} for u in operation.route.files}


def _call_form(operation: Operation) -> dict[str, Any]:
    schema = json_schema(operation.route)
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if operation.route.files:
        properties = {"options": {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}}
        form = {"type": "object", "properties": properties | _upload_properties(operation)}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"content": content, "required": True}}


def _job_form() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "operation": {"type": "string", "enum": list(routes())},
        "options": {"type": "string", "description": "JSON, as `info` describes it for the operation"},
        "title": {"type": "string", "maxLength": 200},
    }
    plain = {"type": "object", "properties": properties | {"options": {"type": "object"}}, "required": ["operation"]}
    for operation in routes().values():
        properties |= _upload_properties(operation)
    form = {"type": "object", "properties": properties, "required": ["operation"]}
    content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": plain}}
    return {"requestBody": {"content": content, "required": True}}
