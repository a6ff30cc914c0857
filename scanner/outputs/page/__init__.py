"""The page that ``--format html`` and ``report`` write: what is on it, and how it is drawn.

``entries`` is one model, ``reasons`` why it is refused and how to allow it; ``collecting`` sorts
models into the sections, ``counting`` counts them; ``from_table`` reads a table for it; ``drawing``
has the plots and ``rendering`` writes the one file, from ``page.html``, ``page.css``, ``page.js``.
"""
