from __future__ import annotations

import pytest

from molvis_core.testing import PluginContract


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-template"
