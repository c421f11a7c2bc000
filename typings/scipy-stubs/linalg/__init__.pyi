# SciPy's sources have no annotations: what a checker infers from them takes it seconds for a function such as linprog.
from typing import Any

def __getattr__(name: str) -> Any: ...
