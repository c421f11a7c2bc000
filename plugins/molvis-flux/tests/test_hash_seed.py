"""What is compiled from a network does not depend on the order in which Python iterates over sets."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
from test_formats_examples import DATA, EXAMPLES, beside

# Reads pickled (file, options, whether it is labelled in time) from its input; prints a digest of what is made of each.
DIGESTS = """
import dataclasses, hashlib, pickle, sys
import numpy as np
from molvis_flux.formats import read_study
from molvis_flux.labelling.instationary import compile_instationary
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Experiment
from molvis_flux.maps.layout import own_map

def parts(value):
    if isinstance(value, np.ndarray):
        yield value.tobytes()
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from parts(getattr(value, field.name))
    else:
        yield repr(value).encode()

for path, options, in_time in pickle.load(sys.stdin.buffer):
    study = read_study(path, **options)
    network, experiments = study.network, study.experiments[:1] or (Experiment("none"),)
    fragments = [name for name, fragment in network.fragments.items() if fragment.kind == "ms"]
    made = [own_map(network), compile_plan(network, experiments, fragments)]
    if in_time:
        made.append(compile_instationary(network, experiments, fragments))
    digest = hashlib.sha256(b"".join(part for each in made for part in parts(each)))
    print(path.name, len(made), digest.hexdigest())
"""


@pytest.mark.full
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no flux data in {DATA}: set MOLVIS_DATA")
def test_plans_and_layouts_of_all_examples_are_the_same_bit_by_bit_whatever_the_hash_seed() -> None:
    in_time = ("synechocystis", "Tutorial 2", "Example_4")
    jobs = pickle.dumps([
        (DATA / name, beside(options), any(word in name for word in in_time))
        for name, (options, _, fragments) in EXAMPLES.items()
        if fragments
    ])  # fmt: skip
    found = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS], input=jobs, capture_output=True, check=True, timeout=300,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.decode().splitlines()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert len(found[0]) == sum(fragments > 0 for _, _, fragments in EXAMPLES.values())
    assert found[0] == found[1]
