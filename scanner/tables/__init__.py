"""The pieces of the Parquet table, whose door is `prefect_mutagen.scanner.table`.

* ``schema``, ``rows``: columns, and results as rows of them.
* ``state``, ``places``: what was known of every artifact, and which row an address has.
* ``recording``, ``runs``, ``spool``: a scan on its way in, sorted, in bounded memory.
* ``files``, ``documents``, ``retention``: files as they lie in storage, what is read from them, and
  which of them are kept.
"""
