"""Work by processes of Ray: the same results as here, and what one that is killed leaves undone is done."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from barcode import STRUCTURES, measurement
from test_annotation import FEATURE
from test_partitioned import Killed, barcode_on_path, build, files

from molvis_core.errors import ConfigError
from molvis_files.parallel import in_parallel
from molvis_lcms.records import FeatureTable
from molvis_retrieval.annotation import annotate
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.index import Index

ray = pytest.importorskip("ray", reason="Ray is an extra: molvis-retrieval[ray]")
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray with two processors, which takes some seconds to start; what is tested connects to it."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), barcode_on_path():
        warnings.simplefilter("ignore")  # Ray's own
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()
        gc.collect()  # what Ray forgets to wait for, while nobody minds


def double(number: int) -> int:
    """Work on a number."""
    if number < 0:
        raise ValueError(f"{number} is refused")
    return 2 * number


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(**options: object) -> None:
        raise ConnectionError(f"nothing answers at {options['address']}")

    monkeypatch.setattr(ray, "init", absent)
    with pytest.raises(ConfigError, match="no Ray at address '10.0.0.1:6379': nothing answers"):
        list(in_parallel(double, [1], 1, what="doubled", engine="ray", address="10.0.0.1:6379"))


def test_results_come_in_order_and_errors_are_raised_here(cluster: None) -> None:
    assert list(in_parallel(double, range(30), 30, what="doubled", engine="ray", processes=2)) == [*range(0, 60, 2)]
    with pytest.raises(ValueError, match="-1 is refused"):
        list(in_parallel(double, [1, -1], 2, what="doubled", engine="ray", processes=2))


def test_ray_writes_the_same_bytes_and_makes_up_for_a_process_that_is_killed(
    cluster: None, bundle: Bundle, tmp_path: Path
) -> None:
    build(bundle, tmp_path / "here")
    (tmp_path / "mark").mkdir()
    dying = Killed(bundle, tmp_path / "mark", times=1)
    build(dying, tmp_path / "there", engine="ray", processes=2)
    assert len(list((tmp_path / "mark").iterdir())) >= 1, "a process was killed"
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_features_are_annotated_as_they_are_here(cluster: None, bundle: Bundle, index: Index, tmp_path: Path) -> None:
    features = []
    for number, one in enumerate(STRUCTURES[:4]):
        record = measurement(one, adduct=None).record
        own = {"spectra": (record,), "merged": record, "adducts": ()}
        features.append(replace(FEATURE, identifier=str(number), mz=record.precursor_mz, **own))
    table = FeatureTable(tuple(features), ("a.mzML",))
    for name, options in {"here": {"engine": "local"}, "there": {"engine": "ray", "processes": 2}}.items():
        (tmp_path / name).mkdir()
        annotate(bundle, index, table, tmp_path / name, options={"ppm": 10.0, "top": 3}, **options)
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert files(tmp_path / "here")
