"""Format values for people: control characters escaped, numbers in the usual units."""

__all__ = ["counted", "short_count", "short_size", "visible"]


def visible(text: str, width: int = 200) -> str:
    """Make an untrusted value safe for a terminal: escape control characters, limit the length."""
    short = text if len(text) <= width else f"{text[: width - 3]}..."
    if short.isprintable():
        return short
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)


def counted(number: int, noun: str) -> str:
    """Format a count with its noun: 1 artifact, 2 artifacts."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short_count(number: int | None) -> str:
    """Format a number of parameters: 6.72K, 8.03B."""
    if number is None:
        return ""
    for limit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= limit:
            return f"{number / limit:.3g}{letter}"
    return str(number)


def short_size(size: int) -> str:
    """Format a number of bytes: 9.3 KiB, 4.58 GiB."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.3g} {units[0]}" if value < 1000 else f"{value:.0f} {units[0]}"
