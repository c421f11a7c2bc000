"""Chunks of work that are kept as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from molvis_core.errors import ConfigError
from molvis_files.chunks import kept_in, work_in_chunks


class _Doubling:
    """Doubles numbers, and counts those it was given; it dies of a number where it is told to."""

    def __init__(self, deadly: int | None = None) -> None:
        self.given: list[int] = []
        self.deadly = deadly

    def __call__(self, chunk: Sequence[int]) -> list[int]:
        if self.deadly in chunk:
            raise KeyboardInterrupt
        self.given += chunk
        return [2 * number for number in chunk]


def test_every_item_is_worked_on_once_and_kept_in_order(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    work = _Doubling()
    work_in_chunks(
        work, iter(range(8)), 8, tmp_path / "kept", size=3, what="doubled", processes=1,
        progress=lambda done, count: seen.append((done, count)),
    )  # fmt: skip
    assert work.given == list(range(8))
    assert list(kept_in(tmp_path / "kept")) == [2 * number for number in range(8)]
    assert seen == [(3, 8), (6, 8), (8, 8)]


def test_a_run_that_was_killed_goes_on_with_the_chunks_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        work_in_chunks(_Doubling(deadly=4), range(8), 8, tmp_path, size=3, what="doubled", processes=1)
    assert list(kept_in(tmp_path)) == [0, 2, 4]
    work, seen = _Doubling(), []
    work_in_chunks(
        work, range(8), 8, tmp_path, size=3, what="doubled", processes=1, progress=lambda done, _: seen.append(done)
    )
    assert work.given == [3, 4, 5, 6, 7]
    assert seen == [3, 6, 8]  # what is there is told before the rest takes its time
    seen.clear()
    work_in_chunks(
        work, range(8), 8, tmp_path, size=3, what="doubled", processes=1, progress=lambda done, _: seen.append(done)
    )
    assert seen == [8]  # a bar that is full, where all is done
    (tmp_path / "00001.json").unlink()
    work_in_chunks(work, range(8), 8, tmp_path, size=3, what="doubled", processes=1)
    assert work.given[5:] == [0, 1, 2]
    assert list(kept_in(tmp_path)) == [2 * number for number in range(8)]


def test_nothing_to_work_on_keeps_nothing(tmp_path: Path) -> None:
    work_in_chunks(_Doubling(), [], 0, tmp_path / "kept", size=3, what="doubled")
    assert list(kept_in(tmp_path / "kept")) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "00001.json").write_text("[1, ", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"00001\.json is damaged.*run the same command again"):
        list(kept_in(tmp_path))
