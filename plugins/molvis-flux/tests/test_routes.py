"""The route of the service: what it answers is what the command writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from molvis_core.testing import RouteContract
from molvis_files.routes import Request, checked_options
from molvis_flux.routes import FIT, fit

pytestmark = pytest.mark.full  # the first call compiles

NETWORK = """
[network]
name = "toy"

[reactions]
v1 = "A(abc) -> B(abc)"
v2 = "B(abc) -> D(abc)"
v3 = "B(abc) -> C(bc) + E(a)"
out_C = "C(bc) ->"
out_D = "D(abc) ->"
out_E = "E(a) ->"

[metabolites]
A = "source"

[fragments]
D = "D[1-3]"

[experiments.one]
tracers.A = "010"
fluxes = { v1 = [100, 1], v2 = [60, 2] }
[experiments.one.mids]
D = [0.0001, 0.9998, 0.0001, 0.0]
"""


class TestFit(RouteContract):
    @pytest.fixture
    def route(self) -> Any:
        return FIT

    @pytest.fixture
    def asked(self, tmp_path: Path) -> Request:
        network, work = tmp_path / "network.toml", tmp_path / "work"
        network.write_text(NETWORK, encoding="utf-8")
        work.mkdir()
        return Request(checked_options(FIT, {"starts": 2, "intervals": "covariance"}), {"network": [network]}, work)

    def test_it_gives_fluxes_pictures_and_files(self, asked: Request) -> None:
        answer = fit(asked, lambda *_: None)
        found = {"/".join(one["name"]): one["value"] for one in answer["fluxes"]}
        assert found["net/v2" if "net/v2" in found else "v2/net"] == pytest.approx(60, abs=1)
        assert answer["pictures"]["network"].lstrip().startswith(("<svg", "<?xml"))
        names = re.findall(r'data-name="([^"]*)"', answer["pictures"]["network"])
        assert {"v1", "v2", "v3"} <= set(names)
        assert (asked.folder / "fit" / "fluxes.csv").is_file()
