"""The page of the service: files of this package at `/`, and what all pages of molvis share below `/shared`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from molvis_files.web import FOLDER

__all__ = ["add_page"]


class _Files(StaticFiles):
    """Files that a browser may keep, but asks about each time: another version of the service has others."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def add_page(app: FastAPI) -> None:
    """Serve the page."""
    colours = Path(str(files("molvis_core") / "templates" / "colours.css"))

    @app.get("/shared/colours.css", include_in_schema=False)
    async def shared_colours() -> Response:
        return FileResponse(colours, media_type="text/css", headers={"cache-control": "no-cache"})

    app.mount("/shared", _Files(directory=Path(str(FOLDER))), name="shared")
    app.mount("/", _Files(directory=Path(str(files("molvis_serve") / "page")), html=True), name="page")
