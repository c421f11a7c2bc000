"""A service with routes of its own: no bundle, no library, and workers that start at once."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from molvis_core import Component
from molvis_core.testing import offer


@pytest.fixture(scope="session")
def toys() -> Iterator[None]:
    """The toy routes, and no others."""
    from molvis_serve.operations import routes

    named = {"echo": "ECHO", "toy-count": "COUNT"}
    some = [Component("route", name, f"toy_routes:{at}", "For tests.") for name, at in named.items()]
    with offer(*some, hide=("*",)):
        routes.cache_clear()
        yield
    routes.cache_clear()


def service(state: Path, **given: Any) -> Any:
    """A client of a service in this process, whose workers are ready."""
    from starlette.testclient import TestClient

    from molvis_serve import Settings, create_app

    values: dict[str, Any] = {"workers": 1, "state": state, "grace_seconds": 0.2} | given
    return TestClient(create_app(Settings.read({}, **values)), raise_server_exceptions=False)


def until_ready(client: Any) -> Any:
    """Wait for a worker."""
    until = time.monotonic() + 60
    while client.get("/ready").status_code != 200:
        why = client.get("/ready").json().get("why", "")
        assert time.monotonic() < until, why
        assert "Error" not in why, why
        time.sleep(0.02)
    return client


@pytest.fixture(scope="module")
def client(toys: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Any]:
    """One service for the tests of a module that leave it as it is."""
    with service(tmp_path_factory.mktemp("state"), workers=2) as opened:
        yield until_ready(opened)
