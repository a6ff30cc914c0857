"""Handing a model to a program: verified open, handoff, supervision, the record of starts.

Hands out `open_verified`, `run_supervised` and `StartRecord`. Knows no Prefect: flows decide what
starts.
"""
