"""Arguments of the components that are installed: what their source states is what an import finds."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

from molvis_core import registry


def test_source_and_import_agree_on_every_component() -> None:
    kinds = ("encoder", "loss", "target", "scorer", "fitter")
    script = f"""
import json, sys
from molvis_core import registry
from molvis_core.signatures import read_parameters
chosen = [c for c in registry.components() if c.kind in {kinds}]
found = {{f"{{c.kind}} {{c.name}}": read_parameters(c.target) for c in chosen}}
assert not {{"torch", "rdkit", "jax"}} & sys.modules.keys()
print(json.dumps({{name: {{n: repr(p.default) for n, p in read.items()}} for name, read in found.items()}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    true = {}
    for component in (c for c in registry.components() if c.kind in kinds):
        arguments = inspect.signature(registry.load(component.kind, component.name)).parameters.values()
        wanted = {p.name: repr(p.default) for p in arguments if p.name != "self" and p.kind not in variadic}
        true[f"{component.kind} {component.name}"] = wanted
    assert read == true
    assert len(read) >= len(registry.components("encoder")) > 0
