"""Every parser on damaged files: records or an error of molvis come out, whatever was done to the file."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import fuzz
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molvis_core.errors import MolvisError, ReadError
from molvis_core.records import Measurement
from molvis_core.testing.fuzzing import Target, reader_targets, seeds_of
from molvis_core.testing.mutations import mutate

CORPUS = Path(__file__).parent / "corpus"
FEW = 6
"""Files of each kind that are damaged, the smallest: large ones take long to read and are damaged by `make fuzz`."""


def _read(target: Target, path: Path) -> list[object]:
    found = target.load()(path)
    return list(found) if isinstance(found, Iterator) else [found]


@pytest.mark.full
@pytest.mark.parametrize("target", fuzz.targets(), ids=lambda target: target.name)
@given(rng=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_file_gives_records_or_an_error_of_molvis(
    tmp_path_factory: pytest.TempPathFactory, target: Target, rng: random.Random
) -> None:
    seeds = sorted(seeds_of(target, CORPUS), key=lambda p: p.stat().st_size)[:FEW]
    path = tmp_path_factory.mktemp("damaged") / rng.choice(seeds).name
    path.write_bytes(mutate(rng, rng.choice(seeds).read_bytes(), [p.read_bytes() for p in seeds]))
    of_records = target.name in {t.name for t in reader_targets()}
    allowed: type[Exception] = ReadError if of_records else MolvisError
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of other people's parsers
        try:
            items = _read(target, path)
        except allowed:
            return
    assert not of_records or all(isinstance(item, (Measurement, ReadError)) for item in items)
