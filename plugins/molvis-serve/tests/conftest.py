"""A service with routes of its own: no bundle, no library, and workers that start at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from services import service, until_ready

from molvis_core import Component
from molvis_core.testing import offer


@pytest.fixture(scope="module")
def toys() -> Iterator[None]:
    """The toy routes, and no others, for one module: other packages' tests may run in the same process."""
    from molvis_serve.operations import routes

    named = {"echo": "ECHO", "toy-count": "COUNT"}
    some = [Component("route", name, f"toy_routes:{at}", "For tests.") for name, at in named.items()]
    with offer(*some, hide=("*",)):
        routes.cache_clear()
        yield
    routes.cache_clear()


@pytest.fixture(scope="module")
def client(toys: None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Any]:
    """One service for the tests of a module that leave it as it is."""
    with service(tmp_path_factory.mktemp("state"), workers=2) as opened:
        yield until_ready(opened)
