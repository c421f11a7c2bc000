"""Molecules that a model makes only to measure them: fragments, in molvis, of what they are made of.

OpenFLUX has reactions of type S, OpenMebius a sheet `MS`, whose products carry atoms and no flux.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from molvis_flux.formats.builder import Draft
from molvis_flux.model.network import Fragment, Participant

_Place = tuple[tuple[int, ...], str, int]
"""Which molecule an atom is in, by the path through the reactions that make it; its metabolite; the atom from 0."""


@dataclass(slots=True)
class Derived:
    """What derived molecules are made of: by name, their atoms, and the participants that these come from."""

    made: dict[str, tuple[Participant, tuple[Participant, ...], int]] = field(default_factory=dict)

    def add(
        self, draft: Draft, reaction: str, substrates: Sequence[Participant], products: Sequence[Participant], line: int
    ) -> None:
        """Remember the products of a reaction.

        Raises:
            ReadError: a product is made twice, or of an atom that no substrate has.
        """
        known = {atom for p in substrates for atom in p.atoms}
        for product in products:
            if product.metabolite in self.made or product.metabolite in draft.metabolites:
                raise draft.error(
                    f"reaction {reaction!r} makes {product.metabolite!r}, which is made elsewhere too; what is only "
                    "measured has one reaction",
                    line,
                )
            if missing := [atom for atom in product.atoms if atom not in known]:
                raise draft.error(
                    f"reaction {reaction!r}: atom {missing[0]!r} of {product.metabolite} comes from no substrate; "
                    "correct the map",
                    line,
                )
            self.made[product.metabolite] = (product, tuple(substrates), line)

    def fragment(
        self, draft: Draft, name: str, molecule: str, atoms: Sequence[int], line: int | None, formula: str = ""
    ) -> Fragment:
        """The fragment of some atoms of a molecule of the network, or of one that is only measured.

        Raises:
            ReadError: there is no such molecule, or it has no such atom.
        """
        groups: dict[tuple[tuple[int, ...], str], list[int]] = {}
        for atom in atoms:
            path, metabolite, place = self._origin(draft, molecule, atom, name, line)
            groups.setdefault((path, metabolite), []).append(place)
        parts = [(metabolite, tuple(sorted(places))) for (_, metabolite), places in groups.items()]
        elements = tuple(draft.metabolites[metabolite].elements[i] for metabolite, places in parts for i in places)
        return Fragment(
            name, ((1.0, *parts[0]),), elements, formula, tuple(parts[1:]), where=draft.where(line)
        )  # fmt: skip

    def count(self, draft: Draft, molecule: str) -> int:
        """How many atoms a molecule has; 0 where it is not known."""
        if molecule in self.made:
            return len(self.made[molecule][0].atoms)
        return len(draft.metabolites[molecule].elements) if molecule in draft.metabolites else 0

    def _origin(self, draft: Draft, molecule: str, atom: int, name: str, line: int | None) -> _Place:
        path: tuple[int, ...] = ()
        while molecule in self.made:
            if len(path) > len(self.made):
                raise draft.error(f"{molecule!r} is made of itself", line)
            product, substrates, where = self.made[molecule]
            if atom >= len(product.atoms):
                raise draft.error(
                    f"fragment {name!r} has atom {atom + 1} of {molecule}, which has {len(product.atoms)}", line
                )
            label = product.atoms[atom]
            [(index, substrate)] = [(i, s) for i, s in enumerate(substrates) if label in s.atoms][:1]
            path, molecule, atom, line = (*path, index), substrate.metabolite, substrate.atoms.index(label), where
        metabolite = draft.known_metabolite(molecule, line, f"fragment {name!r}")
        if atom >= len(metabolite.elements):
            raise draft.error(
                f"fragment {name!r} has atom {atom + 1} of {molecule}, which has {len(metabolite.elements)}", line
            )
        return path, molecule, atom
