"""A third party's package, made from the template."""

from __future__ import annotations

import importlib.metadata
import keyword
import re
import sys
from pathlib import Path

from molvis_core.errors import PluginError
from molvis_core.files import replacing_folder
from molvis_core.registry import components

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


def new_plugin(name: str, out: Path | None = None) -> Path:
    """Make a plugin's package from the template.

    Args:
        name: of the distribution, such as `molvis-raman`; its modality is then `raman`.
        out: the folder to make; by default the name, in the working directory.

    Returns:
        The folder.

    Raises:
        PluginError: a name that cannot be or is taken, or a folder that is there already.
    """
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        wanted = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
        hint = f" Did you mean {wanted!r}?" if _NAME.fullmatch(wanted) else ""
        raise PluginError(f"plugin name {name!r}: lowercase letters, digits and single hyphens are wanted.{hint}")
    if module in sys.stdlib_module_names or keyword.iskeyword(module):
        raise PluginError(f"plugin name {name!r}: Python itself has {module!r}. Try 'molvis-{name}'.")
    short = name.removeprefix("molvis-")
    if short == "molvis":
        raise PluginError("plugin name 'molvis' is that of molvis itself. Try 'molvis-raman'.")
    if any(_same(d.name, name) for d in importlib.metadata.distributions()):
        raise PluginError(f"plugin name {name!r}: a distribution of this name is installed. Choose another.")
    taken = [c for c in components("modality") if c.name == short]
    if taken:
        raise PluginError(
            f"plugin name {name!r}: {taken[0].distribution} offers modality {short!r} already. Choose another."
        )
    folder = Path(name) if out is None else out
    if folder.exists():
        raise PluginError(f"{folder}: exists already, and nothing is overwritten. Choose another folder with --out.")
    try:
        with replacing_folder(folder) as fresh:
            for source in sorted(template_folder().rglob("*")):
                if source.suffix not in (".py", ".toml", ".md"):
                    continue
                relative = source.relative_to(template_folder()).as_posix()
                place = relative.replace("molvis_template", module).replace("template", short.replace("-", "_"))
                target = fresh / place
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(_renamed(source.read_text(encoding="utf-8"), name, module, short), encoding="utf-8")
    except OSError as error:
        raise PluginError(f"{folder}: cannot be written: {error}") from error
    return folder


def _renamed(text: str, name: str, module: str, short: str) -> str:
    text = text.replace("molvis_template", module).replace("molvis-template", name)
    return re.sub(r"\btemplate\b", short, text)


def _same(a: str | None, b: str) -> bool:
    return a is not None and a.lower().replace("_", "-") == b
