"""Split what people write about licences into the words that identifiers are made of.

A text is folded (`scanner.content.folding`), versions get their dot, and phrases of several words
and languages are replaced by the words of identifiers: ``Non-Commercial`` by ``nc``.
"""

import re
from functools import cache
from typing import Final, NamedTuple

from prefect_mutagen.scanner.content.folding import fold

__all__ = ["FILLERS", "Word", "plain_words", "says_something", "spell_out", "words_of"]

FILLERS: Final = frozenset(
    fold(
        "a agreement an available contrat de del der des die distributed el gnu id identifier is "
        "la le licence licences licencia licenca license licensed licenses licensing licens "
        "licentie licenza lizenz lizenziert los of released spdx terms the this type under unter v "
        "ver versao version versione лицензия 许可证 許可證 许可 授权 协议 许可协议 "
        "라이선스 라이센스 ライセンス january february march april may june july august "
        "september october november december"
    ).split()
)
"""Words that say nothing about which licence it is, as folded."""
_WORD: Final = re.compile(r"[a-z0-9]+(?:\.\d+)*(?:\++(?![a-z0-9]))?|[^\W\d_a-z]+")
_SPACED_VERSION: Final = re.compile(r"(?<![\d.])(\d) ?[-. ] ?(\d)(?![\w.])")
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_AT_LEAST: Final = re.compile(r">=|=>|≥")
_PHRASES: Final = (
    ("cc", "creative commons?|知识共享|創用 cc|クリエイティブ ・? コモンズ"),
    (
        "nc",
        (
            "non commerciale?(?:ly)?|pas d.{0,2}utilisation commerciale|no comercial|nao comercial|"
            "nicht kommerziell(?:e[rns]?)?|niet commercieel|ikke kommersiell|icke kommersiell|"
            "некоммерческ[^\\s]{2,3}|非商[业業]性?(?:使用|利用)?|非商用|[不勿]可商用|禁止商用"
            "|[不禁]得?止?用?[于於]商[业業]用途|商用(?:利用)?(?:不可|禁止)|非営利|비영리"
            "|비상업(?:적|용)?|상업적 이용 금지|غير تجارية?|לא מסחרי|गैर वाणिज्यिक"
        ),
    ),
    (
        "sa",
        (
            "share alike|weitergabe unter gleichen bedingungen|compartir igual|compartilha igual|"
            "partage dans les memes conditions|condividi allo stesso modo|gelijk delen|"
            "相同方式共享|相同方式分享|継承|동일조건변경허락"
        ),
    ),
    (
        "nd",
        (
            "no deriv(?:ative|ation)s? works?|non? deriv(?:ative|ation)s?|no derivs?|"
            "keine bearbeitung(?:en)?|pas de modifications?|sin (?:obras? )?derivad[ao]s?|"
            "sem derivac[^\\s]{2,4}|non opere derivate|geen afgeleide werken|"
            "禁止演绎|禁止改作|改変禁止|변경금지"
        ),
    ),
    (
        "by",
        (
            "attribution|namensnennung|atribucion|reconocimiento|atribuicao|attribuzione|"
            "naamsvermelding|erkannande|署名|姓名標示|저작자표시|表示"
        ),
    ),
    ("agpl", "affero (?:gnu )?(?:general public|gpl)"),
    ("lgpl", "(?:lesser|library) (?:general public|gpl)"),
    (
        "gpl",
        (
            "general public|gnu public|licence publique generale|licencia publica general|"
            "licenca publica geral|licenza pubblica generale"
        ),
    ),
    ("gfdl", "free documentation"),
)


class Word(NamedTuple):
    """A word of a text, and where it stands."""

    text: str
    start: int
    end: int


@cache
def _phrases() -> re.Pattern[str]:
    """Compile all phrases into one pattern; its last matched group numbers the phrase."""
    gap = r"[^\w,;|&]{0,4}"
    groups = (f"({fold(pattern).replace(' ', gap)})" for _, pattern in _PHRASES)
    return re.compile("|".join(groups))


def spell_out(text: str) -> str:
    """Return a text folded, with versions and phrases as identifiers have them."""
    folded = _SPACED_VERSION.sub(r"\1.\2", _AT_LEAST.sub(" plus ", fold(text).replace("_", "-")))
    return _phrases().sub(lambda found: f" {_PHRASES[(found.lastindex or 1) - 1][0]} ", folded)


def words_of(spelled: str) -> list[Word]:
    """Return the words of a text that `spell_out` returned."""
    return [Word(found[0], found.start(), found.end()) for found in _WORD.finditer(spelled)]


def plain_words(spelled: str) -> list[str]:
    """Return the words of a text that say something about the licence."""
    return [word for word in _WORD.findall(spelled) if says_something(word)]


def says_something(word: str) -> bool:
    """Whether a word tells licences apart: no filler, and no year."""
    return word not in FILLERS and not _YEAR.fullmatch(word)
