"""Hand a model to a program: verified open, handoff, supervised run, record of starts.

Exports `open_verified`, `run_supervised` and `StartRecord`. Knows no Prefect: flows decide which
agents start.
"""
