"""The command `molvis`.

Commands come from plugins: a component of kind `command` is a plain function with typer annotations and no decorator.
`nmr-fit` runs as `molvis nmr fit`, `identify` as `molvis identify`; the help of the group `nmr` is a component of kind
`command-group`, or else the package's summary. The function's module is imported only when the command runs, or its own
`--help` is asked for, so that `molvis --help` stays fast; imports of torch, RDKit or pyarrow still belong inside the
function or behind the library function that it calls.

    def describe(
        path: Annotated[Path, typer.Argument(help="The dataset.")],
    ) -> None:
        '''What is in a dataset.'''
        existing(path)
        from molvis_retrieval.dataset import Dataset, describe

        report = describe(Dataset.open(path))
        if not output.as_json(report):
            output.print_table(...)

Only what concerns plugins themselves, and `fit`, which is the same for every fitter, is in `COMMANDS` here.

Every command is given `--json` and `--quiet` here: `output.as_json` and `output.note` know what was asked for. A
command that takes up what an interruption left calls `output.resumes()` first. Paths are looked up with
`molvis_files.arguments.existing` before anything is imported for them.

A command parses, calls one library function and prints with `molvis_core.output`: results to standard output, progress
and notes to standard error. It lets `MolvisError` pass: `main` prints `error: ...` and exits with 1. To end with
another code, `raise typer.Exit(code)`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from molvis_core import output


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is not imported yet: `module:function`, and the line that `--help` shows."""

    target: str
    summary: str


GROUPS: dict[str, str] = {"plugin": "Write a plugin."}

COMMANDS: dict[str, Command] = {
    "fit": Command("molvis_cli.fit:fit", "Fit parameters to measurements, with any fitter."),
    "plugin new": Command("molvis_cli.plugin:new", "Make a package of your own from the template."),
    "plugins": Command("molvis_cli.plugin:plugins", "List installed plugins, their origin and state."),
    "list": Command("molvis_cli.plugin:list_", "List components: encoders, losses, readers, ..."),
    "check": Command("molvis_cli.plugin:check", "Run the contract kit on an installed plugin."),
    "completion": Command("molvis_cli.completion:completion", "Print a script for bash, zsh or fish that completes."),
}


def commands() -> dict[str, Command]:
    """All commands by their words, such as `nmr fit`: those of the plugins that are installed, then those above.

    Commands of one word come first, as they are what most people are after. A plugin cannot take a word that is in use
    here. Of two plugins that offer one command, none is chosen: the registry names both when it is asked for.
    """
    from molvis_core.registry import components

    taken = {path.split()[0] for path in COMMANDS}
    offered = {
        path: Command(f"command:{component.name}", component.summary)
        for component in components("command")
        if (path := component.name.replace("-", " ", 1)).split()[0] not in taken
    }
    return dict(sorted(offered.items(), key=lambda item: " " in item[0])) | COMMANDS


def _group_help(group: str) -> str:
    if group in GROUPS:
        return GROUPS[group]
    import importlib.metadata

    from molvis_core.registry import components

    if described := [c.summary for c in components("command-group") if c.name == group]:
        return " ".join(described)
    offering = {c.distribution for c in components("command") if c.name.startswith(f"{group}-")}
    data = [importlib.metadata.metadata(name) for name in sorted(offering)]
    summaries = [one["Summary"] for one in data if "Summary" in one]
    return " ".join(summaries) or f"Commands of {', '.join(sorted(offering))}."


def _quick(option: Any) -> Any:
    # typer converts the missing value of --help with pydantic, whose import costs more than all else that starts up
    # here; a value that is a bool already is left alone.
    if option is not None:
        option.default = False
    return option


class _Command(TyperCommand):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            output.warn(f"interrupted; {output.settings.interrupted}")
            raise typer.Exit(130) from None

    def get_help_option(self, ctx: Any) -> Any:
        return _quick(super().get_help_option(ctx))


class _LazyGroup(TyperGroup):
    """Shows placeholders in its help, and puts the real command in their place when one is to run."""

    def get_help_option(self, ctx: Any) -> Any:
        return _quick(super().get_help_option(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        order = list(dict.fromkeys(path.split()[0] for path in commands())) if ctx.parent is None else []
        return sorted(super().list_commands(ctx), key=lambda name: order.index(name) if name in order else -1)

    def resolve_command(self, ctx: Any, args: Any) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        path = f"{name}" if ctx.parent is None else f"{ctx.info_name} {name}"
        if command is not None and path in commands():
            command = _load(path)
        return name, command, rest


def _load(path: str) -> Any:
    from molvis_core.errors import PluginError
    from molvis_core.registry import load

    module, _, function = commands()[path].target.partition(":")
    if module == "command":
        callback = load("command", function)
    else:
        try:
            callback = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"molvis {path} cannot be loaded from {commands()[path].target}: {error}. "
                "Reinstall it: pip install --force-reinstall molvis-cli"
            ) from error
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name=path.rpartition(" ")[2], cls=_Command, help=callback.__doc__ and _unwrapped(callback.__doc__))(
        _with_shared_options(callback)
    )
    return typer.main.get_command(alone)


_SHARED = {
    "json": Annotated[bool, typer.Option("--json", help="Print the result as JSON.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="Print neither notes nor progress to standard error.")],
}


def _with_shared_options(callback: Any) -> Any:
    """A command with the options that every command takes; one that declares such an option keeps its own."""
    signature = inspect.signature(callback, eval_str=True)
    declared = {o for p in signature.parameters.values() for o in _options_of(p)}
    own = {f"{name}_": option for name, option in _SHARED.items() if f"--{name}" not in declared}

    def run(**values: Any) -> None:
        for name in own:
            setattr(output.settings, name[:-1], values.pop(name))
        callback(**values)

    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in own.items()
    ]
    parameters = [*signature.parameters.values(), *added]
    setattr(run, "__signature__", signature.replace(parameters=parameters))  # noqa: B010 - unknown to a function's type
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__doc__ = callback.__doc__
    return run


def _options_of(parameter: inspect.Parameter) -> set[str]:
    parts = getattr(parameter.annotation, "__metadata__", ())
    named = {str(o) for part in parts for o in (part.default, *(part.param_decls or ()))}
    return named | {f"--{parameter.name}"}


def _unwrapped(text: str) -> str:
    # typer re-wraps paragraphs to the terminal, but keeps single line breaks of the source as they are.
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


@dataclass
class _Session:
    debug: bool = False


_session = _Session()


def _version(wanted: bool) -> None:
    if wanted:
        from molvis_cli import __version__ as cli
        from molvis_core import __version__ as core

        typer.echo(f"molvis-cli {cli}, molvis-core {core}, Python {sys.version.split()[0]}")
        raise typer.Exit


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say = output.warn if record.levelno >= logging.WARNING else output.note
        for line in self.format(record).split("\n"):
            say(line)


def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more detail to standard error.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print versions and exit.")
    ] = False,
) -> None:
    """Name unknown molecules from what instruments measure."""
    _session.debug = debug
    handler = _Notes()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s" if debug or verbose else "%(message)s"))
    if not debug:
        # What other people's libraries are going to change concerns us, not who runs a command.
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
    log = logging.getLogger("molvis")
    log.handlers = [handler]
    log.setLevel(logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING)


def _placeholder() -> None:
    raise AssertionError("a placeholder ran; _LazyGroup.resolve_command replaces it")


@functools.cache
def make_app() -> typer.Typer:
    """The typer application, with a placeholder for every command."""
    options: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True, "cls": _LazyGroup}
    settings = {"help_option_names": ["--help", "-h"]}
    app = typer.Typer(
        name="molvis", pretty_exceptions_enable=False, add_completion=False, context_settings=settings, **options
    )
    app.callback()(_root)
    groups: dict[str, typer.Typer] = {"": app}
    for path, command in commands().items():
        group, _, name = path.rpartition(" ")
        if group not in groups:
            groups[group] = typer.Typer(help=_group_help(group), **options)
            app.add_typer(groups[group], name=group)
        groups[group].command(name=name, cls=_Command, help=command.summary, short_help=command.summary)(_placeholder)
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit: 0 done, 1 an error, 2 a mistake on the command line, 130 interrupted."""
    output.settings.reset()
    # Threads of PyTorch that wait for each other would do so with the processor busy; what they begin with is read when
    # its library is loaded, and most commands never do.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "_MOLVIS_COMPLETE" in os.environ:
        from typer.completion import completion_init

        completion_init()
    try:
        make_app()(None if arguments is None else list(arguments), prog_name="molvis")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if _session.debug or not _expected(error):
            raise
        sys.stdout.flush()
        output.note(f"error: {' '.join(str(error).splitlines())}")
    sys.exit(1)


def _expected(error: Exception) -> bool:
    from molvis_core.errors import MolvisError

    return isinstance(error, (MolvisError, OSError))
