"""A model as INCA keeps it in `m`, made for tests after the names that INCAWrapper and deposited scripts use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

EQUATIONS = {
    "R1": "A (abc) -> B (abc)",
    "R2": "B (abc) <-> D (abc)",
    "R3": "B (C1:a C2:b C3:c) -> C (C1:b C2:c) + E (C1:a)",
    "R4": "B (abc) + C (de) -> D (bcd) + E (a) + E (e)",
    "R5": "D (abc) -> F (abc)",
    "R6": "F (abc) -> G (abc)",
}
"""The network of Antoniewicz et al. 2007, whose third reaction has its atoms by name."""

VALUES = {"R1": (100.0,), "R2": (110.0, 50.0), "R3": (20.0,), "R4": (20.0,), "R5": (80.0,), "R6": (80.0,)}


def structs(rows: list[dict[str, Any]]) -> np.ndarray:
    """A struct array of MATLAB, 1 by n."""
    names = list(rows[0])
    found = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for i, row in enumerate(rows):
        for name in names:
            found[0, i][name] = row[name]
    return found


def rates(*, equations: bool = True) -> list[dict[str, Any]]:
    """Reactions with a flux for each direction; an inactive one is the last."""
    rows = []
    for name, values in {**VALUES, "R9": (1.0,)}.items():
        fluxes = [
            {
                "id": f"{name}.{way}", "rxn": name, "dir": way, "val": value, "fix": name == "R1", "lb": 1e-7,
                "ub": 1e7 if name != "R5" else 500.0, "sub": np.zeros((1, 2)), "prod": np.zeros((1, 2)),
            }
            for way, value in zip("fb", values, strict=False)
        ]  # fmt: skip
        row = {"id": name, "on": name != "R9", "flx": structs(fluxes)}
        rows.append(row | ({"eqn": EQUATIONS.get(name, "B (abc) -> F (abc)")} if equations else {}))
    return rows


def model(*, equations: bool = True, **changed: Any) -> dict[str, Any]:
    """The variables of the file; `changed` are fields of its one experiment."""
    mid = np.array([[0.0001], [0.8008], [0.1983], [0.0009]])
    idvs = {"id": "F_1", "on": True, "time": np.array([[0.0]]), "val": mid, "std": mid * 0 + 0.003}
    fragment = {"id": "F1", "on": True, "name": "F1: F @ 1 2 3", "more": "C2H4O2", "idvs": structs([idvs])}
    atoms = structs([{"id": "2", "it": np.array([[0.01], [0.99]])}])
    experiment = {
        "id": "exp1",
        "on": True,
        "tracers": structs([{"id": "A1", "name": "A1: A @ 2", "frac": 1.0, "atoms": atoms}]),
        "data_flx": structs([{"id": "R1", "on": True, "val": 100.0, "std": 1.0}]),
        "data_ms": structs([fragment]),
        "data_cxn": structs([{"id": "B", "on": True, "val": 2.0, "std": 0.1}]),
        "data_nmr": structs([{"id": "n", "val": 1.0}]),
    } | changed
    states = [
        {"id": name, "met": name, "bal": name not in "AG", "val": 2.0, "lb": 0.0, "ub": 1e7, "fix": False}
        for name in "ABCDEFG"
    ]
    mets = [{"id": name, "sym": "C1:C2 C2:C1" if name == "C" else np.zeros((0, 0))} for name in "ABCDEFG"]
    m = {
        "rates": structs(rates(equations=equations)), "states": structs(states), "mets": structs(mets),
        "expts": structs([experiment]), "options": structs([{"fit_starts": 10.0}]),
    }  # fmt: skip
    return {"m": structs([m]), "f": structs([{"chi2": 1.0}])}


def write(path: Path, **options: Any) -> Path:
    """Write it as INCA does, in MATLAB's version 5."""
    from scipy.io import savemat

    savemat(path, model(**options), do_compression=True)
    return path
