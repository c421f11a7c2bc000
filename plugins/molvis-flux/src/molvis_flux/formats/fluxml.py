"""FluxML, the format of 13CFLUX, in the dialects of its versions 1 to 3.

Reference: Beyß et al., Frontiers in Microbiology 10 (2019) 1022, doi:10.3389/fmicb.2019.01022
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_core.text import is_count
from molvis_files.opening import read_text
from molvis_flux.formats.builder import Draft, reverse
from molvis_flux.formats.experiments import settle_roles
from molvis_flux.formats.fluxml_inputs import CONVENTIONS, Convention, leave_out_of_balances, read_input
from molvis_flux.formats.fluxml_measurements import Measurements
from molvis_flux.formats.fluxml_tree import Node, applies, attribute, infix, number, parse_tree
from molvis_flux.formats.fluxml_variants import Variants
from molvis_flux.formats.notation import Linear, condition, conditions, linear
from molvis_flux.formats.opening import stem, studies_of
from molvis_flux.formats.tables import rows
from molvis_flux.model.network import Constraint, Metabolite, Reaction, Study

_RELATIONS = {"eq": "=", "leq": "<=", "geq": ">=", "lt": "<", "gt": ">"}


def read_fluxml(
    path: str | Path,
    *,
    configuration: str | Sequence[str] | None = None,
    bounds: str | Path | None = None,
    convention: Convention = "fluxml",
) -> Study:
    """A FluxML file.

    Args:
        path: the file.
        bounds: an Excel or CSV table of further conditions, as ML-Flux has them: rows of reaction, low and high, or
            of `v1, <=, 2` in sheets `net`, `xch`, `net_eq` and `xch_eq`.
        configuration: which of its configurations, or several as parallel experiments; by default `default`, or the
            first where none is called so.
        convention: `fluxml`: as the format's documentation has it. `13cflux`: also what 13CFLUX 3 does beyond it, so
            that labelling is the same to the last digit: its own natural abundances (13C .01055, 15N .00368), and a
            reaction with a pool on both of its sides left out of the labelling balance of that pool. The latter is an
            approximation that its log announces; `fluxml` balances such a pool.

    Returns:
        The study. FluxML sets no bounds, so open fluxes are cut at 1000, or at ten times the greatest flux that the
        file states where that is more. Reactions that take up inputs, or lead out of the network, have no exchange
        flux unless the file gives it one.

    Raises:
        ReadError: it is no FluxML, or its content is impossible; the message names the line.
        ValueError: there is no such convention.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; it is one of {', '.join(CONVENTIONS)}")
    path = Path(path)
    root = parse_tree(path)
    if root.tag != "fluxml":
        raise ReadError(path, f"its outermost element is <{root.tag}>, not <fluxml>", line=root.line)
    draft = Draft(str(path))
    return _Reader(root, draft, configuration, None if bounds is None else Path(bounds), convention).read()


studies = studies_of(read_fluxml)
"""The reader component."""


def is_fluxml(path: Path) -> bool:
    """Whether a file has the outermost element of FluxML."""
    return path.is_file() and "<fluxml" in read_text(path)


class _Reader:
    """Goes through a file once."""

    def __init__(
        self,
        root: Node,
        draft: Draft,
        configuration: str | Sequence[str] | None,
        bounds: Path | None,
        convention: Convention,
    ) -> None:
        self.root, self.draft, self.bounds, self.convention = root, draft, bounds, convention
        self.variants = Variants(draft)
        self.network = root.one("reactionnetwork")
        self.chosen = self.choose(configuration)
        self.inputs = {
            attribute(node, "pool", self.draft)
            for chosen in self.chosen
            for node in chosen.all("input")
            if "pool" in node.attributes
        }
        self.with_exchange: set[str] = set()

    def choose(self, chosen: str | Sequence[str] | None) -> list[Node]:
        found = {node.attributes.get("name", str(i)): node for i, node in enumerate(self.root.all("configuration"))}
        if not found:
            return []
        if chosen is None:
            chosen = "default" if "default" in found else next(iter(found))
            if others := [name for name in found if name != chosen]:
                self.draft.notes.append(f"Configurations not read: {', '.join(others)}; ask for them by name.")
        names = [chosen] if isinstance(chosen, str) else list(chosen)
        if missing := [name for name in names if name not in found]:
            raise self.draft.error(f"there is no configuration {missing[0]!r}; there are {', '.join(found)}")
        return [found[name] for name in names]

    def read(self) -> Study:
        draft = self.draft
        draft.name = " ".join(self.root.one("info").one("name").text.split()) or stem(draft.path)
        self.pools()
        for node in self.network.all("reaction"):
            self.reaction(node)
        self.roles()
        for scope in (self.root, *self.chosen):
            for node in scope.all("constraints"):
                self.constraints(node)
        if self.bounds is not None:
            self.table(self.bounds)
        for chosen in self.chosen:
            name = chosen.attributes.get("name", "default")
            draft.tracers[name] = {}
            for node in chosen.all("input"):
                read_input(node, draft.tracers[name], draft, self.convention)
            measurements = Measurements(draft, self.variants, single=len(self.chosen) == 1)
            draft.data[name] = measurements.read(chosen)
            self.with_exchange |= measurements.with_exchange
            self.values(chosen)
        self.irreversible()
        if self.convention == "13cflux":
            leave_out_of_balances(draft)
        draft.cap_at_scale()
        return draft.finish()

    def pools(self) -> None:
        for node in self.network.one("metabolitepools").all("pool"):
            elements = self.elements(node)
            symmetric = node.attributes.get("symm") in ("180", "true", "yes")
            name = attribute(node, "id", self.draft)
            self.draft.add_metabolite(
                Metabolite(name, elements, symmetries=reverse(elements) if symmetric else ()), node.line
            )
            if "size" in node.attributes:
                self.draft.pools[name] = number(node.attributes["size"], node, "the size", self.draft)

    def elements(self, node: Node) -> tuple[str, ...]:
        """Elements of the traced atoms of a pool; carbon where it gives only their number."""
        atoms = node.attributes.get("atoms", "0")
        if not is_count(atoms.strip()):
            raise self.draft.error(
                f"pool {attribute(node, 'id', self.draft)!r} has {atoms!r} atoms, no whole number", node.line
            )
        kinds = re.findall(r"([A-Z][a-z]?)(\d*)", node.attributes.get("cfg", ""))
        # ML-Flux counts atoms by element: C="6" H="7".
        kinds = kinds or [(key, n) for key, n in node.attributes.items() if key in ("C", "H", "N", "O", "S")]
        if not all(is_count(count) or not count for _, count in kinds):
            raise self.draft.error(
                f"pool {attribute(node, 'id', self.draft)!r}: a number of atoms is no whole number", node.line
            )
        elements = tuple(e for e, count in kinds for _ in range(int(count or 1))) or ("C",) * int(atoms)
        if "atoms" in node.attributes and len(elements) != int(atoms):
            name = attribute(node, "id", self.draft)
            raise self.draft.error(
                f"pool {name!r} has {atoms} atoms, but {len(elements)} elements; correct one", node.line
            )
        return elements

    def reaction(self, node: Node) -> None:
        name = attribute(node, "id", self.draft)
        substrates = self.variants.participants(node.all("reduct", "educt"), name)
        products = self.variants.participants(node.all("rproduct", "product"), name)
        text = node.attributes.get("bidirectional", "true").strip().lower()
        if text not in ("true", "false", "1", "0", "yes", "no"):
            raise self.draft.error(f"bidirectional is {text!r}; write true or false", node.line)
        reversible = text in ("true", "1", "yes") and bool(substrates and products)
        if "leak" in node.attributes:
            self.draft.notes.append(
                f"{self.draft.where(node.line)}: reaction {name!r} leaks atom {node.attributes['leak']!r}; "
                "leaks are not used."
            )
        base = Reaction(
            name,
            (),
            (),
            reversible,
            net=(-math.inf if reversible else 0.0, math.inf),
            exchange=(0.0, math.inf),
            where=self.draft.where(node.line),
        )
        self.variants.add(base, substrates, products, node.line)

    def roles(self) -> None:
        """Inputs are sources. What nothing uses leaves the network: old files have no reactions that lead out."""
        for name in sorted(self.inputs):
            self.draft.known_metabolite(name, None, "an <input>")
        settle_roles(self.draft, self.inputs if self.chosen else None, loose=True)

    def irreversible(self) -> None:
        """Uptake of inputs has no way back, and no exchange, where the file does not speak of one."""
        sources = {name for name, m in self.draft.metabolites.items() if m.role == "source"}
        for name, reaction in self.draft.reactions.items():
            taken = {p.metabolite for p in reaction.substrates}
            if reaction.reversible and taken and taken <= sources and name not in self.with_exchange:
                net = (max(reaction.net[0], 0.0), reaction.net[1])
                self.draft.reactions[name] = dataclasses.replace(reaction, reversible=False, net=net)

    def constraints(self, node: Node) -> None:
        for part in node.children:
            self.constraint_list(part, {"netto": "net", "exchange": "xch"}.get(part.tag, part.tag))
        if "type" in node.attributes:
            kind = "xch" if node.attributes["type"].startswith("exch") else "net"
            self.constraint_list(node, kind)

    def constraint_list(self, node: Node, tag: str) -> None:
        if tag not in ("net", "xch", "psize"):
            return
        kind = "exchange" if tag == "xch" else "net"
        found: list[tuple[Constraint, int]] = []
        for text in node.all("textual"):
            line = text.line
            # The parser joins the text of an element; comments inside do not move lines.
            for piece in re.split(r"(?<=[;\n])", text.text):
                if piece.strip(" ;\t\n\r"):
                    try:
                        found += [(c, line) for c in conditions(piece, kind, self.draft.where(line))]
                    except ValueError as error:
                        raise self.draft.error(str(error), line) from error
                line += piece.count("\n")
        for math_node in node.all("math"):
            found += [(c, line) for apply, line in applies(math_node) for c in [self.math(apply, kind, line)]]
        for constraint, line in found:
            if tag == "psize":
                self.pool_bound(constraint, line)
                continue
            constraint = self.variants.whole(constraint)
            self.named(constraint, kind)
            self.draft.constrain(constraint, line)

    def table(self, path: Path) -> None:
        for row in rows(path):
            cells = [cell.strip("'\"") for cell in row.cells if cell]
            kind = "exchange" if row.sheet.startswith("xch") else "net"
            if len(cells) != 3:
                raise self.draft.error(
                    f"{row.cells!r}: a row is `reaction, low, high` or `v1, <=, 2`", row.line, str(path)
                )
            if cells[1] in ("<=", ">=", "==", "="):
                text = " ".join(cells)
            else:
                text = f"{cells[1]} <= {cells[0]} <= {cells[2]}"
            try:
                found = conditions(text, kind, self.draft.where(row.line, str(path)))
            except ValueError as error:
                raise self.draft.error(str(error), row.line, str(path)) from error
            for constraint in map(self.variants.whole, found):
                self.named(constraint, kind)
                self.draft.constrain(constraint, row.line)

    def named(self, constraint: Constraint, kind: str) -> None:
        """Remember reactions to which the file gives an exchange flux that is not zero."""
        if kind == "exchange" and (constraint.low, constraint.high) != (0, 0):
            self.with_exchange |= {name for _, name, _ in constraint.terms}

    def pool_bound(self, constraint: Constraint, line: int) -> None:
        if len(constraint.terms) != 1:
            self.draft.notes.append(f"{constraint.where}: a condition on several pool sizes is not used.")
            return
        _, name, factor = constraint.terms[0]
        metabolite = self.draft.known_metabolite(name, line, f"the condition {constraint.name!r}")
        low, high = sorted((constraint.low / factor, constraint.high / factor))
        old = metabolite.pool or (0.0, math.inf)
        pool = (max(old[0], low), min(old[1], high))
        self.draft.metabolites[name] = dataclasses.replace(metabolite, pool=pool)

    def math(self, node: Node, kind: str, line: int) -> Constraint:
        head, *operands = node.children
        if head.tag not in _RELATIONS or len(operands) != 2:
            raise self.draft.error(f"<{head.tag}> of {len(operands)} operands is no condition", line)
        left, right = (self.math_sum(operand) for operand in operands)
        names = [*left[0], *right[0]]
        try:
            return condition(left, _RELATIONS[head.tag], right, kind, self.draft.where(line), f"on {', '.join(names)}")
        except ValueError as error:
            raise self.draft.error(str(error), line) from error

    def math_sum(self, node: Node) -> tuple[Linear, float]:
        """Content MathML as the text that `linear` reads."""
        try:
            return linear(infix(node))
        except ValueError as error:
            raise self.draft.error(str(error), node.line) from error

    def values(self, chosen: Node) -> None:
        """Fluxes and pools of a configuration: version 3 keeps them in its simulation, version 1 in `<fluxes>`."""
        variables = chosen.one("simulation").one("variables")
        for node in variables.all("fluxvalue"):
            self.flux_value(node)
        for node in variables.all("poolsizevalue", "poolsize"):
            name = attribute(node, "pool", self.draft)
            self.draft.known_metabolite(name, node.line, f"a <{node.tag}>")
            if node.text.strip():
                self.draft.pools[name] = number(node.text, node, f"the pool {name}", self.draft)
        for node in chosen.one("fluxes").all("value"):
            self.old_values(node)

    def flux_value(self, node: Node) -> None:
        """A flux with its bounds."""
        whole = attribute(node, "flux", self.draft)
        kind = "exchange" if attribute(node, "type", self.draft) == "xch" else "net"
        for name, share in self.variants.of(whole):
            self.draft.known_reaction(name, node.line, "a <fluxvalue>")
            self.one_flux_value(node, kind, name, share)

    def one_flux_value(self, node: Node, kind: str, name: str, share: float) -> None:
        """That of a reaction, or of a variant, which has its share of it."""
        if kind == "exchange":
            self.with_exchange.add(name)
        if node.text.strip():
            self.draft.fluxes[kind, name] = share * number(node.text, node, f"the flux {name}", self.draft)
        for key, low, high in (("lo", True, False), ("hi", False, True)):
            if key in node.attributes:
                bound = share * number(node.attributes[key], node, key, self.draft)
                limits = (bound if low else -math.inf, bound if high else math.inf)
                self.draft.bound(kind, name, *limits, node.line)

    def old_values(self, node: Node) -> None:
        """Net and exchange flux of a reaction, as 13CFLUX 1 writes them."""
        name = attribute(node, "flux", self.draft)
        self.draft.known_reaction(name, node.line, "a <value>")
        for value in node.children:
            flux = number(value.text, value, f"the flux {name}", self.draft)
            kind = "net" if value.tag == "net" else "exchange"
            if value.tag == "xch01":
                # 13CFLUX 1 maps exchange fluxes to [0, 1).
                flux = flux / (1 - flux) if flux < 1 else math.inf
            self.draft.fluxes[kind, name] = flux
            if value.attributes.get("fixed") == "yes":
                self.draft.bound(kind, name, flux, flux, value.line)
