"""Other programs and published scores beside ours, on the same queries and candidates, in one run.

    python benchmarks/msms_peers.py --dataset DATASET --index INDEX --fold val --work peers \
        --matchms peers/matchms/bin/python --ms2deepscore peers/ms2deepscore/bin/python

DATASET is what `molvis data import massbank_open.parquet` makes, INDEX what `molvis library build` makes of the
candidates and it. For each spectrum of the fold the structures within 10 ppm of its precursor's mass are ranked, as
`molvis evaluate` does; beside it with the peaks of the compound nearest in mass, and at random. Hit rates are means
over compounds, with 95% bootstrap intervals.

- `metfrag`: a MetFrag-like score of the candidates' fragments (benchmarks/msms_peers_metfrag.py);
- `matchms`: cosine and modified cosine against up to six spectra of each compound of the training fold, by matchms;
- `ms2deepscore`: a learned similarity in place of a cosine, trained here on the training fold within CPU seconds, by
  MS2DeepScore;
- `contrastive`: encoders of spectra and of structures trained side by side, the architecture of JESTR within the same
  CPU seconds (benchmarks/msms_peers_contrastive.py).

A search finds spectra of other compounds, and these vote for candidates that look like theirs (benchmarks/
msms_peers_votes.py); how is chosen on the fold `val`, which has to be run first. What is done is read from the file of
results and not done again, unless `--again` names it. Writes benchmarks/results/msms-peers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msms_peers_contrastive import Contrastive
from msms_peers_exchange import Hits, Spectra
from msms_peers_metfrag import MetFrag
from msms_peers_task import CONTROLS, Question, Task, as_spectra, at_random, known_spectra, ranked
from msms_peers_votes import ANALOGUE, TRIED, Vote, Voter

from molvis_core.output import progress
from molvis_files.writing import write_text
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.index import Index

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "msms-peers.json"
PREPARED = {"train.npz": ("train", None), "references.npz": ("train", 6), "check.npz": ("val", 4)}
"""What is trained on, what is searched, and what a training stops by: of which fold, and how many of a compound."""
SEARCHES = {"matchms": ("cosine", "modified-cosine"), "ms2deepscore": ("ms2deepscore",)}
"""Programs with an environment of their own, and what they search by."""
NEEDED = {"matchms": ("matchms",), "ms2deepscore": ("ms2deepscore", "rdkit", "onnxruntime")}
"""Packages that the environment of each needs: MS2DeepScore imports two that it does not ask for."""
PEERS = ("metfrag", *SEARCHES, "contrastive")


@dataclass(frozen=True)
class Run:
    """What a run was asked for.

    Attributes:
        dataset, index, work: folders.
        fold: whose compounds are asked for.
        controls: what they are asked for with.
        pythons: of the programs.
        seconds: of training, in CPU time.
        out: file of results.
    """

    dataset: Dataset
    index: Index
    work: Path
    fold: str
    controls: Sequence[str]
    pythons: dict[str, str]
    seconds: float
    out: Path


def spent() -> float:
    """CPU seconds of this process and of those that it waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)


def missing(program: str, python: str | None) -> str:
    """Why a program cannot be run; empty where it can."""
    needed = NEEDED[program]
    make = f"python -m venv {program} && {program}/bin/pip install {' '.join(needed)}"
    recipe = f"{make}, then --{program} {program}/bin/python"
    if python is None:
        return f"no Python was named for it: {recipe}"
    try:
        ran = subprocess.run([python, "-c", f"import {', '.join(needed)}"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"--{program} {python} does not start ({error.strerror}): {recipe}"
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"--{program} {python} lacks a package ({said}): {recipe}"
    return ""


def started(run: Run, program: str, control: str, say: Callable[[int, int], None]) -> None:
    """Run a program on the queries of a control.

    Raises:
        SystemExit: it fails; with the end of what it said.
    """
    line = [run.pythons[program], str(HERE / f"msms_peers_{program}.py"), str(run.work.resolve())]
    line += ["--fold", run.fold, "--control", control]
    if program == "ms2deepscore":
        line += ["--seconds", str(run.seconds)]
    # One process of one thread: CPU seconds are what is compared, and joblib's workers would not be counted.
    one = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "PYTHONUNBUFFERED")
    alone = {**os.environ, **dict.fromkeys(one, "1")}
    log = run.work / f"{program}.log"
    with (
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=file, text=True, env=alone) as process,
    ):
        for text in process.stdout or ():
            if text.startswith("PROGRESS "):
                done, total = map(int, text.split()[1:])
                say(done, total)
            else:
                file.write(text)
    if process.returncode:
        end = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
        raise SystemExit(f"{program} failed with status {process.returncode}; the end of {log}:\n{end}")


def prepare(run: Run, task: Task) -> None:
    """Files for the programs: what is known, what training stops by, and what is asked for without its structures."""
    for name, (fold, most) in PREPARED.items():
        if not (run.work / name).is_file():
            known_spectra(run.dataset, fold, most).save(run.work / name)
    for kind, records in task.records.items():
        file = run.work / run.fold / f"{kind}.npz"
        if not file.is_file():
            as_spectra(records, task.keys.tolist(), {}).save(file)


def search(run: Run, task: Task, program: str, before: dict[str, Any]) -> dict[str, Any]:
    """Figures of a program's searches.

    Args:
        run: what was asked for.
        task: who is asked for.
        program: that searches.
        before: what was found of it on the validation fold; empty where this is that.
    """
    prepare(run, task)
    names = SEARCHES[program]
    for control in task.records:
        with progress(f"{program}, {control}") as say:
            if not all((run.work / run.fold / f"{name}-{control}.npz").is_file() for name in names):
                started(run, program, control, lambda done, total, say=say: say(done, total))
    references = Spectra.load(run.work / "references.npz")
    found: dict[str, Any] = {"references": len(references), "reference_compounds": len(references.smiles)}
    for name in names:
        hits = {kind: Hits.load(run.work / run.fold / f"{name}-{kind}.npz") for kind in task.records}
        voter = Voter(references, hits)
        chosen = before.get("votes", {}).get(name)
        votes = [ANALOGUE, *([Vote(**chosen)] if chosen else TRIED)]
        every = counted(task, voter, votes, f"{name}: votes")
        best = max(votes[1:], key=lambda vote: every[vote]["spectrum"]["mrr"][0])
        found.setdefault("votes", {})[name] = asdict(best)
        both = {f"{name}, best analogue": every[ANALOGUE], f"{name}, vote": every[best]}
        found.setdefault("methods", {}).update(both)
    budget = run.work / program / "budget.json"
    if budget.is_file():
        found["training"] = json.loads(budget.read_text(encoding="utf-8"))
    return found


def counted(task: Task, voter: Voter, votes: Sequence[Vote], what: str) -> dict[Vote, Any]:
    """Figures of ways to vote; all of them are made of one look at the candidates."""
    cache: dict[tuple[str, str], dict[Vote, Sequence[Any]]] = {}

    def scores(question: Question, kind: str, vote: Vote) -> Sequence[Any]:
        if (question.key, kind) not in cache:
            for old in [key for key in cache if key[0] != question.key]:
                del cache[old]
            cache[question.key, kind] = dict(zip(votes, voter.scores(question, kind, votes), strict=True))
        return cache[question.key, kind][vote]

    methods = {str(vote): lambda q, kind, vote=vote: scores(q, kind, vote) for vote in votes}
    with progress(what) as say:
        found = ranked(task, methods, say)
    return {vote: found[str(vote)] for vote in votes}


def metfrag(task: Task) -> dict[str, Any]:
    """Figures of the MetFrag-like score."""
    with progress("metfrag") as say:
        return {"methods": ranked(task, {"MetFrag-like": MetFrag(task.records)}, say)}


def contrastive(run: Run, task: Task) -> dict[str, Any]:
    """Figures of the contrastive encoders."""
    prepare(run, task)
    with progress("contrastive: training") as say:
        model = Contrastive.trained(run.work, run.seconds, say)
    with progress("contrastive") as say:
        methods = ranked(task, {"contrastive encoders": model.scorer(task.records)}, say)
    return {"methods": methods, "training": model.budget}


def measure(run: Run, task: Task, peer: str, before: dict[str, Any]) -> dict[str, Any]:
    """Figures of a peer, and the CPU seconds that they took here."""
    began = spent()
    if peer in SEARCHES:
        found = search(run, task, peer, before)
    else:
        found = metfrag(task) if peer == "metfrag" else contrastive(run, task)
    return {**found, "cpu_seconds": round(spent() - began), "date": time.strftime("%Y-%m-%d")}


def about(run: Run, task: Task) -> dict[str, Any]:
    """What figures must have in common to stand in one table."""
    return {
        "dataset": run.dataset.digest,
        "queries": len(task),
        "compounds": len(task.truths),
        "library": len(run.index.library),
    }


def stored(out: Path) -> dict[str, Any]:
    """What a file of results has."""
    return json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}


def entered(run: Run, peer: str, found: dict[str, Any], common: dict[str, Any]) -> None:
    """Put a peer's figures into the file, which a run of the other fold may have written meanwhile."""
    results = stored(run.out)
    mine = results.setdefault(run.fold, {})
    mine.update(common)
    mine.setdefault("peers", {})[peer] = found
    write_text(run.out, json.dumps(results, indent=1) + "\n")


def reason_against(run: Run, peer: str, of_val: dict[str, Any]) -> str:
    """Why a peer cannot be measured now; empty where it can."""
    if peer not in SEARCHES:
        return ""
    if run.fold != "val" and peer not in of_val:
        return "how its hits vote is chosen on the validation fold: run it with --fold val first"
    return missing(peer, run.pythons.get(peer))


def all_of(run: Run, only: Sequence[str], again: Sequence[str]) -> None:
    """Measure the peers one after the other, and write after each.

    Raises:
        SystemExit: the results are of other queries.
    """
    results = stored(run.out)
    task = Task.of(run.dataset, run.index.library, run.fold, run.controls)
    mine, of_val = results.get(run.fold, {}), results.get("val", {}).get("peers", {})
    same = about(run, task)
    if mine.get("about", same) != same:
        raise SystemExit(f"{run.out} has figures of {mine['about']}, these would be of {same}: name another --out")
    common = {"about": same, "random": mine.get("random") or at_random(task)}
    for peer in only:
        if peer in mine.get("peers", {}) and peer not in again:
            print(f"{peer}: done before, {run.out} has it", flush=True)
        elif reason := reason_against(run, peer, of_val):
            print(f"{peer}: left out, {reason}", flush=True)
        else:
            found = measure(run, task, peer, of_val.get(peer, {}) if run.fold != "val" else {})
            entered(run, peer, found, common)
            show(found["methods"])


def show(methods: dict[str, Any]) -> None:
    """Print hit rates."""
    for name, by in methods.items():
        shares = {kind: [f"{100 * one[k][0]:.1f}" for k in ("hit1", "hit5", "hit20")] for kind, one in by.items()}
        print(f"{name}: {'; '.join(kind + ' ' + ' / '.join(some) for kind, some in shares.items())}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--fold", choices=("val", "test"), default="val")
    parser.add_argument("--work", type=Path, default=Path("msms-peers"))
    parser.add_argument("--without-decoy", action="store_true", help="in half the time, for development")
    parser.add_argument("--seconds", type=float, default=1500.0, help="CPU seconds of each training")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--again", nargs="+", choices=PEERS, default=())
    parser.add_argument("--out", type=Path, default=RESULTS)
    for program in SEARCHES:
        parser.add_argument(f"--{program}", metavar="PYTHON", help=f"of an environment with {program}")
    options = parser.parse_args()
    pythons = {name: getattr(options, name) for name in SEARCHES if getattr(options, name)}
    options.work.mkdir(parents=True, exist_ok=True)
    run = Run(
        Dataset.open(options.dataset), Index.open(options.index), options.work, options.fold,
        CONTROLS[: 1 if options.without_decoy else None], pythons, options.seconds, options.out,
    )  # fmt: skip
    all_of(run, options.only, options.again)


if __name__ == "__main__":
    sys.exit(main())
