"""Presets, open weights and reference spectra, and the demo's data. Everything here is a path to a file or a folder."""

from __future__ import annotations

from pathlib import Path

from molvis_core.lazy import lazy_names

_HERE = Path(__file__).parent

DEFAULT = _HERE / "presets" / "default.toml"
EI = _HERE / "presets" / "ei.toml"
IR = _HERE / "presets" / "ir.toml"
JOINT = _HERE / "presets" / "joint.toml"
NMR_SHIFTS = _HERE / "presets" / "nmr-shifts.toml"
PNNL_2024 = _HERE / "presets" / "pnnl-2024.toml"
MASSBANK = _HERE / "massbank"
TRANSLATION = _HERE / "translation"
REFERENCES = _HERE / "references"
DEMO_SPECTRA = _HERE / "demo" / "spectra.mgf"
DEMO_ABSENT = _HERE / "demo" / "absent.mgf"
DEMO_LIBRARY = _HERE / "demo" / "library.parquet"
MASSBANK_STRUCTURES = _HERE / "demo" / "massbank.smi.gz"

__getattr__, __dir__ = lazy_names(__name__)
