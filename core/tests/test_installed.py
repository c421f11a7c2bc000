"""The kit on installed distributions: broken ones, heavy ones, and ones that claim what is another's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fake_plugins import Install, install, manifest

from molvis_core.errors import ComponentError
from molvis_core.plugins import plugins
from molvis_core.testing import ContractError, check_installed, checks
from molvis_core.testing.ownership import claimed_elsewhere

__all__ = ["install"]


def test_checking_a_broken_plugin_reports_it(install: Install) -> None:
    install("acme-broken", {"acme_broken.py": "import nowhere_to_be_found"}, "acme_broken")
    result, _ = check_installed("acme-broken")
    assert result.ok is False
    assert "nowhere_to_be_found" in result.problem


def test_a_heavy_manifest_is_found_out(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    install("acme", {"acme.py": "import rdkit\n" + manifest("loss a acme:b")}, "acme")
    (plugin,) = [p for p in plugins() if p.name == "acme"]
    with pytest.raises(ContractError, match="importing the manifest acme brings in rdkit"):
        checks.manifest_is_light(plugin)


def test_a_command_that_another_distribution_claims_is_a_warning_and_no_fault(install: Install, tmp_path: Path) -> None:
    install("acme-losses", {"acme.py": manifest("loss acme-root math:sqrt")}, "acme", name="acme")
    info = tmp_path / "acme_losses-1.2.dist-info"
    with (info / "entry_points.txt").open("a") as file:
        file.write("[console_scripts]\nacme = acme:main\n")
    (info / "RECORD").write_text("acme.py,,\nacme_losses-1.2.dist-info/METADATA,,\n")
    assert claimed_elsewhere("acme-losses") == []
    stranger = tmp_path / "acme-0.4.2.dist-info"
    stranger.mkdir()
    (stranger / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 0.4.2\n")
    (stranger / "entry_points.txt").write_text("[console_scripts]\nacme = viewer.app:main\n")
    (stranger / "RECORD").write_text("acme/__init__.py,,\nviewer/app.py,,\n../../bin/acme,,\n")
    (result,) = [r for r in check_installed("acme-losses") if r.component == "distribution acme-losses"]
    assert result.ok is True
    assert result.problem.startswith("acme 0.4.2 claims the command 'acme', the module 'acme' too; whichever was")
    assert "pip uninstall acme; pip install --force-reinstall --no-deps acme-losses" in result.problem


def test_a_distribution_that_is_no_plugin_is_asked_for_its_files_alone(install: Install, tmp_path: Path) -> None:
    info = tmp_path / "acme_shell-1.0.dist-info"
    info.mkdir()
    metadata = ("Metadata-Version: 2.1", "Name: acme-shell", "Version: 1.0", "Requires-Dist: molvis-core")
    (info / "METADATA").write_text("\n".join(metadata) + "\n")
    (result,) = check_installed("acme-shell")
    assert (result.component, result.ok, result.problem) == ("distribution acme-shell", True, "")


def test_core_passes_its_own_kit() -> None:
    assert [r for r in check_installed("core") if r.ok is False] == []


def test_checking_what_is_not_installed_offers_the_nearest() -> None:
    with pytest.raises(
        ComponentError, match=r"no plugin named 'molvis-cor' is installed. Did you mean 'molvis-core'\?"
    ):
        check_installed("molvis-cor")


def test_the_kit_is_imported_without_pytest() -> None:
    script = (
        "import sys; from molvis_core.testing import check_installed, synthetic_peaks; print('pytest' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_promise_has_its_place_in_the_documentation() -> None:
    page = Path(__file__).parents[2] / checks.DOCUMENTATION
    if not page.exists():
        pytest.skip("the documentation is not beside this package")
    import re

    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    }
    assert len(checks.anchors()) > 30
    assert set(checks.anchors()) <= headings
