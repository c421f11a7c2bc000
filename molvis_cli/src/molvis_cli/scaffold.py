"""A third party's package, made from the template."""

from __future__ import annotations

import ast
import importlib.metadata
import keyword
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from molvis_core.errors import PluginError, did_you_mean
from molvis_core.registry import components
from molvis_files.writing import replacing_folder

KINDS = ("modality", "reader", "writer", "encoder", "loss", "scorer", "predictor", "fitter", "command")
"""Kinds that the template has a component of, each in a file of its own with a test of its own."""
_NEEDS = {"reader": "modality", "writer": "reader", "predictor": "modality", "command": "reader"}
"""What a component of the template is written for: the writer for the files of the reader, and so on."""
_SUFFIXES = (".py", ".toml", ".md", ".typed")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def template_folder() -> Path:
    """Where the template is: inside the package, or in the repository that an editable install points to.

    Raises:
        PluginError: it is in neither.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "template", here.parents[3] / "plugins" / "_template"):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise PluginError("the plugin template is missing. Reinstall it: pip install --force-reinstall molvis-cli")


def new_plugin(name: str, out: Path | None = None, *, kinds: Sequence[str] = KINDS) -> Path:
    """Make a plugin's package from the template.

    Args:
        name: of the distribution, such as `molvis-raman`; its modality is then `raman`.
        out: the folder to make; by default the name, in the working directory.
        kinds: of the components that it starts with, some of `KINDS`; all by default.

    Returns:
        The folder.

    Raises:
        PluginError: a name that is invalid or taken, a folder that exists, or kinds that do not go together.
    """
    module = name.replace("-", "_")
    short = name.removeprefix("molvis-")
    _check_name(name, module, short)
    _check_kinds(kinds)
    folder = Path(name) if out is None else out
    if folder.exists():
        raise PluginError(f"{folder}: exists already, and nothing is overwritten. Choose another folder with --out.")
    left_out = [kind for kind in KINDS if kind not in kinds]
    try:
        with replacing_folder(folder) as fresh:
            for source in sorted(template_folder().rglob("*")):
                if source.suffix not in _SUFFIXES or source.stem.removeprefix("test_") in left_out:
                    continue
                relative = source.relative_to(template_folder()).as_posix()
                place = relative.replace("molvis_template", module).replace("template", short.replace("-", "_"))
                target = fresh / place
                target.parent.mkdir(parents=True, exist_ok=True)
                text = _without(left_out, source.name, source.read_text(encoding="utf-8"))
                target.write_text(_renamed(text, name, module, short), encoding="utf-8")
    except OSError as error:
        raise PluginError(f"{folder}: cannot be written: {error}") from error
    return folder


def _check_name(name: str, module: str, short: str) -> None:
    if not _NAME.fullmatch(name):
        wanted = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
        hint = f" Did you mean {wanted!r}?" if _NAME.fullmatch(wanted) else ""
        raise PluginError(f"plugin name {name!r} must be lowercase letters, digits and single hyphens.{hint}")
    if module in sys.stdlib_module_names or keyword.iskeyword(module):
        raise PluginError(f"plugin name {name!r}: Python itself has {module!r}. Try 'molvis-{name}'.")
    if short == "molvis":
        raise PluginError("plugin name 'molvis' is that of molvis itself. Try 'molvis-raman'.")
    if any(_same(d.name, name) for d in importlib.metadata.distributions()):
        raise PluginError(f"plugin name {name!r}: a distribution of this name is installed. Choose another.")
    taken = [c for c in components("modality") if c.name == short]
    if taken:
        raise PluginError(
            f"plugin name {name!r}: {taken[0].distribution} offers modality {short!r} already. Choose another."
        )


def _check_kinds(kinds: Sequence[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise PluginError(
                f"the template has no {kind!r}.{did_you_mean(kind, KINDS)} Its kinds are {', '.join(KINDS)}."
            )
        if (needed := _NEEDS.get(kind)) and needed not in kinds:
            raise PluginError(f"the {kind} of the template needs its {needed}; add {needed!r} or leave out {kind!r}")
    if not kinds:
        raise PluginError(f"a plugin offers at least one component; choose from {', '.join(KINDS)}")


def _kind_of(call: ast.Call) -> str | None:
    """The kind of component that a call makes, where it states one."""
    stated = (k.value for k in call.keywords if k.arg == "kind")
    return next((str(value.value) for value in stated if isinstance(value, ast.Constant)), None)


def _without(kinds: Collection[str], file: str, text: str) -> str:
    """A file of the template without the components of these kinds, and without what they alone need."""
    if file == "plugin.py":
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and _kind_of(node) in kinds]
        gone = {line for call in calls for line in range(call.lineno, (call.end_lineno or call.lineno) + 1)}
        return "".join(line for number, line in enumerate(text.splitlines(True), start=1) if number not in gone)
    if file == "README.md":
        return "".join(line for line in text.splitlines(True) if not any(f"/{kind}.py`" in line for kind in kinds))
    if file == "pyproject.toml":
        return "".join(_dependency(kinds, line) for line in text.splitlines(True))
    return text


def _dependency(left_out: Collection[str], line: str) -> str:
    """A line of `pyproject.toml` whose comment names the kinds that need the dependency, without those left out."""
    stated, mark, comment = line.partition("  # ")
    needed = [kind for kind in re.findall(r"\w+", comment) if kind not in left_out]
    if not mark:
        return line
    return f"{stated}{mark}{', '.join(needed)}\n" if needed else ""


def _renamed(text: str, name: str, module: str, short: str) -> str:
    text = text.replace("molvis_template", module).replace("molvis-template", name)
    return re.sub(r"\btemplate\b", short, text)


def _same(a: str | None, b: str) -> bool:
    return a is not None and a.lower().replace("_", "-") == b
