"""The ASGI application: middleware, API, health, metrics, docs and the page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import Request

from molvis_serve import __version__
from molvis_serve.api import router
from molvis_serve.middleware import Guard
from molvis_serve.pages import add_page
from molvis_serve.service import Service
from molvis_serve.settings import Settings
from molvis_serve.uploads import Refused

__all__ = ["create_app"]


def create_app(settings: Settings) -> Guard:
    """The application. Its lifespan starts and stops workers and jobs."""
    service = Service(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(
        title="molvis", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        summary="Names unknown molecules from what instruments measure.",
    )  # fmt: skip
    app.include_router(router(service))
    _add_health(app, service)
    _add_errors(app)
    if settings.docs:
        from molvis_serve.documentation import add_docs

        add_docs(app)
    if settings.page:
        add_page(app)
    return Guard(app, service)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health", tags=["service"])
    async def health() -> dict[str, str]:
        """Whether the server answers."""
        return {"status": "ok"}

    @app.get("/ready", tags=["service"])
    async def ready() -> Response:
        """Whether it can work. 503: not yet, or why it cannot."""
        if service.pool.ready:
            return JSONResponse({"status": "ready"})
        why = service.pool.problem or "the bundle and the libraries are being opened"
        return JSONResponse({"status": "not ready", "why": why}, status_code=503, headers={"retry-after": "2"})

    @app.get("/metrics", tags=["service"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_errors(app: FastAPI) -> None:
    def problem(request: Request, status: int, message: str, retry: int = 0) -> Response:
        content = {"error": message, "request_id": request.scope.get("state", {}).get("request_id", "")}
        return JSONResponse(content, status_code=status, headers={"retry-after": str(retry)} if retry else None)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return problem(request, error.status, error.message, error.retry)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return problem(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem(request, 422, f"{where}: {first['msg']}"[:500])
