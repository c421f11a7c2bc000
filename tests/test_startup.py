"""Commands that only look around import nothing heavy, whatever is installed. Looked up in sys.modules, not timed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "rdkit", "pyarrow", "numpy", "pandas", "scipy", "matplotlib", "pydantic", "torch_geometric")

SCRIPT = """
import json, sys
from molvis_cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    print(json.dumps([done.code, [name for name in {heavy} if name in sys.modules]]), file=sys.stderr)
""".replace("{heavy}", repr(HEAVY))


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("--help",), "identify"),
        (("data", "--help"), "import"),
        (("--version",), "molvis-core"),
        (("plugins",), "molvis-core"),
        (("plugins", "--json"), "molvis-core"),
    ],
)
def test_looking_around_imports_nothing_heavy(arguments: tuple[str, ...], shown: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    assert shown in done.stdout
    assert json.loads(done.stderr.splitlines()[-1]) == [0, []]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("list",), "same-compound"),
        (("list", "losses"), "infonce"),
        (("config", "fill", "default"), "neighbours = 10"),
        (("config", "fill", "joint"), "ccs-likelihood"),
    ],
)
def test_naming_components_imports_none_of_them(arguments: tuple[str, ...], shown: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    assert shown in done.stdout
    code, heavy = json.loads(done.stderr.splitlines()[-1])
    assert (code, set(heavy) - {"pydantic"}) == (0, set())


@pytest.mark.full
def test_a_bundle_is_loaded_without_the_compiler_of_torch() -> None:
    script = (
        "import sys\nfrom molvis_retrieval import load_bundle\nbundle = load_bundle('massbank')\n"
        "bundle.encoder('msms'), bundle.encoder('structure')\n"
        "print([name for name in sys.modules if name.startswith('torch._dynamo')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
