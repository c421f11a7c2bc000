"""Encoders of structures pretrained without measurements: how they are made, kept, and taken up by a training run.

What a pretrainer leaves is a folder: `encoder.safetensors` with the weights, and `config.toml` with the encoder's
filled spec, the settings, the metrics and the weights' digest. There is no pickle in either.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from molvis_core import registry
from molvis_core.errors import BundleError, ConfigError, WriteError
from molvis_core.interfaces import Spec
from molvis_core.records import Structure
from molvis_core.registry import fill_spec
from molvis_files.digests import file_sha256
from molvis_files.documents import load_toml, to_plain
from molvis_files.folders import FolderFormat
from molvis_files.writing import replacing

if TYPE_CHECKING:
    from torch import Tensor

    from molvis_nn.loop import TrainingProgress

WEIGHTS, CONFIG = "encoder.safetensors", "config.toml"
FORMAT = FolderFormat(
    noun="pretrained encoder",
    file=CONFIG,
    version=2,
    error=BundleError,
    make="molvis pretrain writes it when it has ended.",
    mend="Pretrain anew.",
    sealed_from=2,
)
"""The folder. Version 1 had no checksum of its configuration."""


@dataclass(frozen=True, slots=True)
class PretrainResult:
    """What pretraining left behind.

    Attributes:
        folder: with the weights, `config.toml` and `metrics.csv`.
        structures: how many it learned from.
        metrics: of the last epoch; those that begin with `val_` on structures kept aside.
        rate: structures a second, over the steps of this call; 0 where it had none left to do.
    """

    folder: Path
    structures: int
    metrics: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0


class Pretrainer(Protocol):
    """Weights for an encoder from structures alone: a component of kind `pretrainer`."""

    def __call__(
        self,
        structures: Sequence[Structure],
        encoder: Spec,
        folder: Path,
        *,
        epochs: int,
        batch: int,
        seed: int,
        workers: int,
        resume: bool,
        progress: Callable[[TrainingProgress], None] | None,
    ) -> PretrainResult:
        """Pretrain, and leave in the folder what `save_state` writes.

        A run that was killed and is called again with `resume` ends with the weights of an undisturbed one.
        """
        ...


def find_spec(encoder: Spec | str) -> Spec:
    """An encoder's spec: as it is, by the encoder's name, or from a TOML file with `use` and arguments.

    Raises:
        ConfigError: the file is not TOML, or has no `use`.
    """
    if not isinstance(encoder, str):
        return encoder
    if not encoder.endswith(".toml"):
        return {"use": encoder}
    try:
        spec = load_toml(Path(encoder).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{encoder}: cannot be read: {error}") from error
    registry.spec_name(spec, where=encoder)
    return spec


def save_state(folder: Path, spec: Spec, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write weights and what they are, each file whole or not at all.

    Args:
        folder: one that exists.
        spec: of the encoder; it is stored filled.
        state: its state dict.
        about: settings and metrics, as plain TOML values.

    Raises:
        WriteError: a file cannot be written; what was there before is kept.
    """
    from safetensors.torch import save_file

    try:
        with replacing(folder / WEIGHTS) as fresh:
            save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}, fresh)
            digest = file_sha256(fresh)
        FORMAT.write(folder, {"weights": digest, **to_plain(about), "encoder": fill_spec("encoder", spec)})
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written: {error}. What was there before is kept.") from error


def load_state(path: Path | str, spec: Spec | str) -> dict[str, Tensor]:
    """Pretrained weights for an encoder that is to be trained: hand them to its `load_state_dict`.

    Args:
        path: the folder of a pretraining run, or the file of weights in it.
        spec: of the encoder that will take them. It must be the one that was pretrained, but for its dropout, which has
            no weights.

    Raises:
        BundleError: nothing there, or a run that has not ended, or damaged files, or those of a newer format.
        ConfigError: the weights are of another encoder, or of one with other arguments.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(path).parent if Path(path).name == WEIGHTS else Path(path)
    raw = FORMAT.read(folder)
    if "weights" not in raw or "encoder" not in raw:
        raise FORMAT.damaged(folder, "it names no weights, or no encoder")
    _check_same(folder, raw["encoder"], fill_spec("encoder", spec))
    try:
        if (digest := file_sha256(folder / WEIGHTS)) != raw["weights"]:
            raise BundleError(
                f"{folder / WEIGHTS}: damaged: its digest is {digest[:12]}, {CONFIG} records {raw['weights'][:12]}"
            )
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{folder / WEIGHTS}: missing or damaged: {error}") from error


def _check_same(folder: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    wanted = to_plain(wanted)
    for key in dict.fromkeys(["use", *stored, *wanted]):
        if stored.get(key) != wanted.get(key) and not key.endswith("dropout"):
            raise ConfigError(
                f"{folder}: this was pretrained as encoder {stored.get('use')!r} with {key} = {stored.get(key)!r:.80}; "
                f"the configuration has {key} = {wanted.get(key)!r:.80}. Write the same, or pretrain anew."
            )
