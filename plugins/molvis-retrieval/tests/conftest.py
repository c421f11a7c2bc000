"""What most tests of identification start from: a bundle that knows its answers, and an index of its structures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import barcode
import pytest

from molvis_core.testing import offer
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.index import Index


@pytest.fixture(scope="module")
def toys() -> Iterator[None]:
    """The components of `barcode` are found, by all tests of a module that ask for one of these fixtures."""
    with offer(barcode.PLUGIN):
        yield


@pytest.fixture
def bundle(toys: None, tmp_path: Path) -> Bundle:
    return barcode.make_bundle(tmp_path / "bundle")


@pytest.fixture
def index(bundle: Bundle, tmp_path: Path) -> Index:
    return barcode.make_index(bundle, tmp_path / "index")
