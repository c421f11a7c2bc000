"""Errors, exit codes and output of the command line."""

from __future__ import annotations

import json
import re
import warnings

import pytest

from molvis_cli import app
from molvis_core.errors import MolvisError
from molvis_core.testing import offer, toy_component

OWN = "completion"
"""A command that is there whichever plugins are installed; others stand in for it."""


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        app.main(arguments)
    return int(caught.value.code or 0)


def raises(error: BaseException) -> app.Command:
    """A command whose function raises; stands in for one of the table."""

    def broken() -> None:
        """Raise."""
        raise error

    globals()["broken"] = broken
    return app.Command(f"{__name__}:broken", "Raise.")


@pytest.mark.parametrize("path", ["", *sorted({p.split()[0] for p in app.commands() if " " in p})])
def test_help_lists_every_command_of_the_table(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*path.split(), "--help") == 0
    shown = capsys.readouterr().out
    for name, command in app.commands().items():
        if name.rpartition(" ")[0] == path:
            assert re.search(rf"^  {name.rpartition(' ')[2]} +{re.escape(command.summary)}$", shown, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(app.COMMANDS))
def test_every_command_of_the_table_can_be_imported_and_says_what_it_does(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*path.split(), "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: molvis {path}")
    assert re.search(r"^  [A-Z].*\.", shown, re.MULTILINE)


def test_the_version_names_all_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert re.fullmatch(r"molvis-cli \d\S+, molvis-core \d\S+, Python 3\.\d+\.\d+\n", capsys.readouterr().out)


def test_an_error_of_molvis_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(app.COMMANDS, OWN, raises(MolvisError("spectra.mgf:3: no precursor\nwrite PEPMASS")))
    assert run(OWN) == 1
    caught = capsys.readouterr()
    assert (caught.out, caught.err) == ("", "error: spectra.mgf:3: no precursor write PEPMASS\n")


def test_a_full_disk_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(app.COMMANDS, OWN, raises(OSError(28, "No space left on device", "index")))
    assert run(OWN) == 1
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device: 'index'\n"


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.COMMANDS, OWN, raises(MolvisError("no precursor")))
    with pytest.raises(MolvisError, match="no precursor"):
        app.main(["--debug", OWN])


def test_a_mistake_of_our_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.COMMANDS, OWN, raises(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):
        app.main([OWN])


def test_a_deprecation_in_somebody_elses_library_is_shown_only_when_debugging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def deprecated() -> None:
        """Warn."""
        warnings.warn("torch.jit is going away", FutureWarning, stacklevel=1)

    monkeypatch.setitem(globals(), "deprecated", deprecated)
    monkeypatch.setitem(app.COMMANDS, OWN, app.Command(f"{__name__}:deprecated", "Warn."))
    assert run(OWN) == 0
    assert capsys.readouterr().err == ""
    with pytest.warns(FutureWarning, match="going away"):
        run("--debug", OWN)


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.COMMANDS, OWN, raises(KeyboardInterrupt()))
    assert run(OWN) == 130


def test_a_command_whose_module_is_missing_fails_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(app.COMMANDS, OWN, app.Command("molvis_cli.nowhere:gone", "Gone."))
    assert run("--help") == 0
    assert run("plugins") == 0
    capsys.readouterr()
    assert run(OWN) == 1
    assert f"molvis {OWN} cannot be loaded from molvis_cli.nowhere:gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plugin", "nwe"), "Did you mean 'new'?"),
        (("pluginss",), "Did you mean"),
        (("check",), "Missing argument"),
        (("list", "--jsn"), "No such option"),
        (("plugin",), "Usage: molvis plugin"),
    ],
)
def test_a_mistake_on_the_command_line_exits_with_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    caught = capsys.readouterr()
    assert message in caught.out + caught.err


def test_list_prints_components_for_people_and_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    with offer(toy_component("target", "toy-pairs", run, summary="Pairs of a toy.")):
        assert run("list", "targets") == 0
        assert re.search(r"^target +toy-pairs +Pairs of a toy\.", capsys.readouterr().out, re.MULTILINE)
        assert run("list", "target", "--json") == 0
        assert "toy-pairs" in [c["name"] for c in json.loads(capsys.readouterr().out)]
        assert run("list", "targt") == 1
        assert "Did you mean 'target'?" in capsys.readouterr().err


def test_plugins_says_where_each_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plugins") == 0
    assert re.search(r"^core +molvis-core \S+ +molvis_core\.plugin .* ok$", capsys.readouterr().out, re.MULTILINE)
    assert run("plugins", "--json") == 0
    assert "core" in [p["name"] for p in json.loads(capsys.readouterr().out)]


def test_check_of_something_that_is_not_installed_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "molvis-cor") == 1
    assert "no plugin named 'molvis-cor' is installed. Did you mean 'molvis-core'?" in capsys.readouterr().err
