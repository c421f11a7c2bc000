"""JSON and TOML of strangers: whatever is wrong with them is one exception each.

Python's parsers end with a `RecursionError` where brackets are nested by the thousand, and with a plain `ValueError`
where a number has thousands of digits.
"""

from __future__ import annotations

import json
import tomllib
from typing import Any

_DEEP = "nested too deeply"


def load_json(text: str) -> Any:
    """What a text of JSON holds.

    Raises:
        json.JSONDecodeError: it is none.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise json.JSONDecodeError(_DEEP if isinstance(error, RecursionError) else str(error), text, 0) from error


def load_toml(text: str) -> dict[str, Any]:
    """What a text of TOML holds.

    Raises:
        tomllib.TOMLDecodeError: it is none.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except (RecursionError, ValueError) as error:
        raise tomllib.TOMLDecodeError(_DEEP if isinstance(error, RecursionError) else str(error)) from error
