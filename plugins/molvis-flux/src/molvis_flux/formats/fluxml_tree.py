"""The XML of FluxML as a tree whose elements know their lines."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from molvis_files.opening import read_bytes
from molvis_files.xml import counted, make_parser, parse
from molvis_flux.formats.builder import Draft


@dataclass(slots=True)
class Node:
    """An element of XML that knows its line."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, *tags: str) -> Iterator[Node]:
        """Children of these names."""
        return (child for child in self.children if child.tag in tags)

    def one(self, *tags: str) -> Node:
        """The first child of these names, or an empty one."""
        return next(self.all(*tags), Node(tags[0], {}, self.line))


def parse_tree(path: Path) -> Node:
    """The outermost element of a file.

    Raises:
        ReadError: it is no XML; the message names the line.
    """
    stack = [Node("", {}, 0)]
    parts: list[list[str]] = [[]]
    parser = make_parser(path)

    def start(tag: str, attributes: dict[str, str]) -> None:
        node = Node(tag.rpartition(":")[2], attributes, parser.CurrentLineNumber)
        stack[-1].children.append(node)
        stack.append(node)
        parts.append([])

    def text(data: str) -> None:
        parts[-1].append(data)

    begin, leave = counted(path, parser, start)

    def end(_tag: str) -> None:
        leave()
        stack.pop().text = "".join(parts.pop())

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parse(path, parser, re.sub(rb'encoding="utf8"', b'encoding="utf-8"', read_bytes(path), count=1))
    return stack[0].children[0]


def attribute(node: Node, name: str, draft: Draft) -> str:
    """Of an element.

    Raises:
        ReadError: it lacks the attribute.
    """
    if name not in node.attributes:
        raise draft.error(f"<{node.tag}> lacks the attribute {name!r}", node.line)
    return node.attributes[name]


def number(text: str, node: Node, what: str, draft: Draft) -> float:
    """A finite number.

    Raises:
        ReadError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise draft.error(f"{what} is {text.strip()!r}, no finite number", node.line)
    return value


def applies(node: Node) -> Iterator[tuple[Node, int]]:
    """Conditions in content MathML, with their lines."""
    for child in node.children:
        if child.tag == "apply":
            yield child, child.line
        elif child.tag == "declare":
            yield from applies(child)


def infix(node: Node) -> str:
    """Content MathML as text that `molvis_flux.formats.notation.linear` reads.

    Raises:
        ValueError: an operation that is not linear.
    """
    if node.tag in ("ci", "cn"):
        text = node.text.strip()
        return f"`{text}`" if node.tag == "ci" else text
    head, *operands = node.children if node.tag == "apply" else (node,)
    sign = {"plus": "+", "minus": "-", "times": "*", "divide": "/"}.get(head.tag)
    if sign is None:
        raise ValueError(f"<{head.tag}> in a condition is not understood; conditions are linear")
    if head.tag == "minus" and len(operands) == 1:
        return f"(-{infix(operands[0])})"
    return "(" + sign.join(infix(operand) for operand in operands) + ")"
