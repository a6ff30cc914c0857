"""Examine artifacts.

The examination without I/O (``examiner``) and its engines: ``engine`` for one store,
``remote_engine`` for concurrent requests, ``processes`` for all cores. Knows no table and no
output.
"""
