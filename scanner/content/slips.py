"""Tell a misspelt name from another one."""

__all__ = ["is_slip"]


def is_slip(one: str, other: str) -> bool:
    """Whether two words differ by a letter: wrong, missing, too much, or two in the wrong order.

    Other digits are another version, and a letter more at the end another name.
    """
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    if _digits(one) != _digits(other) or one.startswith(other) or other.startswith(one):
        return False
    start = next((n for n, two in enumerate(zip(one, other, strict=False)) if two[0] != two[1]), 0)
    first, second = one[start:], other[start:]
    if len(first) != len(second):
        return first[1:] == second or first == second[1:]
    return first[1:] == second[1:] or (first[2:] == second[2:] and first[:2] == second[1::-1])


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))
