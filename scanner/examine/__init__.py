"""From an artifact to its result.

The machine without I/O (``examiner``) and its ``engine``, which chooses between ``in_process``,
``remote_engine`` for many requests under way, and ``worker_pool`` for all cores. Knows no table and
no output.
"""
