"""Recognise the licence that a text is: a LICENSE file, or a field that holds the whole licence.

By its title, or by sentences that only this licence has, compared without case, punctuation and
line breaks. The rules are a table. What stands first in the text is the licence; what another
licence's text does not itself mention comes beside it, as in a file of several licences. A text
that no rule recognises is not guessed at.
"""

import re
from functools import cache
from typing import Final, NamedTuple

from prefect_mutagen.scanner.content.folding import fold
from prefect_mutagen.scanner.content.license_families import family_of

__all__ = ["license_of_text", "mentioned_in"]

_RULES: Final = """
LicenseRef-commons-clause [apache mit bsd]: commons clause license condition
LicenseRef-llama [llama]: llama license agreement | llama research license
LicenseRef-gemma [gemma apache]: gemma terms of use
LicenseRef-bigcode-openrail-m [*rail]: bigcode open rail m | bigcode openrail m
LicenseRef-bigscience-openrail-m [*rail]: bigscience open rail m | bigscience openrail m
LicenseRef-bigscience-bloom-rail-1.0 [*rail]: bigscience rail license | bigscience bloom rail
LicenseRef-openrail-plus-plus [*rail]: creativeml open rail m | open rail m license + sdxl
LicenseRef-openrail-plus-plus [*rail]: open rail++ m | openrail++ m
LicenseRef-creativeml-openrail-m [*rail]: creativeml open rail m | creativeml openrail m
LicenseRef-openrail [*rail]: open rail | openrail | responsible ai license + use restrictions |
    use based restrictions
LicenseRef-qwen-research [qwen qwen-research]: qwen research license agreement | tongyi qianwen
    research license agreement
LicenseRef-qwen [qwen]: tongyi qianwen license agreement | qwen license agreement
LicenseRef-mnpl-0.1 [mnpl mnpl-0.1 apache]: mistral ai non production license
LicenseRef-mrl-0.1 [mrl mrl-0.1 apache]: mistral ai research license
LicenseRef-deepseek [deepseek *rail]: deepseek license agreement | deepseek model license
LicenseRef-flux-1-dev-non-commercial-license: flux 1 dev non commercial license | flux dev non
    commercial license | flux non commercial license
LicenseRef-stabilityai-nc-research-community: stability ai non commercial research community
    license | stability ai noncommercial research community license
LicenseRef-stabilityai-ai-community: stability ai community license agreement
LicenseRef-falcon-llm-license [apache]: falcon llm license | falcon 180b tii license | tii
    falcon
LicenseRef-tencent-hunyuan-community: tencent hunyuan community license agreement
LicenseRef-yi-license: yi series models community license agreement | yi series models license
    agreement
LicenseRef-nvidia-open-model-license [apache]: nvidia open model license
LicenseRef-exaone: exaone ai model license agreement
LicenseRef-health-ai-developer-foundations: health ai developer foundations terms of use
LicenseRef-fair-noncommercial-research-license: fair noncommercial research license
LicenseRef-apple-amlr: apple machine learning research model
LicenseRef-apple-ascl: apple sample code license | in consideration of your agreement to the
    following terms and your use installation modification or redistribution of this apple
    software
LicenseRef-sam-license: sam license
LicenseRef-dinov3-license: dinov3 license
OpenMDW-1.0: openmdw license agreement
CC0-1.0 [*cc]: cc0 1 0 universal | creative commons zero
AGPL-3.0-only [gpl lgpl agpl]: gnu affero general public license version 3
LGPL-3.0-only [gpl lgpl agpl]: gnu lesser general public license version 3
LGPL-2.1-only [gpl lgpl]: gnu lesser general public license version 2 1
LGPL-2.0-only [gpl lgpl]: gnu library general public license version 2
GPL-3.0-only [gpl lgpl agpl]: gnu general public license version 3
GPL-2.0-only [gpl lgpl]: gnu general public license version 2
GPL-1.0-only [gpl lgpl]: gnu general public license version 1
MPL-2.0 [mpl gpl lgpl agpl]: mozilla public license version 2 0
Apache-2.0 [apache]: apache license version 2 0 + terms and conditions for use reproduction and
    distribution | licensed under the apache license
PSF-2.0 [psf 0bsd python]: python software foundation license version 2
EPL-2.0 [epl gpl]: eclipse public license v 2 0
EUPL-1.2 [eupl gpl agpl lgpl mpl epl osl cecill cc-by-sa]: european union public licence v 1 2
PolyForm-Noncommercial-1.0.0 [polyform-noncommercial]: polyform noncommercial license 1 0 0
BUSL-1.1 [busl bsl gpl]: business source license 1 1
Elastic-2.0 [elastic]: elastic license 2 0
SSPL-1.0 [sspl gpl]: server side public license
CDLA-Permissive-2.0: community data license agreement permissive version 2 0
OFL-1.1 [ofl]: sil open font license version 1 1
BSL-1.0 [bsl boost]: boost software license version 1 0
LicenseRef-modified-mit [mit]: modified mit license + permission is hereby granted free of
    charge
MIT-0 [mit]: permission is hereby granted free of charge to any person obtaining a copy + mit no
    attribution
MIT [mit expat x11]: permission is hereby granted free of charge to any person obtaining a copy
    + the above copyright notice and this permission notice + without restriction including
    without limitation the rights to use copy modify merge publish distribute sublicense and or
    sell
BSD-3-Clause-Clear [bsd]: no express or implied licenses to any party s patent rights are
    granted by this license + redistribution and use in source and binary forms
BSD-4-Clause [bsd]: redistribution and use in source and binary forms + all advertising
    materials mentioning features or use of this software
BSD-3-Clause [bsd]: redistribution and use in source and binary forms + to endorse or promote
    products derived from
BSD-2-Clause [bsd]: redistribution and use in source and binary forms + redistributions of
    source code must retain + redistributions in binary form must reproduce
ISC [isc 0bsd]: permission to use copy modify and or distribute this software for any purpose
    with or without fee is hereby granted provided that | permission to use copy modify and
    distribute this software for any purpose with or without fee is hereby granted provided that
0BSD [0bsd bsd]: permission to use copy modify and or distribute this software for any purpose
    with or without fee is hereby granted
Zlib [zlib]: this software is provided as is without any express or implied warranty + altered
    source versions must be plainly marked as such
Unlicense [unlicense public-domain]: this is free and unencumbered software released into the
    public domain
WTFPL [wtfpl]: do what the fuck you want to public license
"""
"""A licence and the phrases of its text: alternatives between ``|``, all between ``+``. In brackets
the families of licences that the text names besides, ``*`` for a group of them."""

_GROUPS: Final = {
    "*cc": (
        "cc cc0 cc-by cc-by-sa cc-by-nc cc-by-nc-sa cc-by-nd cc-by-nc-nd cc-pdm public-domain gpl"
    ),
    "*rail": (
        "openrail openrail-plus-plus creativeml-openrail-m bigscience-bloom-rail "
        "bigscience-openrail-m bigcode-openrail-m apache"
    ),
}
_LLAMAS: Final = ("2", "3", "3.1", "3.2", "3.3", "4")
_CC_TITLES: Final = {
    "BY": "attribution",
    "BY-SA": "attribution sharealike",
    "BY-NC": "attribution noncommercial",
    "BY-ND": "attribution noderivatives",
    "BY-NC-SA": "attribution noncommercial sharealike",
    "BY-NC-ND": "attribution noncommercial noderivatives",
}
_MARKS: Final = re.compile(r"[^a-z0-9+]+")
_SPLIT_WORDS: Final = re.compile(r"\b(non|share|no) (commercial|alike|derivatives)")
_RESTRICTION: Final = re.compile(
    r"noncommercial(?:ly)? (?:use|purposes?)|not (?:be )?used? (?:it )?(?:for )?(?:any )?commercial"
    r"|research purposes? only|(?:academic|research) use only|no commercial use"
)
"""What an open licence does not say; with it, the text is another licence."""
_OPEN: Final = re.compile(r"(?:Apache|MIT|BSD|ISC|0BSD|Zlib|BSL|MPL|L?GPL|AGPL|Unlicense)\b.*")


class _Rule(NamedTuple):
    license: str
    phrases: tuple[tuple[str, ...], ...]
    mentions: frozenset[str]


@cache
def _rules() -> tuple[_Rule, ...]:
    """Parse the table, once."""
    lines = [line for line in _RULES.replace("\n    ", " ").splitlines() if line]
    lines += [
        f"LicenseRef-llama{one} [llama]: llama {one} community license agreement" for one in _LLAMAS
    ]
    lines += [
        f"CC-{parts}-{version} [*cc]: {title} {version}"
        for version in ("1.0", "2.0", "2.5", "3.0", "4.0")
        for parts, title in _CC_TITLES.items()
    ]
    return tuple(map(_parse, lines))


def _parse(line: str) -> _Rule:
    head, _, text = line.partition(": ")
    license_id, _, mentions = head.rstrip("]").partition(" [")
    families = " ".join(_GROUPS.get(one, one) for one in mentions.split())
    phrases = (part.split("|") for part in text.split(" + "))
    return _Rule(
        license_id,
        tuple(tuple(map(_plain, alternatives)) for alternatives in phrases),
        frozenset((family_of(license_id), *families.split())),
    )


def _plain(text: str) -> str:
    """Return the words of a text, with a space around each."""
    words = _MARKS.sub(" ", fold(text)).strip()
    return f" {_SPLIT_WORDS.sub(lambda two: two[1] + two[2], words)} "


def _place(rule: _Rule, words: str) -> int:
    """Return where a text has the first phrase of a rule; -1 if it lacks any."""
    places = [
        min((at for one in alternatives if (at := words.find(one)) >= 0), default=-1)
        for alternatives in rule.phrases
    ]
    return -1 if -1 in places else places[0]


def license_of_text(text: str) -> str | None:
    """Return the licence that a text is.

    Args:
        text: The whole licence, or a deed or a notice that names one by its title.

    Returns:
        An SPDX identifier, or the ``LicenseRef`` of a model licence; several with ``AND``. None if
        no rule recognises the text, or if an open licence has a sentence against commercial use.
    """
    words = _plain(text)
    placed = [(_place(rule, words), rule) for rule in _rules()]
    found = sorted(((at, rule) for at, rule in placed if at >= 0), key=lambda one: one[0])
    licenses: list[str] = []
    mentioned: set[str] = set()
    for _, rule in found:
        if family_of(rule.license) in mentioned:
            continue
        if _OPEN.fullmatch(rule.license) and _RESTRICTION.search(words):
            return None
        licenses.append(rule.license)
        mentioned |= rule.mentions
    return " AND ".join(licenses) or None


def mentioned_in(expression: str) -> frozenset[str]:
    """Return the families of licences that the text of a licence names, itself included."""
    names = set(expression.split(" AND "))
    return frozenset().union(*(rule.mentions for rule in _rules() if rule.license in names))
