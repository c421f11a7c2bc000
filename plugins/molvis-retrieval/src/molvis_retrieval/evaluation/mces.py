"""Distance of two structures by their maximum common edge subgraph, as MassSpecGym measures the first candidate.

F. Kretschmer, J. Seipp, M. Ludwig, G. W. Klau, S. Boecker, Coverage bias in small molecule machine learning, Nature
Communications 16 (2025) 554, doi:10.1038/s41467-024-55462-w
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

from molvis_core.errors import ConfigError

THRESHOLD = 15
"""Distance up to which it is exact; above it a lower bound stands. That of MassSpecGym."""


def require_mces() -> None:
    """See that the package is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import myopic_mces.myopic_mces  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "MCES distances need the package myopic-mces: pip install 'molvis-retrieval[mces]', or leave --mces out"
        ) from error


@functools.lru_cache(maxsize=100_000)
def mces(one: str, other: str, threshold: float = THRESHOLD) -> float:
    """Bonds, weighed by their order, that two structures do not share; 0 for the same.

    Args:
        one: SMILES.
        other: SMILES.
        threshold: distance above which a lower bound is enough.

    Raises:
        ConfigError: the package is not installed, or there is no solver.
    """
    require_mces()
    from myopic_mces.myopic_mces import MCES

    solver, options = _solver()
    found = MCES(one, other, threshold=threshold, solver=solver, solver_options=options, always_stronger_bound=True)
    return float(found[1])


@functools.cache
def _solver() -> tuple[str, dict[str, Any]]:
    """A solver of integer programs: CBC where it is found, else the first that there is."""
    import pulp

    found = pulp.listSolvers(onlyAvailable=True)
    options: dict[str, Any] = {"msg": 0}
    if "COIN_CMD" not in found and importlib.util.find_spec("cbcbox") is not None:
        # The package index has CBC as a package, which PuLP does not look for by itself.
        import cbcbox

        return "COIN_CMD", {**options, "path": cbcbox.cbc_bin_path()}
    if not found:
        raise ConfigError("MCES distances need a solver of integer programs: pip install 'pulp[cbc]'")
    return ("COIN_CMD" if "COIN_CMD" in found else found[0]), options
