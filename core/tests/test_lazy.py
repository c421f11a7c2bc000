from __future__ import annotations

import sys
import types
from importlib.metadata import version

import pytest

import molvis_core
from molvis_core import testing
from molvis_core.lazy import lazy_names
from molvis_core.testing.offering import offer


def test_a_name_is_taken_from_the_module_that_defines_it() -> None:
    assert testing.offer is offer
    assert {"offer", "synthetic_peaks", "EncoderContract"} <= set(dir(testing))
    assert set(testing.__all__) <= set(dir(testing))


def test_a_name_that_does_not_exist_offers_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"'molvis_core.testing' has no attribute 'ofer'. Did you mean 'offer'\?"):
        _ = testing.ofer


def test_the_version_is_that_of_a_distribution_and_a_package_inside_another_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert molvis_core.__version__ == version("molvis-core")
    assert not hasattr(testing, "__version__")
    assert "__version__" not in dir(testing)
    monkeypatch.setitem(sys.modules, "molvis_nowhere.part", types.ModuleType("molvis_nowhere.part"))
    attribute, listed = lazy_names("molvis_nowhere.part", {"load": "loading"})
    assert "load" in listed()
    with pytest.raises(ModuleNotFoundError, match="molvis_nowhere"):
        attribute("load")
