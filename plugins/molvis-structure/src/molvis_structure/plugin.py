"""Manifest of molvis-structure."""

from __future__ import annotations

from molvis_core import Component, hookimpl


@hookimpl
def molvis_components() -> list[Component]:
    """Encoders of structures, their pretraining, the Tanimoto target, and readers of libraries."""
    return [
        Component(
            kind="classifier",
            name="structural-classes",
            target="molvis_structure.chemistry.classes:StructuralClasses",
            summary="Functional groups, rings, families of natural products, lipids, drugs, pollutants, by patterns.",
        ),
        Component(
            kind="encoder",
            name="fingerprint",
            target="molvis_structure.encoders.fingerprint:FingerprintEncoder",
            summary="Fingerprints, element counts and descriptors through a residual network: fast and strong.",
            cite="10.1021/ci100050t",
        ),
        Component(
            kind="encoder",
            name="attentivefp",
            target="molvis_structure.encoders.attentivefp:AttentiveFPEncoder",
            summary="Attention over atoms and bonds (AttentiveFP on PyTorch Geometric).",
            cite="10.1021/acs.jmedchem.9b00959",
        ),
        Component(
            kind="encoder",
            name="attentivefp-dgl",
            target="molvis_structure.encoders.attentivefp_dgl:attentivefp_dgl",
            summary="DGL-LifeSci's AttentiveFP, on the CPU: a reference. It needs molvis-structure[dgl].",
            cite="10.1021/acs.jmedchem.9b00959",
        ),
        Component(
            kind="encoder",
            name="gldm",
            target="molvis_structure.encoders.gldm:GLDMEncoder",
            summary="FiLM convolution over atoms and bonds typed by motifs (the encoder of GLDM and MoLeR).",
            cite="10.1093/bib/bbae142",
        ),
        Component(
            kind="pretrainer",
            name="masking",
            target="molvis_structure.pretraining.masking:pretrain",
            summary="Hidden pieces of molecules are classified, and fingerprints predicted from the molecule's vector.",
            cite="10.48550/arXiv.1905.12265",
        ),
        Component(
            kind="target",
            name="tanimoto",
            target="molvis_structure.targets:Tanimoto",
            summary="Tanimoto similarity of fingerprints, as one matrix product on the device.",
            cite="10.1126/science.132.3434.1115",
        ),
        Component(
            kind="reader",
            name="smiles",
            target="molvis_structure.readers.smiles:read_smiles",
            summary="SMILES files: a structure a line, a name behind it.",
            modality="structure",
            suffixes=(".smi", ".smiles", ".txt"),
            recognises="molvis_structure.readers.smiles:is_smiles_file",
        ),
        Component(
            kind="reader",
            name="sdf",
            target="molvis_structure.readers.sdf:read_sdf",
            summary="SDF files of Molfiles.",
            modality="structure",
            suffixes=(".sdf", ".sd"),
        ),
        Component(
            kind="reader",
            name="structure-table",
            target="molvis_structure.readers.tables:read_table",
            summary="CSV, TSV and Parquet tables with a column of SMILES or InChI.",
            modality="structure",
            suffixes=(".csv", ".tsv", ".parquet"),
        ),
    ]
