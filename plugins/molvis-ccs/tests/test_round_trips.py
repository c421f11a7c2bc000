"""Cross sections come out of a table as they went in, whatever its delimiter, its decimal sign and its unit."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_ccs.readers.csv import read_csv
from molvis_ccs.readers.parquet import read_parquet
from molvis_core.records import Measurement, Value

ROWS = st.lists(st.tuples(st.floats(60, 900), st.sampled_from(["[M+H]+", "[M-H]-", "[M+Na]+"])), min_size=1, max_size=8)


def _values(items: Any) -> list[tuple[float, str | None]]:
    found = list(items)
    assert all(isinstance(item, Measurement) for item in found), found
    values: list[Value] = [item.record for item in found]
    return [(value.value, value.adduct) for value in values]


@given(rows=ROWS, sign=st.sampled_from([",", ";", "\t"]), comma=st.booleans(), nm2=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_table_of_text_keeps_every_digit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, str]], sign: str, comma: bool, nm2: bool
) -> None:
    path = tmp_path_factory.mktemp("ccs") / "a.csv"
    cells = [(repr(value / 100 if nm2 else value), adduct) for value, adduct in rows]
    if comma and sign != ",":
        cells = [(value.replace(".", ","), adduct) for value, adduct in cells]
    header = f"Adduct{sign}CCS (nm^2)" if nm2 else f"Adduct{sign}CCS"
    path.write_text("\n".join([header, *(f"{adduct}{sign}{value}" for value, adduct in cells)]) + "\n")
    found = _values(read_csv(path))
    assert [adduct for _, adduct in found] == [adduct for _, adduct in rows]
    assert [value for value, _ in found] == pytest.approx([value for value, _ in rows], rel=1e-15 if nm2 else 0, abs=0)


@given(rows=ROWS)
@settings(max_examples=25, deadline=None)
def test_a_parquet_table_keeps_every_digit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, str]]
) -> None:
    path = tmp_path_factory.mktemp("ccs") / "a.parquet"
    pq.write_table(pa.table({"ccs": [value for value, _ in rows], "adduct": [adduct for _, adduct in rows]}), path)
    assert _values(read_parquet(path)) == rows
