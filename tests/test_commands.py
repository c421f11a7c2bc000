"""Commands that plugins bring."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from fake_plugins import Install, install, manifest

from molvis_cli import app

__all__ = ["install"]

RAMAN = """
from typing import Annotated

import typer

from molvis_core import output


def shift(
    path: Annotated[str, typer.Argument(help="A spectrum.")],
    laser: Annotated[float, typer.Option(help="Wavelength in nm.")] = 785.0,
) -> None:
    \"\"\"Say where the laser is.\"\"\"
    output.print_json({"path": path, "laser": laser})
"""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    app.make_app.cache_clear()
    yield
    app.make_app.cache_clear()


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        app.main(arguments)
    return int(caught.value.code or 0)


def test_a_command_of_a_plugin_runs_under_its_group(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"acme.py": manifest("command raman-shift acme_commands:shift"), "acme_commands.py": RAMAN}
    install("acme-raman", files, "acme")
    assert run("--help") == 0
    assert re.search(r"^  raman +Commands of acme-raman\.$", capsys.readouterr().out, re.MULTILINE)
    assert run("raman", "--help") == 0
    assert re.search(r"^  shift +For tests\.$", capsys.readouterr().out, re.MULTILINE)
    assert run("raman", "shift", "--help") == 0
    assert "Wavelength in nm." in capsys.readouterr().out
    assert run("raman", "shift", "a.txt", "--laser", "532") == 0
    assert json.loads(capsys.readouterr().out) == {"path": "a.txt", "laser": 532.0}


def test_a_command_in_the_words_of_the_plugin_alone_needs_no_group(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"acme.py": manifest("command shift acme_commands:shift"), "acme_commands.py": RAMAN}
    install("acme-raman", files, "acme")
    assert run("shift", "a.txt") == 0
    assert json.loads(capsys.readouterr().out)["laser"] == 785.0


def test_a_plugin_cannot_take_the_words_of_the_command_line_itself(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"acme.py": manifest("command plugin-new acme_commands:shift"), "acme_commands.py": RAMAN}
    install("acme-raman", files, "acme")
    assert run("plugin", "new", "--help") == 0
    assert "laser" not in capsys.readouterr().out


def test_of_two_plugins_with_one_command_neither_wins(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        files = {f"{name}.py": manifest(f"command raman-shift {name}_commands:shift"), f"{name}_commands.py": RAMAN}
        install(f"acme-{name}", files, name)
    assert run("raman", "shift", "a.txt") == 1
    assert "2 plugins offer a command named 'raman-shift': acme-one" in capsys.readouterr().err


def test_a_command_whose_plugin_is_broken_fails_alone(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme-raman", {"acme.py": manifest("command raman-shift acme_nowhere:shift")}, "acme")
    assert run("--help") == 0
    assert run("raman", "shift", "a.txt") == 1
    assert "acme_nowhere" in capsys.readouterr().err


def test_a_long_epoch_of_training_writes_lines_between_its_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from molvis_core import output
    from molvis_nn.loop import TrainingProgress
    from molvis_retrieval.commands.train import training_bar

    def said(every: float) -> list[str]:
        monkeypatch.setattr(output, "LOG_EVERY", every)
        with training_bar() as show:
            show(TrainingProgress(0, 0, 0, 2, message="preparing"))
            for step in (1, 2, 3):
                show(TrainingProgress(step, 4, 0, 2, 0.5, 10.0))
            show(TrainingProgress(4, 4, 1, 2, 0.25, 10.0))
        return capsys.readouterr().err.splitlines()

    first, last = "epoch 0/2 loss 0.5000 10 compounds/s", "epoch 1/2 loss 0.2500 10 compounds/s"
    between = [f"epoch 0/2 step {step}/4 loss 0.5000 10 compounds/s" for step in (2, 3)]
    assert said(1e9) == ["preparing", first, last]
    assert said(0.0) == ["preparing", first, *between, last]
