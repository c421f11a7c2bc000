"""The adducts that encoders know by themselves; all others share one vector."""

from __future__ import annotations

ADDUCTS = (
    "[M+H]+", "[M-H]-", "[M+Na]+", "[M+NH4]+", "[M]+", "[M+K]+", "[M+H-H2O]+", "[M+HCOO]-", "[M+CH3COO]-", "[M+Cl]-",
    "[2M+H]+", "[2M-H]-", "[M+2H]2+", "[M-2H]2-", "[2M+Na]+", "[M]-",
)  # fmt: skip
"""Their order never changes: weights belong to places in it."""
