"""The contract kit: what every plugin must keep, as functions, as pytest classes, and as `molvis check`.

A plugin's tests inherit a contract and supply fixtures:

    class TestResNet(EncoderContract):
        @pytest.fixture
        def encoder(self): return ResNet1D(dim=8, width=4).eval()

        @pytest.fixture
        def records(self): return synthetic_traces(sizes=(300, 500, 900))

Names are imported when first used: pytest is needed for the classes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from molvis_core.lazy import lazy_names

if TYPE_CHECKING:
    from molvis_core.testing.checks import ContractError
    from molvis_core.testing.contracts import (
        ClassifierContract,
        EncoderContract,
        FitterContract,
        PairLossContract,
        PluginContract,
        PredictorContract,
        ReaderContract,
        RecordPredictorContract,
        RouteContract,
        ScorerContract,
        TargetContract,
    )
    from molvis_core.testing.installed import CheckResult, check_installed
    from molvis_core.testing.offering import offer, toy_component
    from molvis_core.testing.synthetic import (
        synthetic_distributions,
        synthetic_peaks,
        synthetic_rankings,
        synthetic_records,
        synthetic_structures,
        synthetic_traces,
        synthetic_values,
    )

_HOME = {
    "ClassifierContract": "contracts", "ContractError": "checks", "EncoderContract": "contracts",
    "FitterContract": "contracts",
    "PairLossContract": "contracts", "PluginContract": "contracts", "PredictorContract": "contracts",
    "ReaderContract": "contracts", "RecordPredictorContract": "contracts", "RouteContract": "contracts",
    "ScorerContract": "contracts",
    "TargetContract": "contracts",
    "CheckResult": "installed", "check_installed": "installed", "synthetic_distributions": "synthetic",
    "synthetic_peaks": "synthetic", "synthetic_rankings": "synthetic", "synthetic_records": "synthetic",
    "synthetic_structures": "synthetic",
    "synthetic_traces": "synthetic", "synthetic_values": "synthetic",
    "offer": "offering", "toy_component": "offering",
}  # fmt: skip

__all__ = [
    "CheckResult", "ClassifierContract", "ContractError", "EncoderContract", "FitterContract", "PairLossContract",
    "PluginContract",
    "PredictorContract", "ReaderContract", "RecordPredictorContract", "RouteContract", "ScorerContract",
    "TargetContract",
    "check_installed",
    "offer", "synthetic_distributions", "synthetic_peaks", "synthetic_rankings", "synthetic_records",
    "synthetic_structures", "synthetic_traces", "synthetic_values", "toy_component",
]  # fmt: skip

__getattr__, __dir__ = lazy_names(__name__, _HOME)
