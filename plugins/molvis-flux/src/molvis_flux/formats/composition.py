"""The sections of a TOML that put parts together: parts, pools, infusions, mixtures and differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from molvis_flux.errors import CompositionError
from molvis_flux.formats.opening import read_study
from molvis_flux.formats.options import beside
from molvis_flux.formats.toml_source import TomlSource
from molvis_flux.model.composition import Mixture, Part, Pool, Port, arterio_venous, compose
from molvis_flux.model.network import Datum, Study

SECTIONS = ("parts", "pools", "infusions", "mixtures")
_NUMBER = (int, float)
_RANGE = (list, int, float)


def composed(reader: TomlSource) -> Study:
    """The study of a plan, without the sections that any study has.

    Raises:
        ReadError: the content of a section is impossible.
    """
    network = reader.table.get("network", {})
    name, medium = str(network.get("name", reader.path.stem)), str(network.get("medium", "plasma"))
    for section in SECTIONS:
        reader.entries(section)
    parts = {name: _part(reader, name, spec) for name, spec in reader.entries("parts")}
    limit = float(network.get("limit", 1000.0))
    pools = {name: _pool(reader, name, spec, limit) for name, spec in reader.entries("pools")}
    infusions = {name: reader.pair(rate, "infusions", name) for name, rate in reader.entries("infusions")}
    mixtures = {name: _mixture(reader, name, spec) for name, spec in reader.entries("mixtures")}
    try:
        return compose(name, parts, pools, infusions=infusions, mixtures=mixtures, medium=medium)
    except CompositionError as error:
        raise reader.error(str(error), *(error.place or ("parts",))) from error


def _part(reader: TomlSource, name: str, spec: Any) -> Part:
    where = ("parts", name)
    keys = {"model": (str, dict), "mass": _NUMBER, "without": list}
    spec = reader.checked({"model": spec} if isinstance(spec, str) else spec, keys, *where)
    if "model" not in spec:
        raise reader.error(f"part {name!r} lacks `model`, the file of its network", *where)
    options = {"file": spec["model"]} if isinstance(spec["model"], str) else dict(spec["model"])
    if "file" not in options:
        raise reader.error(f"the model of part {name!r} lacks `file`", *where)
    file = reader.path.parent / str(options.pop("file"))
    if not Path(file).exists():
        raise reader.error(f"part {name!r} names the file {file}, which is not there", *where)
    try:
        # A template has open ends that the whole closes; faults are told of the whole, with the template's lines.
        study = read_study(file, strict=False, **beside(reader.path.parent, options))
    except TypeError as error:
        raise reader.error(f"part {name!r} has an option that its format has not: {error}", *where) from error
    return Part(study, float(spec.get("mass", 1.0)), tuple(spec.get("without", ())))


def _pool(reader: TomlSource, name: str, spec: Any, limit: float) -> Pool:
    where = ("pools", name)
    keys = {"ports": dict, "role": str, "net": _RANGE, "exchange": _RANGE}
    spec = reader.checked(spec, keys, *where)
    net = reader.pair(spec["net"], *where, "net") if "net" in spec else (-limit, limit)
    exchange = reader.pair(spec["exchange"], *where, "exchange") if "exchange" in spec else (0.0, limit)
    ports = {}
    for part, port in spec.get("ports", {}).items():
        inner = reader.checked(
            {"metabolite": port} if isinstance(port, str) else port,
            {"metabolite": str, "net": _RANGE, "exchange": _RANGE},
            *where,
            "ports",
            part,
        )
        if "metabolite" not in inner:
            raise reader.error(f"the port of {part!r} to pool {name!r} lacks `metabolite`", *where)
        ports[part] = Port(
            inner["metabolite"],
            reader.pair(inner["net"], *where, "ports", part) if "net" in inner else net,
            reader.pair(inner["exchange"], *where, "ports", part) if "exchange" in inner else exchange,
        )
    return Pool(ports, spec.get("role", "balanced"))


def _mixture(reader: TomlSource, name: str, spec: Any) -> Mixture:
    where = ("mixtures", name)
    spec = reader.checked(spec, {"fragments": list, "weights": dict, "fitted": bool}, *where)
    weights = spec.get("weights", {})
    if not all(isinstance(w, _NUMBER) and not isinstance(w, bool) for w in weights.values()):
        raise reader.error(f"the weights of mixture {name!r} are {weights!r}; they are numbers by part", *where)
    return Mixture(
        tuple(spec.get("fragments", ())), {k: float(v) for k, v in weights.items()}, spec.get("fitted", False)
    )


def differences(reader: TomlSource, experiment: str, table: Any) -> list[Datum]:
    """Uptakes measured by A-V differences: `[experiments.X.differences."liver.Glc"]`.

    Raises:
        ReadError: one lacks a number, or names no port.
    """
    found = []
    for name, spec in table.items():
        where = ("experiments", experiment, "differences", name)
        part, _, pool = name.partition(".")
        keys = {"flow": _RANGE, "arterial": list, "venous": list}
        spec = reader.checked(spec, keys, *where)
        if missing := [key for key in keys if key not in spec]:
            raise reader.error(f"the A-V difference {name!r} lacks {', '.join(missing)}", *where)
        flow = spec["flow"]
        flow, flow_sd = reader.measured(flow, *where, "flow") if isinstance(flow, list) else (float(flow), 0.0)
        try:
            datum = arterio_venous(
                part, pool, flow, reader.measured(spec["arterial"], *where, "arterial"),
                reader.measured(spec["venous"], *where, "venous"), flow_sd=flow_sd,
            )  # fmt: skip
        except CompositionError as error:
            raise reader.error(str(error), *where) from error
        line = reader.line(*where)
        reader.draft.known_reaction(datum.target, line, f"the A-V difference {name!r}")
        found.append(Datum(datum.target, "net", datum.values, datum.sd, where=reader.draft.where(line)))
    return found
