"""Manifest of molvis-msms."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """The modality, its encoders, scorers, predictor, linker, readers and writers, and the commands of spectra."""
    modality = Component(
        kind="modality",
        name="msms",
        target="molvis_msms.modality:MSMS",
        summary="Tandem mass spectra: peaks of an isolated ion's fragments.",
    )
    linker = Component(
        kind="linker",
        name="modified-cosine",
        target="molvis_msms.network:alike",
        summary="Spectra that match peak by peak, or shifted by the difference of their precursors.",
        cite="10.1038/nbt.3597",
    )
    return [modality, *_encoders(), *_scorers(), *_predictors(), linker, *_formats(), *_commands()]


def _encoders() -> list[Component]:
    return [
        Component(
            kind="encoder",
            name="peak-sum",
            target="molvis_msms.encoders.peak_sum:PeakSum",
            summary="Sum of embedded peaks and neutral losses through a residual network: fast and strong.",
            cite="10.48550/arXiv.1709.03933",
            replaces=("peak-bag",),
        ),
        Component(
            kind="encoder",
            name="read-fingerprint",
            target="molvis_msms.encoders.read_fingerprint:ReadFingerprint",
            summary="What networks read of a fingerprint from the peaks; learns apart, with `fingerprint-map`.",
            cite="10.1073/pnas.1509788112",
        ),
        Component(
            kind="encoder",
            name="fingerprint-regression",
            target="molvis_msms.encoders.fingerprint_regression:FingerprintRegression",
            summary="Fingerprints predicted from peaks in closed form; learns apart, with `fingerprint-map`.",
            cite="10.1093/bioinformatics/btw246",
        ),
        Component(
            kind="encoder",
            name="fingerprint-map",
            target="molvis_msms.encoders.read_fingerprint:FingerprintMap",
            summary="Linear map of a structure's fingerprint; learns with an encoder of spectra.",
        ),
        Component(
            kind="encoder",
            name="clerms",
            target="molvis_msms.encoders.clerms:Clerms",
            summary="Transformer over peaks, with the metadata attending to them (CLERMS).",
            cite="10.1021/acs.analchem.3c00260",
        ),
    ]


def _scorers() -> list[Component]:
    return [
        Component(
            kind="scorer",
            name="explained-peaks",
            target="molvis_msms.scorers.explained_peaks:ExplainedPeaks",
            summary="Peaks explained by substructures of the candidate, by how many bonds must break.",
        ),
        Component(
            kind="scorer",
            name="learned-fragments",
            target="molvis_msms.scorers.learned_fragments:LearnedFragments",
            summary="Networks, learned from known spectra, over the peaks and the parts of a candidate that fit them.",
        ),
        Component(
            kind="scorer",
            name="nearest-spectra",
            target="molvis_msms.scorers.nearest_spectra:NearestSpectra",
            summary="Known spectra of the candidate, and votes of the known spectra that are most like the query.",
        ),
        Component(
            kind="scorer",
            name="learned-fingerprint",
            target="molvis_msms.scorers.learned_fingerprint:LearnedFingerprint",
            summary="Match of the candidate's fingerprint with what networks read from the peaks; it learns.",
            cite="10.1073/pnas.1509788112",
        ),
        Component(
            kind="scorer",
            name="predicted-spectrum",
            target="molvis_msms.scorers.predicted_spectrum:PredictedSpectrum",
            summary="Likelihood of the peaks under the spectrum predicted for the candidate; it learns to predict.",
            cite="10.48550/arXiv.2404.02360",
        ),
        Component(
            kind="scorer",
            name="mass-error",
            target="molvis_msms.scorers.mass_error:MassError",
            summary="Error of the precursor's mass, weighed by offset and width of the run's own errors.",
        ),
    ]


def _predictors() -> list[Component]:
    return [
        Component(
            kind="predictor",
            name="msms",
            target="molvis_msms.forward.predictor:SpectrumPredictor",
            summary="Spectra of structures at an adduct, an energy and an instrument, from the parts they break into.",
            cite="10.48550/arXiv.2404.02360",
        ),
    ]


def _formats() -> list[Component]:
    return [
        _reader("mgf", "mgf", "read_mgf", "Mascot generic format.", ".mgf"),
        _reader("msp", "msp", "read_msp", "NIST, MoNA, RIKEN and MassBank libraries in MSP format.", ".msp"),
        _reader("massbank", "massbank", "read_massbank", "MassBank records.", ".txt", recognises="is_massbank"),
        _reader(
            "mzspeclib", "mzspeclib", "read_mzspeclib", "Libraries as mzSpecLib text.", ".mzspeclib.txt", ".mzlb.txt"
        ),
        _reader("mzml", "mzml", "read_mzml", "MS/MS scans of mzML files.", ".mzml"),
        _reader("mzxml", "mzxml", "read_mzxml", "MS/MS scans of mzXML files.", ".mzxml"),
        _reader(
            "msms-json", "json", "read_json", "Spectra as JSON or JSON lines (GNPS, MoNA, matchms).", ".json", ".jsonl"
        ),
        _reader(
            "massbank-parquet",
            "parquet",
            "read_parquet",
            "Tables of MassBank spectra.",
            ".parquet",
            recognises="is_massbank_table",
        ),
        _reader(
            "massspecgym",
            "massspecgym",
            "read_massspecgym",
            "Tables of spectra in the layout of MassSpecGym.",
            ".tsv",
            recognises="is_massspecgym",
        ),
        _reader(
            "nist-sdf",
            "sdf",
            "read_nist_sdf",
            "SDF libraries of spectra with structures, as NIST's Lib2NIST exports them.",
            ".sdf",
            ".sd",
            recognises="is_nist_sdf",
        ),
        _writer("mgf", "write_mgf", "Mascot generic format.", ".mgf"),
        _writer("msp", "write_msp", "MSP format.", ".msp"),
        _writer("msms-json", "write_json", "Spectra as JSON or JSON lines.", ".json", ".jsonl"),
    ]


def _commands() -> list[Component]:
    return [
        Component(
            kind="command",
            name="search",
            target="molvis_msms.commands.search:search",
            summary="Search reference spectra for those that are like a query.",
        ),
        Component(
            kind="command",
            name="network",
            target="molvis_msms.commands.network:network",
            summary="Join spectra that are alike into a molecular network.",
        ),
        Component(
            kind="command",
            name="explain",
            target="molvis_msms.commands.explain:explain",
            summary="Say of each peak which substructures of a molecule it can be.",
        ),
        Component(
            kind="command",
            name="references-build",
            target="molvis_msms.commands.references:build",
            summary="Index files of spectra of known compounds as references.",
        ),
        Component(
            kind="command",
            name="references-describe",
            target="molvis_msms.commands.references:describe",
            summary="Describe what is in an index of references.",
        ),
        Component(
            kind="command",
            name="translate",
            target="molvis_msms.commands.translate:translate",
            summary="Translate spectra to other energies or instruments.",
        ),
        Component(
            kind="command",
            name="translation-train",
            target="molvis_msms.commands.translation:train",
            summary="Train a translation on spectra of known compounds.",
        ),
        Component(
            kind="route",
            name="explain",
            target="molvis_msms.routes:EXPLAIN",
            summary="Say of each peak which substructures of a molecule it can be.",
        ),
        Component(
            kind="command-group",
            name="translation",
            target="molvis_msms.commands.translation:__doc__",
            summary="Translations of spectra between settings of instruments.",
        ),
        Component(
            kind="command-group",
            name="references",
            target="molvis_msms.commands.references:__doc__",
            summary="Reference spectra of known compounds, indexed for search.",
        ),
    ]


def _reader(name: str, module: str, function: str, summary: str, *suffixes: str, recognises: str = "") -> Component:
    module = f"molvis_msms.readers.{module}"
    asked = f"{module}:{recognises}" if recognises else ""
    return Component(
        "reader", name, f"{module}:{function}", summary, modality="msms", suffixes=suffixes, recognises=asked
    )


def _writer(name: str, function: str, summary: str, *suffixes: str) -> Component:
    return Component("writer", name, f"molvis_msms.writers:{function}", summary, modality="msms", suffixes=suffixes)
