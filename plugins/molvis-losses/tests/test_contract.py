from __future__ import annotations

from typing import Any

import pytest

from molvis_core.registry import build
from molvis_core.testing import PairLossContract, PluginContract


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-losses"


SPECS: list[dict[str, Any]] = [
    {"use": "bce"},
    {"use": "bce", "distance": "l2"},
    {"use": "bce", "distance": "learned", "dim": 8},
    {"use": "bce", "label": "tanimoto"},
    {"use": "bce", "balance": False},
    {"use": "bce", "positive_weight": 3.0},
    {"use": "bce", "positive_weight": 3.0, "balance": False},
    {"use": "contrastive"},
    {"use": "contrastive", "positive_weight": 3.0},
    {"use": "contrastive", "distance": "l2"},
    {"use": "contrastive", "tanimoto": True},
    {"use": "contrastive", "balance": False},
    {"use": "infonce"},
    {"use": "infonce", "learned": True},
    {"use": "infonce", "positive_weight": 2.0, "learned": True},
    {"use": "infonce", "positive_weight": 0.5},
    {"use": "infonce", "directions": "query"},
    {"use": "infonce", "directions": "reference"},
    {"use": "tanimoto-infonce"},
    {"use": "tanimoto-infonce", "learned": True},
    {"use": "tanimoto-infonce", "form": "printed"},
    {"use": "clerms"},
    {"use": "clerms", "learned": True},
    {"use": "clerms", "positive_weight": 2.0},
    {"use": "siglip"},
    {"use": "siglip", "positive_weight": 2.0},
    {"use": "soft-target"},
    {"use": "soft-target", "learned": True},
]


class TestLosses(PairLossContract):
    @pytest.fixture(params=SPECS, ids=lambda spec: " ".join(f"{k}={v}" for k, v in spec.items())[4:])
    def loss(self, request: pytest.FixtureRequest) -> Any:
        return build("loss", request.param)
