"""What the tests of all packages share, and how the code in the documentation is run."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import jaxtyping
import pytest
import shared
import typecheck

# Tests are small: threads of their own would only fight with those of the tests beside them. Those of Numba wait for
# each other with the processor busy, which takes thirty times as long as the work.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

shared.name_the_run()
typecheck.skip_functions_without_arrays()

# How long an input takes to be made says how busy the machine is.
if find_spec("hypothesis"):
    from hypothesis import HealthCheck, settings

    settings.register_profile("molvis", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("molvis")

# A package that is tested alone has no documentation to run, and no Sybil.
if find_spec("sybil"):
    import pages

    pytest_collect_file = pages.COLLECTOR.pytest()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from modules and tests: half a million objects that stay as long as the process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long wherever it is: the documentation's code, and the contract's test of intervals."""
    for item in items:
        documentation = item.path.is_relative_to(Path(__file__).parent / "docs")
        if documentation or item.name == "test_intervals_cover_the_truth_as_often_as_they_claim":
            item.add_marker("full")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Delete what the processes of this run shared, when the last of them has ended."""
    if not hasattr(session.config, "workerinput"):
        shared.forget()


@pytest.fixture
def unchecked_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off jaxtyping's check, for a test of what our own code says of arrays whose shapes do not fit."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
