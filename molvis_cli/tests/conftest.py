"""Lets tests import the package `molvis_cli`, and not the folder of that name."""

from __future__ import annotations

import sys

# pytest's importlib mode names test modules by their path, so that it has just entered the folder above this one as a
# namespace package called `molvis_cli`, where `import molvis_cli` would find it instead of ours.
if getattr(sys.modules.get("molvis_cli"), "__file__", None) is None:
    sys.modules.pop("molvis_cli", None)

import molvis_cli  # noqa: F401
