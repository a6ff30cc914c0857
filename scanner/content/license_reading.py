"""Read what a licence field says: an expression, a name, a list, a link, prose, a whole licence.

`scanner.content.licenses` hands this out. It is a module of its own because it loads the SPDX list
and the tables of names, which a model without a licence does not need.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from prefect_mutagen.scanner.content.folding import fold
from prefect_mutagen.scanner.content.license_expressions import (
    NOASSERTION,
    TEXT_LIMIT,
    join_licenses,
)
from prefect_mutagen.scanner.content.license_families import current_id, family_of
from prefect_mutagen.scanner.content.license_links import link_license, spell_links
from prefect_mutagen.scanner.content.license_spelling import Match, find_licenses, whole_license
from prefect_mutagen.scanner.content.license_texts import license_of_text, mentioned_in
from prefect_mutagen.scanner.content.license_words import says_something, spell_out

__all__ = ["items_of", "read_license"]

_UNINFORMATIVE: Final = frozenset(
    {"", "unknown", "other", "none", "n/a", "na", "null", "noassertion", "unlicensed", "tbd"}
)
_EXPRESSION_LIMIT: Final = 256
"""Longest text that is tried as an SPDX expression, which is parsed recursively."""
_SHORT: Final = 400
"""Longest text that may be a name; a longer one is prose, or the licence itself."""
_SLUG_LIMIT: Final = 256
_NOT_IN_REFERENCE: Final = re.compile(r"[^A-Za-z0-9.-]+")
_OPERATORS: Final = {
    **dict.fromkeys(("and", "und", "et", "y", "&"), "AND"),
    **dict.fromkeys(("or", "oder", "ou"), "OR"),
    "(": "(",
    ")": ")",
}
_GAP: Final = re.compile(r"[a-z0-9]+(?:[.+-]+[a-z0-9]+)*\+*|[^\W\d_a-z]+|[()&]|[,;|/\n•、:]")
_OR_LATER: Final = re.compile(
    r"\bor\W{1,3}(?:at your option\W{1,3})?(?:any )?(?:later|newer|above|higher)(?: versions?)?\b"
)
_BESIDE_NAMES: Final = frozenset(
    "also approved below details file full in only osi see text".split()  # noqa: SIM905
)
"""Words that say nothing where they stand beside the name of a licence."""
_LISTING: Final = frozenset(",;|/\n•、:&")
_PREFIX: Final = re.compile(r"(?i)\s*(?:spdx[-\s]licen[cs]e[-\s]identifier|licen[cs]e)\s*[:=]\s*")


def read_license(raw: str, name: str, link: str) -> str:
    """Return the SPDX expression of a stated licence; see `licenses.spdx_expression`."""
    prefix = _PREFIX.match(raw)
    stated = (raw[prefix.end() :].strip() if prefix else "") or raw.strip()
    if not _is_uninformative(stated):
        return _read(stated)
    words = link_license(link)
    named = NOASSERTION if _is_uninformative(name) else _read(name.strip())
    return join_licenses((named, _read(words) if words else NOASSERTION))


def _is_uninformative(text: str) -> bool:
    return fold(text[:_SHORT]).strip(" \n\t\"'`()[]<>.-_*") in _UNINFORMATIVE


def _read(stated: str) -> str:
    if len(stated) <= _EXPRESSION_LIMIT:
        expression = _canonical(stated)
        if expression:
            return expression
    spelled = spell_out(spell_links(stated[:TEXT_LIMIT]))
    if len(stated) <= _SHORT:
        one = whole_license(spelled)
        if one:
            return one
    matches = find_licenses(spelled)
    if len(stated) > _SHORT:
        return _read_text(stated, matches)
    if not matches and items_of(spelled)[1:]:
        return _license_ref(stated)  # a list of what nobody knows is as good as a name
    expression = _join_found(spelled, matches)
    return _license_ref(stated) if expression == NOASSERTION else expression


def items_of(text: str) -> list[str]:
    """Return the items of a text that punctuation makes a list."""
    return [item for item in map(str.strip, _LISTED.split(text)) if item]


_LISTED: Final = re.compile(r"[,;|/\n•、&:]")


def _canonical(text: str) -> str:
    """Return an expression with SPDX's spelling; empty when it is none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        expression = str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return ""
    return _REPLACED.sub(lambda gnu: current_id(gnu[0]), expression)


_REPLACED: Final = re.compile(r"(?<![\w.-])(?:[AL]?GPL|GFDL)-\d\.\d\+?(?![\w.+-])")


@dataclass(slots=True)
class _Items:
    """The items of a list of licences, as they are read from left to right."""

    tokens: list[str] = field(default_factory=list)
    """Licences, operators and brackets."""
    is_plain: bool = True
    """Whether there is nothing but licences and operators."""
    _words: list[str] = field(default_factory=list)
    """Words of the current item that belong to no known licence."""
    _has_license: bool = False

    def add_words(self, text: str) -> None:
        """Add what stands between two known licences."""
        for token in _GAP.findall(_OR_LATER.sub(" ", text)):
            if token in _OPERATORS or token in _LISTING:
                if token not in ("(", ")"):
                    self.finish_item()
                self.is_plain = self.is_plain and token not in _LISTING
                self.tokens.append(_OPERATORS.get(token, ""))
            elif token != "with":  # noqa: S105 - a word
                self._words.append(token)

    def add_license(self, license_id: str) -> None:
        self.is_plain = self.is_plain and not self._has_license
        self._has_license = True
        self.tokens.append(license_id)

    def finish_item(self) -> None:
        """Make a reference of the words that no licence is known for."""
        telling = [
            word for word in self._words if says_something(word) and word not in _BESIDE_NAMES
        ]
        if telling:
            self.is_plain = self.is_plain and not self._has_license
            self.tokens.append(
                _license_ref("-".join(telling if self._has_license else self._words))
            )
            if "nc" in telling and any("cc-by" in token.lower() for token in self.tokens):
                self.tokens.append("LicenseRef-cc-by-nc")  # for non-commercial use, under CC BY
        self._words.clear()
        self._has_license = False

    def expression(self) -> str:
        if self.is_plain and "OR" in self.tokens:
            expression = _canonical(" ".join(self.tokens))
            if expression:
                return expression
        marks = {"", *_OPERATORS.values()}
        return join_licenses(token for token in self.tokens if token not in marks)


def _join_found(spelled: str, matches: Sequence[Match]) -> str:
    """Return the expression of a text that names licences, and maybe others that are not known."""
    items = _Items()
    position = 0
    for match in matches:
        items.add_words(spelled[position : match.start])
        items.add_license(match.license)
        position = match.end
    items.add_words(spelled[position:])
    items.finish_item()
    return items.expression()


def _read_text(text: str, matches: Sequence[Match]) -> str:
    """Return the expression of a whole licence, or of prose about licences."""
    known = license_of_text(text) if len(text) <= TEXT_LIMIT else None
    beside = mentioned_in(known) if known else frozenset[str]()
    named = (one.license for one in matches if family_of(one.license.lower()) not in beside)
    return join_licenses((known or _license_ref(text), *named))


def _license_ref(text: str) -> str:
    """Return a reference for a licence that is not known: its words, if need be with a digest."""
    name = text.strip()
    name = name[len(_REFERENCE) :] if name.lower().startswith(_REFERENCE) else name
    slug = _NOT_IN_REFERENCE.sub("-", name[:_SLUG_LIMIT]).strip("-.").lower()
    if sum(map(str.isalnum, name)) > sum(map(str.isalnum, slug)):
        # Words of another script, or beyond the limit, tell licences apart as well.
        whole = fold(name[:TEXT_LIMIT]) + name[TEXT_LIMIT:]
        digest = hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:12]
        slug = "-".join(filter(None, (slug[:64].rstrip("-."), digest)))
    return f"LicenseRef-{slug}" if slug else NOASSERTION


_REFERENCE: Final = "licenseref-"
