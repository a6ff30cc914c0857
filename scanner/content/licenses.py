"""Convert stated licences to SPDX expressions.

Model files state a slug (``apache-2.0``, ``llama3.1``, ``other``), a name, a link or a whole text.
What is recognised becomes an SPDX identifier, or the ``LicenseRef`` of a model licence; what is not
becomes a ``LicenseRef`` of its own; an uninformative text becomes ``NOASSERTION``. The raw text is
kept beside it.

Several licences apply together, unless ``OR`` is all that joins them: a comma, a slash or a line
break does not say which it means, and of two readings the one that a policy refuses counts.
"""

from functools import lru_cache

__all__ = ["spdx_expression"]


@lru_cache(maxsize=1024)
def spdx_expression(raw: str, name: str = "", link: str = "") -> str:
    """Convert a stated licence to an SPDX expression.

    Args:
        raw: Licence as stated, for example ``apache-2.0``, ``MIT OR Apache-2.0`` or ``other``.
        name: Name of the licence, used if ``raw`` is uninformative.
        link: Link to the licence, used if ``raw`` is uninformative and the link is a known one.

    Returns:
        A canonical expression, a ``LicenseRef``, or ``NOASSERTION``.
    """
    from prefect_mutagen.scanner.content.license_reading import read_license

    return read_license(raw, name, link)
