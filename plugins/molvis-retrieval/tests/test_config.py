from __future__ import annotations

import logging
import tomllib
from pathlib import Path

import pytest
from fake_plugins import Install, install, manifest

from molvis_core.errors import ComponentError, ConfigError, MolvisError
from molvis_core.registry import warn_of_old_name
from molvis_files.documents import write_toml
from molvis_retrieval.config import RENAMED, config_from, config_path, fill, parse_config, read_config

__all__ = ["install"]

SOURCE = '''
class Spectra:
    """An encoder."""
    def __init__(self, dim: int = 64, layers: tuple[int, ...] = (1, 2), part=None): ...

class Loss:
    def __init__(self, temperature: float = 0.07, learned: bool = False): ...
'''

RUN = """\
name = "a run"

[data]
path = "dataset"
adducts = ["[M+H]+", "[M-H]-"]

[encoders.msms]
use = "spectra"
dim = 32

[encoders.structure]
use = "spectra"
part = { use = "spectra", dim = 8 }

[[pairs]]
query = "msms"
reference = "structure"
loss = { use = "plain", temperature = 0.1 }

[train]
epochs = 3
learning_rate = 1
"""


@pytest.fixture(autouse=True)
def acme(install: Install) -> None:
    parts = ("encoder spectra acme_parts:Spectra", "loss plain acme_parts:Loss")
    install("acme", {"acme.py": manifest(*parts), "acme_parts.py": SOURCE}, "acme")


def refused(text: str, kind: type[MolvisError] = ConfigError) -> str:
    with pytest.raises(kind) as caught:
        parse_config(text, path="run.toml")
    return str(caught.value)


def test_a_configuration_is_read_into_dataclasses_of_the_right_types() -> None:
    config = parse_config(RUN)
    assert config.data.adducts == ("[M+H]+", "[M-H]-")
    assert (config.train.epochs, config.train.learning_rate) == (3, 1.0)
    assert isinstance(config.train.learning_rate, float)
    assert config.pairs[0].target == {"use": "same-compound"}
    assert config.encoders["msms"] == {"use": "spectra", "dim": 32}


def test_a_component_may_be_named_by_a_string_alone() -> None:
    config = parse_config(RUN.replace('{ use = "plain", temperature = 0.1 }', '"plain"'))
    assert config.pairs[0].loss == {"use": "plain"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3", "epoch = 3", "run.toml:21: [train] has no key 'epoch'. Did you mean 'epochs'?"),
        ("[train]", "[trian]", "run.toml:20: the top level has no key 'trian'. Did you mean 'train'?"),
        ("epochs = 3", 'epochs = "3"', "run.toml:21: train.epochs must be int, got '3'"),
        ("epochs = 3", "epochs = true", "run.toml:21: train.epochs must be int, got True"),
        ("epochs = 3", "clip = true", "run.toml:21: train.clip must be float, got True"),
        (
            "epochs = 3",
            'select = "hit"',
            "train.select must be one of 'hit1', 'mrr', 'loss', got 'hit'. Did you mean 'hit1'?",
        ),
        ("epochs = 3", "betas = [0.9]", "run.toml:21: train.betas must be tuple[float, float], got [0.9]"),
        ("epochs = 3", "betas = [0.9, 'x']", "run.toml:21: train.betas.2 must be float, got 'x'"),
        ("epochs = 3", "devices = 1.5", "run.toml:21: train.devices must be int | str, got 1.5"),
        ("epochs = 3", 'freeze = ["msm"]', "run.toml:21: freeze names 'msm'; the encoders are msms, structure"),
        ('path = "dataset"', "", "data.path is missing"),
        ('path = "dataset"', "path = 3", "run.toml:4: data.path must be str, got 3"),
        ('query = "msms"', 'query = "msm"', "pair 1 names 'msm', but [encoders.msm] is missing. Did you mean 'msms'?"),
        ("temperature = 0.1", "temprature = 0.1", "no argument 'temprature'. Did you mean 'temperature'?"),
        (
            "dim = 32",
            "dimm = 32",
            "run.toml:9: encoders.msms: encoder 'spectra' has no argument 'dimm'. Did you mean 'dim'?",
        ),
        ("dim = 32", "use = 32", "run.toml: not TOML"),
        ('use = "spectra"\ndim = 32', "dim = 32", "encoders.msms: the key 'use' must name a component"),
        ("epochs = 3", "epochs = ", "run.toml: not TOML: Invalid value (at line 21"),
    ],
)
def test_a_mistake_names_file_line_and_key(old: str, new: str, message: str) -> None:
    assert old in RUN
    assert message in refused(RUN.replace(old, new, 1))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('weight = "x"', "run.toml:27: pairs.2.weight must be float, got 'x'"),
        ('loss = "plane"', "run.toml:27: no loss named 'plane'"),
        ('loss = { use = "plain", temp = 1 }', "run.toml:27: pairs.2.loss: loss 'plain' has no argument 'temp'"),
        ("negatives = []", "run.toml:27: pairs.2.negatives must be int, got []"),
    ],
)
def test_a_mistake_in_the_second_of_two_pairs_names_its_line(line: str, message: str) -> None:
    text = RUN + f'[[pairs]]\nquery = "msms"\nreference = "structure"\n{line}\n'
    text += 'loss = "plain"\n' * ("loss" not in line)
    with pytest.raises(MolvisError) as caught:
        parse_config(text.replace("temperature = 0.1 }", "temperature = 0.1 }\nweight = 1.0"), path="run.toml")
    assert message in str(caught.value)


def test_a_component_that_does_not_exist_names_its_line() -> None:
    message = refused(RUN.replace('"plain"', '"plane"'), ComponentError)
    assert message.startswith("run.toml:18: ")
    assert "no loss named 'plane'. Did you mean 'plain'?" in message


def test_a_run_without_pairs_is_refused() -> None:
    text = RUN[: RUN.index("[[pairs]]")]
    assert "set [joint] pairings = 'all'" in refused(text)
    assert "no [[pairs]]; name at least one query and reference" in refused("pairs = []\n" + text)


def test_filling_writes_every_default_and_reads_back_as_the_same_run() -> None:
    config = parse_config(RUN)
    text = write_toml(fill(config))
    again = parse_config(text)
    assert fill(again) == fill(config)
    assert write_toml(fill(again)) == text
    raw = tomllib.loads(text)
    assert raw["train"]["batch"] == config.train.batch
    assert raw["pairs"][0]["loss"] == {"use": "plain", "temperature": 0.1, "learned": False}
    assert raw["encoders"]["msms"] == {"use": "spectra", "dim": 32, "layers": [1, 2]}
    assert raw["data"]["adducts"] == ["[M+H]+", "[M-H]-"]
    assert (raw["data"]["train"], raw["data"]["validation"], raw["data"]["min_peaks"]) == ("train", "val", 1)


def test_filling_reaches_components_inside_components() -> None:
    filled = fill(parse_config(RUN))
    assert filled["encoders"]["structure"]["part"] == {"use": "spectra", "dim": 8, "layers": [1, 2]}


def test_a_file_is_read_like_its_text(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN, encoding="utf-8")
    assert read_config(path) == parse_config(RUN)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run.toml: cannot be read"):
        read_config(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"run.toml: cannot be read"):
        read_config(tmp_path / "run.toml")


def test_a_preset_is_found_by_name_and_a_file_by_path(tmp_path: Path, install: Install) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN, encoding="utf-8")
    preset = f"from pathlib import Path\nRUN = Path({str(path)!r})\n"
    install("presets", {"presets.py": manifest("preset quick presets_at:RUN"), "presets_at.py": preset}, "presets")
    assert config_path("quick") == path
    assert config_path(path) == path
    with pytest.raises(ConfigError, match=r"quik: no such file, and no preset of this name. Did you mean 'quick'\?"):
        config_path("quik")


OLD = RUN.replace("epochs = 3", 'average = 0.9\nstart = { msms = "runs/x" }\nepochs = 3') + "[joint]\nleast = 3\n"


def test_old_keys_work_with_one_warning_that_names_the_new_one(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_old_name.cache_clear()
    with caplog.at_level(logging.WARNING, "molvis"):
        config = parse_config(OLD)
        parse_config(OLD)
    assert (config.train.ema_decay, config.train.init_from, config.joint.min_compounds) == (0.9, {"msms": "runs/x"}, 3)
    assert [record.message for record in caplog.records] == [
        f"configuration key '{section}.{old}' is called '{section}.{new}' now; the old name works in this release and "
        "not in the next"
        for (section, old), new in RENAMED.items()
    ]
    assert "average" not in write_toml(fill(config))


def test_old_keys_of_a_stored_configuration_are_read_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    stored = tomllib.loads(OLD)
    with caplog.at_level(logging.WARNING, "molvis"):
        assert config_from(stored).train.ema_decay == 0.9
    assert not caplog.records
    assert stored == tomllib.loads(OLD), "what is stored stays as it is"


def test_a_key_by_its_old_and_its_new_name_is_refused() -> None:
    message = refused(OLD.replace("average = 0.9", "average = 0.9\nema_decay = 0.9"))
    assert message.startswith("run.toml:21: train.average is the old name of train.ema_decay, and both are given.")
