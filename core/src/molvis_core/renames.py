"""Names of the release before this one: they work until the next, with a warning."""

from __future__ import annotations

import functools
import logging

log = logging.getLogger("molvis")


@functools.cache
def warn_of_old_name(what: str, old: str, new: str) -> None:
    """Log once in a process that something has another name now.

    Args:
        what: kind of thing, such as `encoder` or `configuration key`.
        old: the name that was used.
        new: the name to use instead.
    """
    log.warning("%s %r is called %r now; the old name works in this release and not in the next", what, old, new)
