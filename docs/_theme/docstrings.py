"""How our docstrings differ from Google's: an entry `a, b: text` counts for both names."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ENTRY = re.compile(r"^(    )((?:\w+, )+\w+)(: .*(?:\n     .*)*)$", re.MULTILINE)


class SharedEntries(griffe.Extension):
    """Writes an entry for several names once for each of them, which the parser expects."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        del kwargs
        if obj.docstring:
            obj.docstring.value = _ENTRY.sub(_apart, obj.docstring.value)


def _apart(found: re.Match[str]) -> str:
    indent, names, text = found.groups()
    return "\n".join(f"{indent}{name}{text}" for name in names.split(", "))
