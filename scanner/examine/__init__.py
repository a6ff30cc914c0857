"""Examine artifacts.

The examination without I/O (``examiner``) and its ``engine``, which chooses between ``in_process``,
``remote_engine`` for concurrent requests, and ``worker_pool`` for all cores. Knows no table and
no output.
"""
