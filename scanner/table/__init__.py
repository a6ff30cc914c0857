"""The Parquet table: schema, rows, newest state, recording of a scan, publishing, retention.

Hands out `Table` (``table``), `State` and `Recording`. Knows results, not how they are examined or
shown.
"""
