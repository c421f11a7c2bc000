"""What is made of texts once, and kept."""

from __future__ import annotations

import os
import pickle

import pytest

from molvis_files.kept import Kept

MADE: list[str] = []


def _make(key: str) -> str:
    if key == "bad":
        raise ValueError(f"this is refused: {key!r}")
    MADE.append(key)
    return key.upper()


def _process(key: str) -> int:
    return os.getpid()


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    MADE.clear()


def test_each_key_is_made_once_however_it_is_asked_for() -> None:
    kept = Kept(_make, 10)
    kept.prepare(["a", "b", "a"])
    assert [kept(key) for key in "abca"] == ["A", "B", "C", "A"]
    kept.prepare("abcd")
    assert MADE == ["a", "b", "c", "d"]
    assert "d" in kept
    assert "e" not in kept


def test_what_is_kept_is_bounded() -> None:
    kept = Kept(_make, 4)
    kept.prepare("abcdefgh")
    assert len(kept) == 4
    assert [kept(key) for key in "abcdefgh"] == list("ABCDEFGH")
    assert len(kept) <= 4
    kept.prepare("xy")
    assert len(kept) <= 4
    assert "y" in kept


def test_it_travels_without_what_it_keeps() -> None:
    kept = Kept(_make, 10)
    kept.prepare("abc")
    there = pickle.loads(pickle.dumps(kept))
    assert len(there) == 0
    assert there("a") == "A"
    assert len(kept) == 3


def test_progress_ends_at_what_there_is_to_do() -> None:
    kept = Kept(_make, 10)
    seen: list[tuple[int, int]] = []
    kept.prepare("abcde", chunk=2, progress=lambda done, count: seen.append((done, count)))
    kept.prepare("abc", progress=lambda done, count: seen.append((done, count)))
    assert seen == [(2, 5), (4, 5), (5, 5), (3, 3)]


def test_a_key_that_is_refused_raises_and_the_others_stay() -> None:
    kept = Kept(_make, 10)
    with pytest.raises(ValueError, match="refused: 'bad'"):
        kept.prepare(["a", "bad", "b"])
    with pytest.raises(ValueError, match="refused: 'bad'"):
        kept("bad")
    assert "a" in kept
    assert "bad" not in kept


@pytest.mark.full
def test_many_keys_are_made_by_other_processes() -> None:
    kept = Kept(_process, 100)
    kept.prepare([str(number) for number in range(12)], processes=2, few=4, chunk=2)
    assert os.getpid() not in {kept(str(number)) for number in range(12)}
