"""Where objects lie: addresses, listings, ranged reads of one version, retries, hashing.

Hands out `open_store` (``opening``), the `Store` contract (``store``), `StorageError` (``errors``)
and the functions of addresses (``address``). Knows nothing of models, headers or policies.
"""
