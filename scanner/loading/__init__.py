"""What each loader takes from a model: which files it opens, renders and runs, and in which order.

Hands out load plans made from the names of a model's files and the parsed small ones. A file per
loader, each a table of rules with their sources. Knows no storage and reads nothing.
"""
