"""One run by two processes under torchrun, as on several GPUs or machines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from molvis_retrieval import load_bundle

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_two_processes_train_one_bundle(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    molvis = (sys.executable, "-m", "molvis_cli")
    run(sys.executable, str(ROOT / "examples" / "simulate_spectra.py"), "spectra.mgf")
    run(*molvis, "data", "import", "spectra.mgf", "--out", "dataset")
    run(*molvis, "data", "split", "dataset")
    text = (ROOT / "examples" / "quick.toml").read_text(encoding="utf-8")
    config = text.replace("epochs = 12", 'epochs = 2\ndevices = 2\nstrategy = "ddp"')
    (tmp_path / "two.toml").write_text(config, encoding="utf-8")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    printed = run(*torchrun, "-m", "molvis_cli", "train", "two.toml", "--out", "run")
    assert printed.count("best epoch") == 1, "only the first process prints"
    assert load_bundle(tmp_path / "run" / "bundle").metadata["best_epoch"] in (1, 2)
