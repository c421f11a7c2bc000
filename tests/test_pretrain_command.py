"""`molvis pretrain` parses, calls one function, and prints what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from molvis_cli import app
from molvis_core.errors import ConfigError
from molvis_nn.pretrained import PretrainResult
from molvis_retrieval.training import pretraining


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        app.main(arguments)
    return int(caught.value.code or 0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []

    def pretrain(library: list[Path], encoder: str, folder: Path, *, progress: Any, **options: Any) -> PretrainResult:
        if encoder == "none":
            raise ConfigError("no encoder named 'none'")
        seen.append({"library": library, "encoder": encoder, "folder": folder, **options})
        return PretrainResult(folder, 19_600, {"loss": 1.5, "val_loss": 1.625}, 321.4)

    monkeypatch.setattr(pretraining, "pretrain", pretrain)
    monkeypatch.chdir(tmp_path)
    for name in ("a.smi", "b.smi"):
        Path(name).write_text("CCO", encoding="utf-8")
    return seen


def test_what_is_asked_for_reaches_the_library_function(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    given = ("--encoder", "attentivefp", "--epochs", "3", "--batch", "64", "--limit", "100", "--seed", "5")
    assert _run("pretrain", "a.smi", "b.smi", "--out", str(tmp_path), *given, "--workers", "2", "--no-resume") == 0
    assert calls == [
        {
            "library": [Path("a.smi"), Path("b.smi")], "encoder": "attentivefp", "folder": tmp_path,
            "method": "masking", "epochs": 3, "batch": 64, "limit": 100, "seed": 5, "workers": 2, "resume": False,
        }
    ]  # fmt: skip


def test_people_read_a_table_and_scripts_read_json(
    calls: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("pretrain", "a.smi", "--out", str(tmp_path)) == 0
    shown = capsys.readouterr()
    assert "val_loss" in shown.out
    assert "1.6250" in shown.out
    assert "19,600 structures, 321 a second" in shown.err
    assert str(tmp_path / "encoder.safetensors") in shown.err
    assert _run("pretrain", "a.smi", "--out", str(tmp_path), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "folder": str(tmp_path), "structures": 19600, "metrics": {"loss": 1.5, "val_loss": 1.625}, "rate": 321.4,
    }  # fmt: skip
    assert calls[0]["encoder"] == "gldm"


def test_an_error_is_one_line(calls: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("pretrain", "a.smi", "--out", str(tmp_path), "--encoder", "none") == 1
    assert capsys.readouterr().err == "error: no encoder named 'none'\n"


def test_config_fill_without_such_a_file_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("config", "fill", "nowhere.toml") == 1
    assert "error: nowhere.toml: no such file, and no preset of this name" in capsys.readouterr().err
