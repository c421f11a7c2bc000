"""`molvis plugins`, `list`, `check` and `plugin new`: what is installed, whether it works, and how to add to it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from molvis_cli.completion import distributions, kinds
from molvis_core import output
from molvis_core.text import in_shell


def plugins() -> None:
    """List installed plugins, their origin and state.

    A broken plugin is listed with what is wrong with it; it stops nobody.
    """
    from molvis_core.plugins import plugins as installed
    from molvis_core.registry import clashes

    found, clashing = installed(), clashes()
    states = {p: p.problem or "; ".join(clashing.get(p.name, ())) or "ok" for p in found}
    if output.as_json([{**output.to_plain(p), "state": state} for p, state in states.items()]):
        return
    rows = []
    for plugin, state in states.items():
        counts = Counter(c.kind for c in plugin.components)
        offers = ", ".join(f"{kind} {n}" for kind, n in counts.items())
        rows.append((plugin.name, f"{plugin.distribution} {plugin.version}", plugin.module, offers or None, state))
    output.print_table(("plugin", "distribution", "manifest", "offers", "state"), rows)


def list_(
    kind: Annotated[str, typer.Argument(autocompletion=kinds, help="Only this kind: encoder, loss, reader, ...")] = "",
) -> None:
    """List components: what configurations and command lines can name."""
    from molvis_core.errors import ComponentError, did_you_mean
    from molvis_core.registry import components

    kinds = list(dict.fromkeys(c.kind for c in components()))
    kind = next((k for k in kinds if kind.lower() in (k, f"{k}s", f"{k}es")), kind)
    if kind and kind not in kinds:
        raise ComponentError(f"no component of kind {kind!r}.{did_you_mean(kind, kinds)} Kinds: {', '.join(kinds)}.")
    found = sorted(components(kind or None), key=lambda c: (kinds.index(c.kind), c.name))
    if output.as_json(found):
        return
    rows = [
        (c.kind, c.name, c.summary + f" ({', '.join(c.suffixes)})" * bool(c.suffixes), c.distribution) for c in found
    ]
    output.print_table(("kind", "name", "what", "from"), rows)


def check(
    name: Annotated[
        str,
        typer.Argument(autocompletion=distributions, help="A distribution, such as molvis-losses, or a plugin's name."),
    ],
    all_checks: Annotated[bool, typer.Option("--all", help="List the checks that passed, too.")] = False,
) -> None:
    """Run the contract kit on an installed plugin.

    Every component is imported, built with its defaults and run on made-up records. A broken contract is exit code 1.
    A warning names another distribution that claims the same files or commands; it is no fault of the plugin.
    """
    from molvis_core.testing import check_installed

    with output.progress(f"checking {name}", quiet=output.settings.json) as advance:
        results = check_installed(name, progress=advance)
    failed = [r for r in results if r.ok is False]
    left = [r for r in results if r.ok is None]
    if not output.as_json(results):
        words = {True: "ok", False: "FAILED", None: "not run"}
        warned = [r for r in results if r.ok and r.problem]
        shown = results if all_checks else [*failed, *warned, *left]
        if shown:
            rows = [("warning" if r in warned else words[r.ok], r.component, r.check, r.problem or None) for r in shown]
            output.print_table(("result", "component", "check", "why"), rows)
        print(
            f"{name}: {len(results) - len(failed) - len(left)} checks passed, {len(failed)} failed, {len(left)} not run"
        )
    if failed:
        raise typer.Exit(1)


def new(
    name: Annotated[str, typer.Argument(help="Name of the distribution, such as molvis-raman.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to make; by default ./NAME.")] = None,
    kinds: Annotated[
        str,
        typer.Option(help="Components to start with, such as modality,reader,encoder; by default one of each."),
    ] = "",
) -> None:
    """Make a package of your own from the template.

    It holds one short component of each kind, installs with pip, is found, and passes `molvis check NAME` as it stands.
    """
    from molvis_cli.scaffold import KINDS, new_plugin

    folder = new_plugin(name, out, kinds=[k.strip() for k in kinds.split(",")] if kinds else KINDS)
    if output.as_json({"folder": folder, "name": name}):
        return
    word, with_tests = in_shell(folder), in_shell(f"{folder}[test]")
    print(f"made {folder}\n\n  pip install -e {with_tests}\n  molvis check {name}\n  pytest {word}")
