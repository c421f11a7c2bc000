"""The parts of the documentation that the code knows better: tables between markers, rewritten by `make docs`.

A page holds `<!-- table: NAME -->`, the table, and `<!-- end -->`. A test asks that what stands there is what the code
says now.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.plugins import KINDS, Component
from molvis_retrieval import config

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    "": config.RunConfig,
    "data": config.DataConfig,
    "pairs": config.PairConfig,
    "joint": config.JointConfig,
    "negatives": config.NegativesConfig,
    "train": config.TrainConfig,
    "windows": config.WindowsConfig,
    "evidence": config.EvidenceConfig,
}
OURS = (
    "molvis-ccs",
    "molvis-core",
    "molvis-ei",
    "molvis-flux",
    "molvis-ir",
    "molvis-losses",
    "molvis-models",
    "molvis-msms",
    "molvis-nmr",
    "molvis-nmr-shifts",
    "molvis-nn",
    "molvis-retrieval",
    "molvis-serve",
    "molvis-structure",
)
CONFIGURED = ("encoder", "loss", "target", "scorer", "predictor", "fitter")
_MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_TOP_LEVEL = {
    "data": "the section below",
    "encoders": "a section for each modality; `use` names the encoder, the other keys are its arguments",
    "pairs": "one or more sections, below; none are needed where `joint` makes them",
    "joint": "the section below",
    "train": "the section below",
    "negatives": "the section below",
    "windows": "the section below",
    "evidence": "the section below",
    "scorers": "a section for each; `use` names the scorer, the other keys are its arguments",
    "name": "what the bundle is called",
}


def attributes(thing: type[Any] | Callable[..., Any], *, heading: str = "Attributes") -> dict[str, str]:
    """The entries of a docstring's section; an entry `a, b: text` counts for both names."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    found: dict[str, str] = {}
    inside, names = False, []
    for line in lines:
        if re.fullmatch(r"[A-Z]\w+:", line):
            inside = line == f"{heading}:"
        elif inside and (entry := re.match(r"    (\w+(?:, \w+)*): (.*)", line)):
            names = entry.group(1).split(", ")
            found |= dict.fromkeys(names, entry.group(2))
        elif inside and names and line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def config_table(section: str) -> str:
    """Every key of a section with its type, default and meaning."""
    cls = SECTIONS[section]
    meaning = _TOP_LEVEL if not section else attributes(cls)
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for f in dataclasses.fields(cls):
        rows.append(f"| `{f.name}` | {_in_words(str(f.type))} | {_default(f)} | {meaning[f.name]} |")
    return "\n".join(rows)


_WORDS = (
    (r"\w+Config", "table"),
    (r"dict\[str, (\w+)\]", r"table of \1s"),
    (r"tuple\[(\w+), \.\.\.\]", r"list of \1"),
    (r"tuple\[float, float\]", "two floats"),
    (r"Literal\[(.*)\]", r"one of \1"),
    (r"\|", "or"),
    ("Spec", "component"),
    ("list of table", "tables"),
    ('"', "'"),
)


def _in_words(annotation: str) -> str:
    for pattern, words in _WORDS:
        annotation = re.sub(pattern, words, annotation)
    return annotation


def _default(f: dataclasses.Field[Any]) -> str:
    if f.default is not dataclasses.MISSING:
        return f"`{_toml(f.default)}`"
    if f.default_factory is not dataclasses.MISSING:
        value = f.default_factory()
        return f"`{_toml(value)}`" if isinstance(value, dict) and value else "empty"
    return "required"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def ours(kind: str) -> list[Component]:
    """Components of the project's own distributions."""
    return sorted((c for c in registry.components(kind) if c.distribution in OURS), key=lambda c: c.name)


def component_table(kind: str) -> str:
    """Every component of a kind: where it comes from, what it is, and below that what its constructor takes."""
    rows = ["| name | from | what |", "| --- | --- | --- |"]
    found = ours(kind)
    for c in found:
        what = c.summary + (f" Endings: {', '.join(c.suffixes)}." if c.suffixes else "")
        what += f" [doi:{c.cite}](https://doi.org/{c.cite})" if c.cite.startswith("10.") else ""
        rows.append(f"| `{c.name}` | {c.distribution} | {what} |")
    details = [_arguments(c) for c in found] if kind in CONFIGURED else []
    return "\n".join(rows + details) if found else "None yet."


def _arguments(c: Component) -> str:
    thing = registry.load(c.kind, c.name)
    meaning = attributes(thing) | attributes(thing, heading="Args")  # a dataclass describes its fields
    lines = [f"\n### `{c.name}`\n"]
    for name, p in registry.parameters(c.kind, c.name).items():
        given = f"`{name} = {_toml(p.default)}`"
        if p.default is p.empty or p.default is None:
            given = f"`{name}`, " + ("required" if p.default is p.empty else "may be left out")
        lines.append(f"- {given}" + (f": {meaning[name]}" if name in meaning else ""))
    return "\n".join(lines if len(lines) > 1 else [*lines, "It takes no arguments."])


def renamed_table() -> str:
    """Components that were called otherwise, with every old name."""
    rows = ["| kind | old | new |", "| --- | --- | --- |"]
    found = [c for c in registry.components() if c.distribution in OURS]
    for c in sorted(found, key=lambda c: (c.kind, c.name)):
        rows += [f"| {c.kind} | `{old}` | `{c.name}` |" for old in c.replaces]
    return "\n".join(rows)


def settings_table() -> str:
    """Environment variables of the service."""
    from molvis_serve.settings import table as settings

    rows = [f"| `{name}` | {f'`{default}`' if default else ''} | {what} |" for name, default, what in settings()]
    return "\n".join(["| variable | default | what |", "| --- | --- | --- |", *rows])


def table(name: str) -> str:
    """The text between a page's markers."""
    if name == "renamed":
        return renamed_table()
    if name == "serve-settings":
        return settings_table()
    what, _, which = name.partition("-")
    return config_table(which) if what == "config" else component_table(which)


def updated(text: str) -> str:
    """A page with its tables as the code has them now."""
    return _MARKED.sub(lambda m: f"{m.group(1)}\n{table(m.group(2))}\n\n{m.group(4)}", text)


def kinds() -> list[str]:
    """Every kind of component: core's, and those of our plugins' own."""
    return list(dict.fromkeys([*KINDS, *(c.kind for c in registry.components() if c.distribution in OURS)]))


def main() -> None:
    """Rewrite the tables of every page."""
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        old = page.read_text(encoding="utf-8")
        if (new := updated(old)) != old:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"updated {page.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
