"""One run by two processes under torchrun, as on several GPUs or machines."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.records import Measurement, PeakList, Structure, Trace
from molvis_nn.loop import TrainingProgress
from molvis_retrieval import load_bundle
from molvis_retrieval.config import RunConfig, parse_config
from molvis_retrieval.importing import write
from molvis_retrieval.training.loop import train

ROOT = Path(__file__).parents[1]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
TOLERANCE = 1e-4

SCRIPT = """
import json, sys
from molvis_retrieval.config import read_config
from molvis_retrieval.training.loop import train

for name in sys.argv[1:]:
    losses = {}
    def note(state):
        if state.step and not state.message:
            losses[state.step] = state.loss
    train(read_config(f"{name}.toml"), name, progress=note)
    if losses:  # of the first process alone
        with open(f"{name}.json", "w") as file:
            json.dump(losses, file)
"""
SETTINGS = """
[data]
path = "dataset"
[train]
epochs = 12
batch = 8
learning_rate = 3e-3
accelerator = "cpu"
ema_decay = 0.9
[encoders.structure]
use = "fingerprint"
dim = 16
width = 16
fingerprints = ["morgan2"]
bits = 128
blocks = 0
dropout = 0.0
bit_dropout = 0.0
"""
PEAKS = """
[encoders.msms]
use = "peak-sum"
dim = 16
width = 16
blocks = 1
rows = 256
dropout = 0.0
peak_dropout = 0.0
precursor_jitter = 0.0
mz_jitter = 0.0
intensity_jitter = 0.0
"""
PAIR = '[[pairs]]\nquery = "msms"\nreference = "structure"\n'
ONE_LOSS = {
    "infonce": PAIR + 'loss = { use = "infonce", learned = true }\n',
    "bce": PAIR + 'loss = "bce"\n',
    "resumed": PAIR + 'loss = "siglip"\ntarget = "tanimoto"\n',
    "harder": PAIR + 'loss = "clerms"\ntarget = "tanimoto"\nnegatives = 2\n[negatives]\npath = "more.smi"\nppm = 1e5\n',
}
JOINT = """
[joint]
pairings = "all"
loss = { use = "infonce", learned = true }
min_compounds = 4
[encoders.ir]
use = "ir-resnet"
dim = 16
width = 4
dropout = 0.0
augmentation = 0.0
[encoders.fused]
use = "set-attention"
of = ["msms", "ir"]
dim = 16
heads = 2
dropout = 0.0
"""
CONFIGS = {name: SETTINGS + PEAKS + text for name, text in ONE_LOSS.items()}
CONFIGS["resumed"] = CONFIGS["resumed"].replace("[train]", "[train]\ncheckpoint_every = 0.0")
# What is centred does not depend on some weights: their gradients are nothing but rounding, which Adam scales up. At a
# higher rate such differences grow tenfold every ten steps.
CONFIGS["joint"] = (
    (SETTINGS + PEAKS + "centred = true\n" + JOINT)
    .replace("epochs = 12", 'epochs = 4\nbalance = "norm"')
    .replace("learning_rate = 3e-3", "learning_rate = 5e-4")
)


def spectrum(known: Structure, rng: np.random.Generator) -> PeakList:
    mz = np.sort([known.exact_mass / n + rng.normal(0, 1e-3) for n in range(1, 6)])
    return PeakList(mz, rng.random(5), ion_mz(known.exact_mass, "[M+H]+"), "[M+H]+", 1, "positive")


def trace(rng: np.random.Generator) -> Trace:
    return Trace(np.linspace(500, 4000, 200), rng.random(200))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a dataset of 36 compounds to learn from, half of which have an infrared spectrum too."""
    rng = np.random.default_rng(0)
    known = [structure("C" * n + tail) for n in range(1, 10) for tail in ("O", "N", "S", "Cl", "F")]
    items: list[Measurement] = []
    for number, one in enumerate(known):
        fold = "val" if number % 5 == 0 else "train"
        items += [Measurement(spectrum(one, rng), one, "msms", fold=fold) for _ in range(2)]
        if number % 2:
            items.append(Measurement(trace(rng), one, "ir", fold=fold))
    write(items, tmp_path / "dataset")
    more = (f"{'C' * n}{middle}{'C' * m}" for n in range(1, 7) for m in range(1, 7) for middle in ("O", "N", "S", "C"))
    (tmp_path / "more.smi").write_text("\n".join(more), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def alone(text: str) -> RunConfig:
    """What one process trains with: the batch of two."""
    config = parse_config(text)
    return replace(config, train=replace(config.train, batch=16, devices=1))


def losses(config: RunConfig, folder: str, stop: int = 0) -> dict[str, float]:
    """The loss of every step."""
    found: dict[str, float] = {}

    def note(state: TrainingProgress) -> None:
        if state.step and not state.message:
            found[str(state.step)] = state.loss
            if state.step == stop:
                raise KeyboardInterrupt

    train(config, folder, progress=note)
    return found


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("infonce", "joint"), marks=pytest.mark.full),
        pytest.param(("bce", "harder", "resumed"), marks=pytest.mark.slow),
    ],
)
def test_two_processes_have_the_losses_of_one_with_twice_the_batch(place: Path, names: tuple[str, ...]) -> None:
    (place / "script.py").write_text(SCRIPT, encoding="utf-8")
    for name in names:
        (place / f"{name}.toml").write_text(CONFIGS[name], encoding="utf-8")
    wanted = {name: losses(alone(CONFIGS[name]), f"{name}-alone") for name in names}
    if "resumed" in names:
        with pytest.raises(KeyboardInterrupt):
            losses(alone(CONFIGS["resumed"]), "resumed", stop=9)
    done = subprocess.run([*TORCHRUN, "script.py", *names], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, one in wanted.items():
        two = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
        # That run two processes go on with after nine steps of one, of which the last checkpoint is.
        begun = {str(step) for step in range(1, 9)} if name == "resumed" else set()
        assert len(one) >= 24
        assert set(two) == set(one) - begun
        assert max(abs(two[step] / one[step] - 1) for step in two) < TOLERANCE, name
        figures = [_last(place / folder) for folder in (name, f"{name}-alone")]
        assert figures[0] == pytest.approx(figures[1], rel=10 * TOLERANCE, abs=TOLERANCE), name


def _last(folder: Path) -> dict[str, float]:
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return {name: float(value) for name, value in list(csv.DictReader(file))[-1].items()}


@pytest.mark.slow
def test_the_command_of_the_documentation_trains_one_bundle(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^torchrun --standalone .*", page, re.MULTILINE)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(line: str) -> str:
        done = subprocess.run(
            shlex.split(line), cwd=tmp_path, env={**os.environ, "PATH": programs}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("python examples/simulate_spectra.py spectra.mgf")
    run("molvis data import spectra.mgf --out dataset")
    run("molvis data split dataset")
    assert run(command).count("best epoch") == 1, "only the first process prints"
    assert load_bundle(tmp_path / "runs" / "two" / "bundle").metadata["best_epoch"] in (1, 2)
