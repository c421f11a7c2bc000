"""Arguments of components, read from their source."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

from molvis_core.signatures import read_parameters

SOURCE = """
from dataclasses import dataclass, field
import functools
from elsewhere import Base, WIDTH as WIDE, far
SIZES = (1, 2)
TWICE = 1
TWICE = 2

def plain(a, b: int = 3, *rest, c: str = "x", d: tuple[int, ...] = SIZES, e: int = WIDE, **more): ...
@functools.cache
def wrapped(a): ...
def computed(a: float = 1 / 3 + len(SIZES)): ...
def twice(a: int = TWICE): ...

class Own(Base):
    def __init__(self, dim: int = 8, *, width: float = -0.5): ...
class Inherited(Base): ...
class Bare:
    def __call__(self, x): ...
class Made(Base, metaclass=type):
    def __init__(self, a): ...
class Fresh:
    def __new__(cls, a): ...
    def __init__(self, *args): ...
@dataclass(frozen=True, kw_only=True)
class Fields:
    name: str
    size: int = 4
@dataclass
class Factory:
    sizes: list = field(default_factory=list)
"""
ELSEWHERE = """
WIDTH = 64
def far(z=None): ...
class Base:
    def __init__(self, nothing): ...
"""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "written.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("plain", {"a": inspect.Parameter.empty, "b": 3, "c": "x", "d": (1, 2), "e": 64}),
        ("far", {"z": None}),
        ("Own", {"dim": 8, "width": -0.5}),
        ("Bare", {}),
        ("Fields", {"name": inspect.Parameter.empty, "size": 4}),
        *((name, None) for name in ("wrapped", "computed", "twice", "Inherited", "Made", "Fresh", "Factory", "absent")),
    ],
)
def test_what_the_source_says_plainly_is_read_and_the_rest_is_left(name: str, wanted: dict[str, Any] | None) -> None:
    found = read_parameters(f"written:{name}")
    assert (found and {n: p.default for n, p in found.items()}) == wanted
    assert "written" not in sys.modules


@pytest.mark.parametrize("target", ["nowhere:a", "written.deeper:a", "math:sqrt", "json:dumps.absent"])
def test_a_module_without_a_source_is_left_to_the_import(target: str) -> None:
    assert read_parameters(target) is None


def test_a_module_that_changes_is_read_again(tmp_path: Path) -> None:
    import os

    assert list(read_parameters("elsewhere:far") or ()) == ["z"]
    (tmp_path / "elsewhere.py").write_text("def far(y): ...", encoding="utf-8")
    os.utime(tmp_path / "elsewhere.py", ns=(1, 1))
    assert list(read_parameters("elsewhere:far") or ()) == ["y"]
