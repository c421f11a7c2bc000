"""JCAMP-DX: every form of data that its standards know, decoded and checked.

It is shared because plugins for infrared, Raman, NMR and mass spectra all meet these files. The content of a file is
returned as it is written, after the factors; only readers turn it into a modality's units. A file that is damaged is
decoded as far as it goes, and each fault is a `Problem` with its line: whoever needs sound data refuses a block that
has any, with `refusal`.

References: R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42 (1988) 151, doi:10.1366/0003702884428734 (4.24, infrared
and Raman); A. N. Davies and P. Lampen, Appl. Spectrosc. 47 (1993) 1093, doi:10.1366/0003702934067874 (5.00, NMR and
NTUPLES); P. Lampen et al., Appl. Spectrosc. 48 (1994) 1545, doi:10.1366/0003702944027840 (mass spectra).
"""

from __future__ import annotations

from molvis_files.jcamp.blocks import Block, Kind, Problem, Table, parse_number, refusal
from molvis_files.jcamp.parsing import normalise, parse_blocks, read_blocks

__all__ = ["Block", "Kind", "Problem", "Table", "normalise", "parse_blocks", "parse_number", "read_blocks", "refusal"]
