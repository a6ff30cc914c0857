"""Fold text to the letters that a reader sees, so that one word has one spelling.

Full-width and mathematical letters, letters of other scripts that look Latin, accents, invisible
characters, the many dashes and spaces, HTML entities and percent-encoding all make texts differ
that read alike. Used to compare, never to display.
"""

import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

__all__ = ["fold"]

# Upper case first: a capital Greek nu looks like N, the small one like v.
_LOOKALIKES: Final = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧανικορυχϲϹАВЕЅІЈКМНОРСТУХҮԌԚԜаерсухіјѕһԁԛԝкмтвонᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢıℓɑɡ",
    "abezhikmnoptyxavikopuxccabesijkmhopctyxygqwaepcyxijshdqwkmtbohabcdeghijklmnoprtuvwyzilag",
)
# Letters and symbols that are drawn as nothing, although their category does not say so.
_INVISIBLE: Final = frozenset("\u115f\u1160\u3164\u2800")
_MOST_PARTS: Final = 8
"""Most letters that one is taken apart into; an Arabic phrase is a character of eighteen."""
_DASHES: Final = frozenset("\u2212\u2043\u02d7\u00af\u30fc")  # beyond the category of dashes


def fold(text: str) -> str:
    """Return a text in lower-case letters without accents, look-alikes and invisible characters.

    Line breaks stay; other control characters and spaces become spaces.
    """
    if "&" in text and ";" in text:
        import html

        text = html.unescape(text)
    if "%" in text:
        text = unquote(text, errors="ignore")
    if not text.isascii():
        # One by one: to sort many accents on one letter takes time in the square of their number.
        text = "".join(map(_decomposed, text.translate(_LOOKALIKES)))
    elif not text.isprintable():
        text = "".join(map(_plain, text))
    return text.casefold()


@lru_cache(maxsize=4096)
def _decomposed(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character)
    return "".join(map(_plain, parts)) if len(parts) <= _MOST_PARTS else character


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    if character in _INVISIBLE:
        return ""
    if character in _DASHES:
        return "-"
    match unicodedata.category(character):
        case "Mn" | "Me" | "Cf" | "Cs" | "Cn" | "Co":
            return ""
        case "Pd":
            return "-"
        case "Cc" if character not in "\n\r":
            return "" if character in "\0\x7f" else " "
        case "Cc" | "Zl" | "Zp":
            return "\n"
        case "Zs":
            return " "
    return character
