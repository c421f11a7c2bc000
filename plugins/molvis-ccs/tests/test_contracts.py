from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molvis_ccs.encoders import CcsEncoder
from molvis_ccs.readers.csv import read_csv
from molvis_ccs.readers.parquet import read_parquet
from molvis_core.testing import EncoderContract, PluginContract, ReaderContract

HEADER = "name,smiles,adduct,charge,m/z,CCS"
GOOD = f"{HEADER}\ncaffeine,Cn1c(=O)c2c(ncn2C)n(C)c1=O,[M+H]+,1,195.0877,138.2\nethanol,CCO,[M+Na]+,1,,110\n"
BAD = f"{HEADER}\ncaffeine,Cn1c(=O)c2c(ncn2C)n(C)c1=O,[M+H]+,1,195.0877,0\n"


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-ccs"


class TestEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Any:
        return CcsEncoder(dim=8, width=16, blocks=1, waves=4)

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "ccs", "dim": 8, "width": 16, "blocks": 1, "waves": 4}


class TestCsvReader(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_csv

    @pytest.fixture
    def modality(self) -> str:
        return "ccs"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        (tmp_path / "good.csv").write_text(GOOD)
        return tmp_path / "good.csv"

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        (tmp_path / "bad.csv").write_text(BAD)
        return tmp_path / "bad.csv"


def _parquet(path: Path, **columns: list[Any]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


class TestParquetReader(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_parquet

    @pytest.fixture
    def modality(self) -> str:
        return "ccs"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _parquet(tmp_path / "good.parquet", smiles=["CCO", "CCN"], adduct=["[M+H]+"] * 2, ccs=[100.0, 101.0])

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _parquet(tmp_path / "bad.parquet", smiles=["CCO"], adduct=["[M+H]+"], ccs=[float("nan")])
