"""`molvis completion`, and the names that a shell completes."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Shell that the script is for.")],
) -> None:
    """Print a script that completes commands, options and names of components.

    bash: molvis completion bash >> ~/.bash_completion

    zsh: molvis completion zsh > ~/.zfunc/_molvis, with fpath+=~/.zfunc before compinit in ~/.zshrc

    fish: molvis completion fish > ~/.config/fish/completions/molvis.fish
    """
    from typer.completion import get_completion_script

    print(get_completion_script(prog_name="molvis", complete_var="_MOLVIS_COMPLETE", shell=shell))


def kinds(incomplete: str) -> list[str]:
    """Completes kinds of components."""
    from molvis_core.registry import components

    return sorted({c.kind for c in components() if c.kind.startswith(incomplete)})


def distributions(incomplete: str) -> list[str]:
    """Completes installed plugins."""
    from molvis_core.plugins import plugins

    return sorted({p.distribution for p in plugins() if p.distribution.startswith(incomplete)})
