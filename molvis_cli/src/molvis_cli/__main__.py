"""`python -m molvis_cli` is `molvis`."""

from __future__ import annotations

from molvis_cli.app import main

if __name__ == "__main__":
    main()
