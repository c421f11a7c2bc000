from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molvis_core.registry import build, load
from molvis_core.testing import EncoderContract, PluginContract, ReaderContract, TargetContract

MOLFILE = """{title}
     molvis

  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.5000    0.0000    0.0000 C   0  0
    2.2500    1.3000    0.0000 {last}   0  0
  1  2  1  0
  2  3  {order}  0
M  END
$$$$
"""


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-structure"


ENCODERS: list[dict[str, Any]] = [
    {"use": "fingerprint", "dim": 8, "width": 16, "bits": 256},
    {"use": "fingerprint", "dim": 8, "width": 16, "blocks": 0, "fingerprints": ["maccs"], "descriptors": []},
    {"use": "attentivefp", "dim": 8, "width": 12},
    {"use": "attentivefp", "dim": 8, "width": 12, "layers": 1, "timesteps": 1},
]


def _label(spec: dict[str, Any]) -> str:
    return " ".join(str(v) for v in spec.values())


class TestEncoders(EncoderContract):
    @pytest.fixture(params=ENCODERS, ids=_label)
    def spec(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return request.param

    @pytest.fixture
    def encoder(self, spec: dict[str, Any]) -> Any:
        return build("encoder", spec)


class TestTanimoto(TargetContract):
    @pytest.fixture(
        params=[{"use": "tanimoto"}, {"use": "tanimoto", "fingerprint": "morgan2", "bits": 1024}], ids=_label
    )
    def target(self, request: pytest.FixtureRequest) -> Any:
        return build("target", request.param)


class TestSmiles(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return load("reader", "smiles")

    @pytest.fixture
    def modality(self) -> str:
        return "structure"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        path = tmp_path / "some.smi"
        path.write_text("smiles name\nCCO ethanol\nc1ccccc1\tbenzene\n")
        return path

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        path = tmp_path / "some.smi"
        path.write_text("CCO ethanol\nC1CC broken ring\n")
        return path


class TestSdf(TestSmiles):
    @pytest.fixture
    def read(self) -> Any:
        return load("reader", "sdf")

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        path = tmp_path / "some.sdf"
        path.write_text(MOLFILE.format(title="ethanol", last="O", order=1) * 2)
        return path

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        path = tmp_path / "some.sdf"
        path.write_text(MOLFILE.format(title="fluorine with two bonds", last="F", order=2))
        return path


class TestCsv(TestSmiles):
    @pytest.fixture
    def read(self) -> Any:
        return load("reader", "structure-table")

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        path = tmp_path / "some.csv"
        path.write_text('Compound Name,SMILES\n"ethanol, pure",CCO\nbenzene,c1ccccc1\n')
        return path

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        path = tmp_path / "some.csv"
        path.write_text("SMILES\nCCO\nnonsense\n")
        return path


class TestParquet(TestCsv):
    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _parquet(tmp_path / "some.parquet", {"smiles": ["CCO", "c1ccccc1"]})

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _parquet(tmp_path / "some.parquet", {"smiles": ["CCO", "C1CC", None]})


def _parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path
