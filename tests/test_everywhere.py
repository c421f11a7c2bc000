"""Names, keys, orders and draws are the same on every processor and with any number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

SUPPORT = Path(__file__).parent / "support"
NARROW = " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
# OpenBLAS, which NumPy and SciPy each bring along, has kernels for each processor; Prescott's run on every x86.
MACHINES = {
    "this one": {},
    "an old one": {
        "OPENBLAS_CORETYPE": "Prescott",
        "ATEN_CPU_CAPABILITY": "default",
        "NPY_DISABLE_CPU_FEATURES": NARROW,
    },
    "two threads": dict.fromkeys(THREADS, "2"),
}
if __cpu_features__.get("AVX2") or __cpu_features__.get("X86_V3"):
    MACHINES["two threads"]["OPENBLAS_CORETYPE"] = "Haswell"


@pytest.fixture(scope="module")
def facts() -> dict[str, dict[str, dict[str, Any]]]:
    """What each machine finds, each in a process of its own."""
    found = {}
    for name, settings in MACHINES.items():
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("OPENBLAS_", "ATEN_", "NPY_"))}
        environment = plain | dict.fromkeys(THREADS, "1") | settings
        done = subprocess.run(
            [sys.executable, "-m", "everywhere"],
            cwd=SUPPORT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
        found[name] = json.loads(done.stdout)
    return found


@pytest.mark.full
def test_names_keys_orders_and_draws_are_the_same_on_another_machine(facts: dict[str, Any]) -> None:
    here = facts["this one"]["exact"]
    for name, there in facts.items():
        differ = {key: (value, there["exact"][key]) for key, value in here.items() if there["exact"][key] != value}
        assert not differ, f"{name}: {differ}"


@pytest.mark.full
def test_fitted_numbers_agree_to_a_millionth_on_another_machine(facts: dict[str, Any]) -> None:
    here = facts["this one"]["near"]
    for name, there in facts.items():
        for key, values in here.items():
            scale = 1e-6 * np.abs(values).max()
            np.testing.assert_allclose(there["near"][key], values, rtol=1e-6, atol=scale, err_msg=f"{name}: {key}")
