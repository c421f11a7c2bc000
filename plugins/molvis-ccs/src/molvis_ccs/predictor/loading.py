"""A trained predictor from its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from molvis_ccs.features import KINDS
from molvis_ccs.predictor.ensemble import ADDUCTS, FORMAT, INSTRUMENTS, CcsEnsemble
from molvis_ccs.predictor.quantization import unpacked
from molvis_core.errors import BundleError, ConfigError, did_you_mean


def load(path: str = "", instrument: str = "", calibrants: str = "") -> CcsEnsemble:
    """A trained predictor, ready to predict.

    Args:
        path: of a file that `CcsEnsemble.save` wrote; the one that comes with molvis-ccs where it is empty.
        instrument: type that `molvis predict` answers for: DT, TIMS or TW; the mean over them where it is empty.
        calibrants: a table of cross sections that the own laboratory measured of known structures, whose common offset
            is corrected for; nothing is corrected where it is empty.

    Raises:
        BundleError: there is no such file, it is damaged, or a newer molvis wrote it.
        molvis_core.errors.ReadError: the table cannot be read.
        molvis_core.errors.RecordError: no row of it can be predicted.
        molvis_core.errors.ConfigError: there is no such type of instrument.
    """
    if instrument and instrument not in INSTRUMENTS:
        raise ConfigError(
            f"ccs-ensemble: instrument must be one of {', '.join(INSTRUMENTS)}, got {instrument!r}"
            f"{did_you_mean(instrument, INSTRUMENTS)}"
        )
    made = _read(path)
    made.instrument_type = instrument or None
    if calibrants:
        from molvis_ccs.predictor.calibrants import correct, read_calibrants

        correct(made, read_calibrants(Path(calibrants)), calibrants)
    return made


def _read(path: str) -> CcsEnsemble:
    """The predictor of a file."""
    import torch
    from safetensors import SafetensorError, safe_open

    file = Path(path) if path else SHIPPED
    try:
        with safe_open(file, framework="pt") as content:
            header: dict[str, Any] = content.metadata() or {}
            if (number := int(header.get("format", 0))) > FORMAT:
                raise BundleError(f"{file}: format {number}; this molvis-ccs reads up to {FORMAT}. Upgrade it.")
            if header.get("adducts", "").split() != list(ADDUCTS):
                raise BundleError(f"{file}: made for adducts {header.get('adducts', '')!r}; fit it again")
            made = CcsEnsemble(
                members=int(header["members"]),
                width=int(header["width"]),
                rank=int(header["rank"]),
                dropout=float(header["dropout"]),
                feature_dropout=float(header["feature_dropout"]),
                by_volume=header.get("size") == "volume",
                structures=int(header.get("structures", 0)),
            )
            names = content.keys()
            state = unpacked({name: content.get_tensor(name) for name in names})
            if number < _BY_CLASS:
                state["within"] = state["calibration"]
                state["calibration"] = state["calibration"][:, :, None].expand(-1, -1, len(KINDS)).contiguous()
                state["between"] = torch.tensor(0.0)
            made.load_state_dict(state)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{file}: no predictor, or damaged: {error}") from error
    except (KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{file}: not a predictor that molvis-ccs wrote: {error}") from error
    return made.eval()


_BY_CLASS = 2
"""Format from which the classes of compounds have widths of their own, and laboratories a spread."""
SHIPPED = Path(__file__).parents[1] / "weights" / "ccs-ensemble.safetensors"
