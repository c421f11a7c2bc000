"""Ships the plugin template, which lives once, in `plugins/_template`, as `molvis_cli/template`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TemplateHook(BuildHookInterface[Any]):
    """Adds the template's files to wheels and source distributions.

    A source distribution carries its own copy beside the package, so a wheel built from it finds them there. An
    editable install needs none: it reads the repository's.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before each build."""
        source = Path(self.root).resolve().parent / "plugins" / "_template"
        if version == "editable" or not source.is_dir():
            return
        inside = "molvis_cli/template" if self.target_name == "wheel" else "src/molvis_cli/template"
        for path in source.rglob("*"):
            if path.suffix in (".py", ".toml", ".md", ".typed"):
                build_data["force_include"][str(path)] = f"{inside}/{path.relative_to(source).as_posix()}"
