"""What holds for every command, those of plugins too: `--json`, `--quiet`, wrong paths, interrupts, completion."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import barcode
import pytest

from molvis_cli import app
from molvis_core.registry import load
from molvis_core.testing import offer
from molvis_retrieval.importing import write

WITHOUT_RESULT = {"completion"}
RESULTS = [
    "data import unknown.codes --out imported",
    "data describe data",
    "data verify data",
    "data split imported",
    "data export data --out exported.mgf",
    "data export network.toml --out converted.toml",
    "predict ccs-ensemble CCO --column [M+H]+",
    "fit flux-fit network.toml --set samples=50 --set starts=2",
    "library build bundle alcohols.smi --out built",
    "library convert index --out partitions",
    "library describe index",
    "library verify index",
    "bundle verify bundle",
    "bundle join bundle sizes --out both",
    "identify unknown.codes --bundle bundle --library index",
    "calibrate bundle data --library index --out calibrated",
    "evaluate bundle data --library index --scope mass",
    "config fill default",
    "config presets",
    "config presets default",
    "plugin new molvis-made --out made",
    "plugins",
    "list losses",
    "nmr simulate --smiles CCO --points 100",
    "flux check network.toml",
    "flux simulate network.toml",
    "flux sample network.toml --n 10",
    "references build known.mgf --out refs",
    "references describe refs",
    "search known.mgf --references refs",
    "network known.mgf --out joined.graphml",
]
WRONG = [
    "data import nowhere --out a", "data describe nowhere", "data split nowhere", "train nowhere.toml --out a",
    "data export nowhere --out a.mgf", "fit flux-fit nowhere",
    "train default --data nowhere --out a", "pretrain nowhere --out a", "library build massbank nowhere",
    "library build massbank --dataset nowhere", "library describe nowhere",
    "library convert nowhere --out a", "identify nowhere --library nowhere",
    "features nowhere --out a", "annotate nowhere --library nowhere --out a",
    "identify --msms nowhere --library nowhere", "calibrate massbank nowhere --library nowhere",
    "evaluate massbank nowhere --library nowhere", "config fill nowhere", "nmr fit nowhere --smiles CCO",
    "nmr fit nowhere#1 --smiles CCO", "nmr quantify nowhere --library nowhere", "nmr convert nowhere a.csv",
    "nmr process nowhere --out a.csv", "nmr simulate --system nowhere", "flux check nowhere", "flux simulate nowhere",
    "flux fit nowhere", "flux map nowhere",
    "flux compare nowhere nowhere", "flux design nowhere", "flux sample nowhere",
    "flux compose nowhere --out a", "flux train nowhere --out a", "flux estimate nowhere nowhere",
    "references build nowhere --out a", "references describe nowhere",
    "serve --library nowhere", "search nowhere --references nowhere", "network nowhere",
]  # fmt: skip


def run(line: str) -> int:
    with pytest.raises(SystemExit) as caught:
        app.main(line.split())
    return int(caught.value.code or 0)


def make_sizes(folder: Path) -> None:
    """A second bundle, of cross sections, with a space of its own."""
    from molvis_core.registry import build
    from molvis_retrieval.bundle import save_bundle
    from molvis_retrieval.config import parse_config

    encoders = {"ccs": {"use": "ccs", "dim": 16}, "structure": {"use": "neutral-mass", "of": "structure", "dim": 16}}
    config = parse_config("""
name = "sizes"
encoders.ccs = { use = "ccs", dim = 16 }
encoders.structure = { use = "neutral-mass", of = "structure", dim = 16 }
data.path = "elsewhere"
[[pairs]]
query = "ccs"
reference = "structure"
loss = "infonce"
""")
    save_bundle(folder, config, {key: build("encoder", spec).state_dict() for key, spec in encoders.items()})


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from molvis_flux.formats.writers import write_study
    from molvis_flux.model.examples import antoniewicz

    with offer(barcode.PLUGIN), pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("workplace"))
        bundle = barcode.make_bundle(Path("bundle"))
        barcode.make_index(bundle, Path("index"))
        make_sizes(Path("sizes"))
        Path("unknown.codes").write_text("CCCCO\nCCC(C)O\n", encoding="utf-8")
        Path("known.mgf").write_text(
            "BEGIN IONS\nTITLE=ethanol\nPEPMASS=47.0491\nSMILES=CCO\n29.0386 1\nEND IONS\n", encoding="utf-8"
        )
        Path("alcohols.smi").write_text("CCO\nCCCO\n", encoding="utf-8")
        write_study(Path("network.toml"), antoniewicz())
        many = [(s, i, f) for i, f in enumerate(("train", "val", "test")) for s in barcode.STRUCTURES[:21]]
        write([barcode.measurement(s, noise=0.7, seed=i, fold=f) for s, i, f in many], Path("data"))
        yield


@pytest.mark.parametrize("line", RESULTS)
@pytest.mark.usefixtures("workplace")
def test_json_is_all_that_is_printed_and_quiet_says_nothing(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(f"{line} --json --quiet") == 0
    shown = capfd.readouterr()
    assert isinstance(json.loads(shown.out), (dict, list))
    assert shown.err == ""


@pytest.mark.parametrize("path", sorted(set(app.commands()) - WITHOUT_RESULT))
def test_every_command_takes_json_and_quiet_and_answers(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"{path} --help") == 0
    shown = capsys.readouterr().out
    assert "--json" in shown
    assert "--quiet" in shown
    if not any(line.startswith(path) for line in RESULTS):  # those are run, above
        module, _, function = app.commands()[path].target.partition(":")
        callback = load("command", function) if module == "command" else getattr(sys.modules[module], function)
        assert "output.as_json(" in inspect.getsource(sys.modules[callback.__module__])


SCRIPT = """
import json, sys
from molvis_cli.app import main
import contextlib, io
seen = []
for line in json.load(sys.stdin):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            main(line.split())
    except SystemExit as done:
        heavy = [m for m in ("torch", "rdkit", "scipy", "pyarrow", "jax", "matplotlib") if m in sys.modules]
        seen.append([line, done.code, said.getvalue(), heavy])
print(json.dumps(seen))
"""


def test_a_wrong_path_is_answered_before_anything_heavy_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps(WRONG), capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert len(found) == len(WRONG)
    for line, code, said, heavy in found:
        assert (code, heavy) == (1, []), (line, said)
        assert re.fullmatch(r"error: nowhere[^\n]*: no such file[^\n]*\n", said), (line, said)


@pytest.mark.parametrize(
    ("line", "function", "said"),
    [
        (
            "library build bundle alcohols.smi --out b",
            "molvis_retrieval.index.build_index",
            "it goes on where it stopped",
        ),
        ("train default --out run", "molvis_retrieval.training.loop.train", "it goes on where it stopped"),
        (
            "data import unknown.codes --out c",
            "molvis_retrieval.importing.import_files",
            "it starts from the beginning",
        ),
        ("flux train network.toml --out d", "molvis_flux.neural.training.train", "it goes on where it stopped"),
        ("nmr simulate --smiles CCO", "molvis_nmr.workflows.simulate.simulate_file", "it starts from the beginning"),
    ],
)
@pytest.mark.usefixtures("workplace")
def test_an_interrupt_says_how_to_go_on(
    line: str, function: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(function, interrupted)
    assert run(line) == 130
    assert capsys.readouterr().err == f"interrupted; run the same command again: {said}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"completion {shell}") == 0
    assert f"_MOLVIS_COMPLETE=complete_{shell}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("molvis cal", {"calibrate"}),
        ("molvis nmr qu", {"quantify"}),
        ("molvis identify --libr", {"--library"}),
        ("molvis identify --bundle mass", {"massbank"}),
        ("molvis identify --reader mz", {"mzml", "mzxml"}),
        ("molvis config fill pnnl", {"pnnl-2024"}),
        ("molvis list enc", {"encoder"}),
        ("molvis check molvis-l", {"molvis-losses"}),
        ("molvis pretrain a.smi --method mask", {"masking"}),
    ],
)
def test_names_are_completed(typed: str, offered: set[str]) -> None:
    words = typed.split()
    asked = {"_MOLVIS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "molvis_cli"], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert set(done.stdout.split()) & offered
    assert all(found.startswith(words[-1]) for found in done.stdout.split())
