"""Where a value stands among those of a fit, by the name that somebody gives it."""

from __future__ import annotations

from molvis_core.errors import did_you_mean
from molvis_flux.errors import FitError
from molvis_flux.space.coordinates import Name


def place(names: tuple[Name, ...], name: str | Name) -> int:
    """Where a value stands among others; a name without a kind is that of a net flux, or of the only value so called.

    Raises:
        FitError: there is no such value.
    """
    if isinstance(name, tuple):
        wanted = [name]
    else:
        kind, _, rest = name.partition("/")
        wanted = [(kind, rest), ("net", name), *(each for each in names if each[1] == name)]
    for each in wanted:
        if each in names:
            return names.index(each)
    asked = name if isinstance(name, str) else "/".join(name)
    known = ["/".join(each) for each in names] + [each for kind, each in names if kind == "net"]
    raise FitError(f"the fit has no value {asked!r}.{did_you_mean(asked, known)}")
