"""The one shell of all HTML pages that molvis writes: they load nothing, and read well on screens, phones and paper.

A template begins with `{% extends "page.html" %}` and fills two blocks: `style` with rules of its own, `body` with what
is in `<main>`. The shell has colours for light and dark (`--ink`, `--soft`, `--line`, `--card`, `--accent`, `--good`,
`--bad`, ...), `dl.facts`, tables with `.number` columns, `.badge`, `.scroll` and `footer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from molvis_core.text import in_page


def render_page(
    template: str, *, title: str, filters: Mapping[str, Callable[[Any], Any]] | None = None, **values: Any
) -> str:
    """A page from a template: every value is escaped, control characters are made visible.

    Args:
        template: its text, in the language of Jinja.
        title: of the page; the template is given it, too.
        filters: functions of the template's own, by name.
        values: what the template names. `version` is that of molvis-core.

    Raises:
        jinja2.TemplateError: the template is no such text, or names something that is not given.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    import molvis_core

    folder = resources.files("molvis_core").joinpath("templates")
    parts = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "colours.css")}
    environment = Environment(
        autoescape=True, finalize=in_page, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=DictLoader(parts),
    )  # fmt: skip
    environment.filters |= dict(filters or {})
    return environment.from_string(template).render(title=title, version=molvis_core.__version__, **values)
