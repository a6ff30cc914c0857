"""The codes of findings beyond those of headers: severity, meaning and remedy of each.

A file per family. `scanner.findings` puts them together with the codes of the header readers. A
code never changes its meaning and is never used again.
"""
