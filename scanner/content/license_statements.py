"""Collect every statement about a model's licence: header, configurations, card, licence files.

One of them fills the SBOM's field; all of them count for a policy. What is not recognised and what
contradicts another statement is a finding.
"""

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from prefect_mutagen.parsers import ArrayValue, LongText
from prefect_mutagen.parsers.errors import shown
from prefect_mutagen.scanner.content.facts import plain_text
from prefect_mutagen.scanner.content.folding import fold
from prefect_mutagen.scanner.content.license_expressions import (
    NOASSERTION,
    TEXT_LIMIT,
    join_licenses,
)
from prefect_mutagen.scanner.content.licenses import spdx_expression
from prefect_mutagen.scanner.findings import Finding, make_finding

__all__ = [
    "LicenseStatement",
    "find_conflict",
    "license_facts",
    "license_findings",
    "license_in_text",
    "licenses_in",
    "model_license",
    "tells_license",
]

_LICENSE_WORDS: Final = (
    "lizenz licencia licença licenza licentie лицензия 许可证 許可證 许可协议 授权 授權 "
    "ライセンス 라이선스 라이센스"
)
"""What a licence is called elsewhere."""
# general.license, modelspec.license, license_name, License: the model's, not its base models'.
_KEY: Final = re.compile(
    r"(?P<prefix>(?:.*[./])?)(?:spdx[._-])?"
    rf"(?:licen[cs]es?|{'|'.join(map(fold, _LICENSE_WORDS.split()))})"
    r"(?:[._-](?P<part>name|title|link|url|id|identifier|spdx|text|type))?",
    re.IGNORECASE,
)
_OF_OTHERS: Final = re.compile(r"base_?model|dataset|code|tokenizer\.", re.IGNORECASE)
_NAMES: Final = ("name", "title")
_LINKS: Final = ("link", "url")
_PARTS: Final = frozenset(
    ("id", "key", "license", "link", "name", "spdx", "spdx_id", "title", "url")
)
_TEXT: Final = "LicenseRef-text-"
"""Beginning of the reference for a text that no rule recognises; its digest follows."""
_FACT_LIMIT: Final = 1000
_MOST_VALUES: Final = 100
_MOST_STATEMENTS: Final = 100
"""Most statements of one header or file; of more, the last one that is read counts as cut."""
_MOST_DEPTH: Final = 4


class LicenseStatement(NamedTuple):
    """One statement about a model's licence."""

    value: str
    """As stated."""
    spdx: str
    """As an SPDX expression; see `licenses.spdx_expression`."""
    source: str
    """For example ``README.md:license``."""
    url: str = ""
    """Address of the file beside the model that states it; empty for the header."""
    is_cut: bool = False
    """Whether only the beginning of the value was read."""


def licenses_in(
    values: Mapping[str, Any] | Iterable[tuple[str, Any]], source: str, url: str = ""
) -> list[LicenseStatement]:
    """Return the statements of a header's metadata, a configuration or a card.

    Args:
        values: Its keys and values; of a key that stands twice, both values count.
        source: What the keys are appended to, such as ``gguf:`` or ``README.md:``.
        url: Address of a file beside the model.
    """
    groups: dict[str, dict[str, str]] = {}
    values = values if isinstance(values, Mapping) else _every_value(values)
    for key in values:
        found = _match_key(key) if isinstance(key, str) else None
        if found is not None and not _OF_OTHERS.search(found["prefix"]):
            part = (found["part"] or "").lower()
            group = groups.setdefault(found["prefix"], {})
            group.setdefault("name" if part in _NAMES else "link" if part in _LINKS else key, key)
    statements: list[LicenseStatement] = []
    for group in groups.values():
        name_key, link_key = group.pop("name", ""), group.pop("link", "")
        name, link = _text(values.get(name_key)), _text(values.get(link_key))
        for key in (*group, *(() if group else (name_key or link_key,))):
            text = _text(values.get(key)) if key in group else ""
            expression = spdx_expression(text, name[:TEXT_LIMIT], link[:TEXT_LIMIT])
            if text or expression != NOASSERTION:
                value = text or name or link
                is_cut = max(map(len, (text, name, link))) > TEXT_LIMIT or _is_cut(values.get(key))
                statements.append(
                    LicenseStatement(value, expression, f"{source}{key}", url, is_cut)
                )
            if len(statements) == _MOST_STATEMENTS:
                return [*statements[:-1], statements[-1]._replace(is_cut=True)]
        if group and statements:
            statements += _beside(statements[-1], name, link, f"{source}{name_key or link_key}")
    return statements


def _match_key(key: str) -> re.Match[str] | None:
    """Match a key that states a licence, also one with invisible or look-alike letters."""
    if not key.isascii() or not key.isprintable() or " " in key:
        key = fold(key).strip()
    return _KEY.fullmatch(key)


def _every_value(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of licence keys, as a list where a key stands more than once."""
    found: dict[str, list[Any]] = {}
    for key, value in pairs:
        if _match_key(key):
            found.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _beside(
    main: LicenseStatement, name: str, link: str, source: str
) -> Iterator[LicenseStatement]:
    """Yield what name and link of a licence state, where they name a known other licence."""
    from prefect_mutagen.scanner.content.license_matching import are_compatible, is_recognized

    name, link = name[:TEXT_LIMIT], link[:TEXT_LIMIT]
    for value, expression in ((name, spdx_expression(name)), (link, spdx_expression("", "", link))):
        agrees = expression in main.spdx or are_compatible(main.spdx, expression)
        if is_recognized(expression) and main.spdx != NOASSERTION and not agrees:
            yield LicenseStatement(value, expression, source, main.url)


def _text(value: Any) -> str:
    """Return the text of a value; several licences apply together."""
    texts = list(dict.fromkeys(_texts(value, 0)))[:_MOST_VALUES]
    if len(texts) > 1:
        texts = [f"({text})" if re.search(r"(?i)\bor\b", text) else text for text in texts]
    return " AND ".join(texts)


def _is_cut(value: Any) -> bool:
    """Whether a value of a header, or a list, has more than is read."""
    if isinstance(value, ArrayValue):
        return value.count > len(value.preview)
    return isinstance(value, LongText) or (isinstance(value, list) and len(value) > _MOST_VALUES)


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, ArrayValue):
        value = list(value.preview)
    if isinstance(value, Mapping):
        known = [one for key, one in value.items() if str(key).lower() in _PARTS]
        # Whatever else stands there may be a licence too; switches are none.
        others = [
            one
            for key, one in value.items()
            if str(key).lower() not in _PARTS and not isinstance(one, bool)
        ]
        value = [*known, *others] if known else [*map(str, value), *value.values()]
    if isinstance(value, list) and depth < _MOST_DEPTH:
        for item in value[:_MOST_VALUES]:
            yield from _texts(item, depth + 1)
        return
    text = plain_text(value)
    if text:
        yield text
    elif value not in (None, [], {}) and not isinstance(value, str):
        # A number, a switch, or nested too deeply to be read.
        yield str(value)[:_FACT_LIMIT]


def license_in_text(
    path: str, raw: bytes, url: str = "", *, is_cut: bool = False
) -> list[LicenseStatement]:
    """Return the statement of a licence file, recognised by its text; none if it is empty.

    Args:
        path: Its path, such as ``LICENSE.txt``.
        raw: Its content.
        url: Its address.
        is_cut: Whether only the beginning was read.
    """
    from prefect_mutagen.scanner.content.license_matching import is_recognized
    from prefect_mutagen.scanner.content.license_texts import license_of_text

    is_utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = raw.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")
    lines = (line.strip(" #*=-\t") for line in text.splitlines())
    title = next(filter(None, lines), "")
    if not title:
        return []
    expression = license_of_text(text)
    if expression is None and len(text) < _FACT_LIMIT:
        stated = spdx_expression(text)  # a line such as "MIT License"
        expression = stated if is_recognized(stated) else None
    if expression is None:
        digest = hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).hexdigest()
        expression = f"{_TEXT}{digest[:16]}"
    return [LicenseStatement(title[:200], expression, path, url, is_cut)]


def tells_license(statement: LicenseStatement) -> bool:
    """Whether a statement names a licence, unlike ``other`` and a text that nobody knows."""
    return statement.spdx != NOASSERTION and not statement.spdx.startswith(_TEXT)


def model_license(statements: Sequence[LicenseStatement]) -> str | None:
    """Return the licence of a model under all statements; None if there are none.

    Statements that say the same, one perhaps without a version, count once. A file whose text is
    not recognised adds nothing to a licence that is stated in words.
    """
    informative = [one for one in statements if one.spdx != NOASSERTION]
    if not informative:
        return NOASSERTION if statements else None
    from prefect_mutagen.scanner.content.license_matching import are_compatible

    kept: list[str] = []
    in_words = [one for one in informative if tells_license(one)]
    for spdx in dict.fromkeys(one.spdx for one in in_words or informative):
        same = next((one for one in kept if are_compatible(one, spdx)), None)
        if same is None:
            kept.append(spdx)
        elif same != spdx and _is_vaguer(same, spdx):
            kept[kept.index(same)] = spdx
    return join_licenses(kept)


def _is_vaguer(one: str, other: str) -> bool:
    """Whether the other of two compatible statements has the version that this one lacks."""
    return any(map(str.isdigit, other)) and not any(map(str.isdigit, one))


def license_facts(statements: Iterable[LicenseStatement]) -> list[dict[str, str]]:
    """Return the statements as the facts of a result list them."""
    return [
        {"value": one.value[:_FACT_LIMIT], "spdx": one.spdx, "source": one.source}
        for one in statements
    ]


def license_findings(statements: Sequence[LicenseStatement], url: str) -> Iterator[Finding]:
    """Yield findings about what is not recognised, not read, or contradictory.

    Args:
        statements: All statements about one file, in their order of precedence.
        url: Address of the file.
    """
    if not statements:
        return
    from prefect_mutagen.scanner.content.license_matching import is_recognized

    for one in statements:
        where = one.url or url
        if one.is_cut:
            message = f"{one.source} is longer than what is examined of a licence"
            yield make_finding("sbom/unexamined", message, url=where, field="license")
        if not is_recognized(one.spdx) and (one.spdx != NOASSERTION or _says_other(one.value)):
            message = f"the licence {shown(one.value)} in {one.source} is not a known one"
            yield make_finding("sbom/license-unknown", message, url=where, field="license")
    conflict = find_conflict(statements, url)
    if conflict is not None:
        yield conflict


def find_conflict(statements: Sequence[LicenseStatement], url: str) -> Finding | None:
    """Return a finding if two statements name different licences.

    Args:
        statements: All statements, in their order of precedence.
        url: Address of the model.
    """
    from prefect_mutagen.scanner.content.license_matching import are_compatible

    said = list(filter(tells_license, statements))
    other = next((one for one in said[1:] if not are_compatible(said[0].spdx, one.spdx)), None)
    if other is None:
        return None
    message = (
        f"{said[0].source} states {shown(said[0].value)}, and {other.source} {shown(other.value)}"
    )
    where = other.url or said[0].url or url
    return make_finding("sbom/license-conflict", message, url=where, field="license")


def _says_other(value: str) -> bool:
    return value.strip().lower() == "other"
