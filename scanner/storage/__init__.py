"""Storage access: addresses, listings, range requests pinned to a version, retries, hashing.

Hands out `open_store` (``opening``), the `Store` contract (``store``), `StorageError` (``errors``)
and `Address` (``address``). Knows nothing of models, headers or policies.
"""
