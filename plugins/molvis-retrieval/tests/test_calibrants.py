"""Scorers that correct for what a laboratory measures differently, by compounds that it knows."""

# ruff: noqa: F811 - fixtures have the names of arguments
from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from barcode import BUTANOL, make_bundle
from test_several import Sized, bundle, index, number, size, toys  # noqa: F401 - fixtures

from molvis_core.errors import BundleError, ReadError
from molvis_core.records import Structure, Value
from molvis_retrieval.bundle import Bundle, load_bundle
from molvis_retrieval.channels import TakesCalibrants
from molvis_retrieval.commands.identify import identify as command
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index


class Corrected(Sized):
    """Takes an offset from a file."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    @property
    def calibrated(self) -> str:
        return f"all {self.offset:+g}" if self.offset else ""

    def with_calibrants(self, path: Path) -> Corrected:
        try:
            return Corrected(float(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ReadError(path, "no number") from error

    def __call__(self, query: Value, candidates: Sequence[Structure]) -> np.ndarray:
        return np.array([[-0.5 * (query.value - size(c) - self.offset) ** 2] for c in candidates]).reshape(-1, 1)


@pytest.fixture
def correcting(bundle: Bundle) -> Bundle:
    """The bundle with a scorer that takes calibrants."""
    channels = copy.copy(bundle.channels)
    (channel,) = channels.scorers.values()
    object.__setattr__(channel, "scorer", Corrected())
    return bundle


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "known.txt").write_text("4", encoding="utf-8")
    return tmp_path / "known.txt"


def test_a_copy_of_the_bundle_is_corrected(correcting: Bundle, index: Index, table: Path) -> None:
    assert isinstance(Corrected(), TakesCalibrants)
    assert not isinstance(Sized(), TakesCalibrants)
    own = correcting.with_calibrants(table)
    assert (correcting.channels.calibrated, own.channels.calibrated) == ("", "ccs: all +4")
    assert own.digest == correcting.digest
    high = number(BUTANOL, error=4.0)
    (plain,), (found,) = (identify(one, [high], index, mass=BUTANOL.exact_mass) for one in (correcting, own))
    assert found.truth_rank == 1
    truth = [next(c for c in one.candidates if c.structure.inchikey14 == BUTANOL.inchikey14) for one in (plain, found)]
    assert truth[0].evidence["ccs"] == pytest.approx(-8.0)
    assert truth[1].evidence["ccs"] == pytest.approx(0.0)


def test_a_bundle_without_such_a_scorer_says_so(tmp_path: Path, table: Path) -> None:
    with pytest.raises(BundleError, match="has no scorer that takes calibrants"):
        make_bundle(tmp_path / "plain").with_calibrants(table)


def test_the_command_and_its_report_say_what_was_corrected(
    bundle: Bundle,
    index: Index,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Sized, "with_calibrants", lambda _, path: Corrected().with_calibrants(path), raising=False)
    monkeypatch.setattr(Sized, "calibrated", "", raising=False)
    page = tmp_path / "page.html"
    options = {"library": [index.path], "bundle": str(bundle.path), "html": page, "mass": BUTANOL.exact_mass}
    command(ccs=[f"[M+H]+={size(BUTANOL) + 4}"], calibrants=table, **options)
    assert "calibrants: ccs: all +4" in capsys.readouterr().err
    assert "<dt>calibrants</dt><dd>ccs: all +4" in page.read_text(encoding="utf-8")
    command(ccs=[f"[M+H]+={size(BUTANOL) + 4}"], **options)
    assert "<dt>calibrants</dt>" not in page.read_text(encoding="utf-8")
    with pytest.raises(ReadError, match="no such file"):
        command(ccs=["[M+H]+=120"], calibrants=tmp_path / "absent.csv", **options)
    table.write_text("none", encoding="utf-8")
    with pytest.raises(ReadError, match="no number"):
        command(ccs=["[M+H]+=120"], calibrants=table, **options)
    assert not load_bundle(bundle.path).channels.calibrated
