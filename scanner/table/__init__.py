"""The Parquet table: schema, rows, latest snapshot, recording of a scan, publishing, retention.

A snapshot of a root, its *state*, has one row per artifact. Hands out `Table` (``table``), `State`
and `Recording`. Knows results, not how they are examined or shown.
"""

import os
from typing import Final

__all__ = ["ADDED_VARIABLES"]

_ALLOCATOR: Final = "ARROW_DEFAULT_MEMORY_POOL"
ADDED_VARIABLES: Final = tuple({_ALLOCATOR} - os.environ.keys())
"""Environment variables that are set here; programs that this process starts do not want them."""
# What Arrow's own allocator is given back it keeps for each of its threads: 38 MB more after a
# state of 10^4 models was read, and 60 in a flow over 10^5, for the same time. Arrow looks here
# when modules of this folder first import it; a process that names an allocator keeps that one.
os.environ.setdefault(_ALLOCATOR, "system")
