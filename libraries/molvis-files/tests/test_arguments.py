"""Arguments of a command line that name a folder, or something that a plugin ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from molvis_core.errors import ConfigError
from molvis_core.testing import offer
from molvis_files.arguments import folder_of

SHIPPED = Path("somewhere/that/is/shipped")
MAKE = "Make one with: molvis references build"


@pytest.fixture(autouse=True)
def offered() -> Iterator[None]:
    with offer(references={"acme": SHIPPED}):
        yield


def test_a_name_means_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme").mkdir()
    assert folder_of("references", "acme", make=MAKE) == SHIPPED
    assert folder_of("references", "./acme", make=MAKE) == Path("acme")


def test_a_path_means_itself(tmp_path: Path) -> None:
    assert folder_of("references", tmp_path, make=MAKE) == tmp_path


def test_neither_is_told_with_what_there_is(tmp_path: Path) -> None:
    message = r"no references 'acne': no such folder\. Did you mean .*acme.*Shipped: .*acme.*Make one with"
    with pytest.raises(ConfigError, match=message):
        folder_of("references", "acne", make=MAKE)
