"""The Parquet table: schema, rows, latest snapshot, recording of a scan, publishing, retention.

A snapshot of a root, its *state*, has one row per artifact. Hands out `Table` (``table``), `State`
and `Recording`. Knows results, not how they are examined or shown.
"""
