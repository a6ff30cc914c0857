"""Read the licence that a web address stands for, where the site is one that publishes licences.

An address on another site says no more than its words do: a link to a LICENSE file in a repository
is not a licence.
"""

import re
from typing import Final

from prefect_mutagen.scanner.content.folding import fold

__all__ = ["link_license", "spell_links"]

_LINK: Final = re.compile(
    r"(?:https?:)?//[^\s<>\"')\]]+"
    r"|(?<![\w.@/-])(?:[a-z0-9-]+\.){1,4}(?:org|com|net|dev|ai|eu|io|co|info|de|fr|uk)/[^\s<>\"')\]]+",
    re.IGNORECASE,
)
_HOST: Final = re.compile(
    r"(?:https?:)?(?://)?(?:[^/@]*@)?(?:www\.|raw\.)*([^/:?#]+)(?::\d+)?/?(.*)"
)
_END: Final = re.compile(
    r"(?:[?#].*|\.(?:html?|txt|php|md|json|xml|rdf|en|de|fr|es|ja|zh-\w+))+$|/+$"
)

_MARKS: Final = re.compile(r"[^\w.-]+")

# Host, path, and the words that it stands for; \1 and so on are groups of the path.
_SITES: Final = tuple(
    (host, re.compile(path), words)
    for host, path, words in (
        ("creativecommons.org", r"licenses/publicdomain.*", "public domain"),
        ("creativecommons.org", r"licenses/([a-z-]+)/(\d\.\d).*", r"cc \1 \2"),
        ("creativecommons.org", r"licenses/([a-z+-]+).*", r"cc \1"),
        ("creativecommons.org", r"publicdomain/zero.*", "cc0"),
        ("creativecommons.org", r"publicdomain/mark.*", "cc public domain mark"),
        ("apache.org", r"licenses/license-(\d\.\d).*", r"apache \1"),
        ("apache.org", r"licenses", "apache"),
        ("opensource.org", r"licenses?/(?:alphabetical/)?([^/]+)", r"\1"),
        ("spdx.org", r"licenses/(.+)", r"\1"),
        ("choosealicense.com", r"licenses/(.+)", r"\1"),
        ("licenses.opensource.jp", r"([^/]+)/.*", r"\1"),
        ("api.github.com", r"licenses/(.+)", r"\1"),
        ("tldrlegal.com", r"license/(.+?)(?:-\((.*)\))?", r"\1"),
        ("gnu.org", r"(?:.*/)?((?:[al]?gpl|fdl)[^/]*)(?:-standalone)?", r"\1"),
        ("fsf.org", r"(?:.*/)?((?:[al]?gpl|fdl)[^/]*)", r"\1"),
        ("mozilla.org", r"(?:.*/)?mpl(?:/(\d\.\d))?.*", r"mpl \1"),
        ("eclipse.org", r"(?:.*/)?epl-(?:v)?(\d)\.?(\d).*", r"epl \1.\2"),
        ("boost.org", r".*license-1-0.*", "boost"),
        ("unlicense.org", r".*", "unlicense"),
        ("mit-license.org", r".*", "mit"),
        ("wtfpl.net", r".*", "wtfpl"),
        ("scripts.sil.org", r"ofl.*", "ofl"),
        ("openfontlicense.org", r".*", "ofl"),
        ("opendatacommons.org", r"licenses/(odbl|by|pddl)(?:/(\d)[-.](\d))?.*", r"odc \1"),
        ("cdla.dev", r"([a-z]+)-(\d)-(\d).*", r"cdla \1 \2.\3"),
        ("polyformproject.org", r"licenses/([a-z-]+)(?:/([\d.]+))?.*", r"polyform \1"),
        ("ai.google.dev", r"gemma/.*", "gemma"),
        ("llama.com", r"llama(\d)[-_.]?(\d)?/license.*", r"llama \1.\2"),
        ("llama.com", r"llama-downloads.*|license.*", "llama"),
        ("llama.meta.com", r"llama(\d)[-_.]?(\d)?/license.*", r"llama \1.\2"),
        ("ai.meta.com", r"llama/license.*", "llama 2"),
        ("mistral.ai", r"licenses/(mnpl|mrl).*", r"\1"),
        ("stability.ai", r"(?:community-)?license.*", "stability ai community"),
        ("huggingface.co", r"spaces/compvis/stable-diffusion-license.*", "creativeml openrail m"),
        ("huggingface.co", r"spaces/bigscience/license.*", "bigscience bloom rail 1.0"),
        ("huggingface.co", r"spaces/bigcode/bigcode-model-license.*", "bigcode openrail m"),
        ("bigscience.huggingface.co", r"blog/the-bigscience-rail-license.*", "bigscience rail 1.0"),
        ("en.wikipedia.org", r"wiki/(.+)", r"\1"),
    )
)


def _words(link: str) -> str:
    """Return the words of the licence that an address stands for; empty if it is none."""
    found = _HOST.fullmatch(fold(link))
    if found is None:
        return ""
    host, path = found[1].rstrip("."), _END.sub("", found[2].replace("_", "-").rstrip(".,;)"))
    for site, pattern, words in _SITES:
        place = pattern.fullmatch(path) if host == site or host.endswith(f".{site}") else None
        if place is not None:
            return place.expand(words)
    return ""


def spell_links(text: str) -> str:
    """Return a text whose links are words: those of a licence, else of the address itself."""
    if "/" not in text:
        return text
    return _LINK.sub(lambda link: f" {_words(link[0]) or _MARKS.sub(' ', link[0])} ", text)


def link_license(link: str) -> str:
    """Return the words of the licence that a link stands for; empty for a link to anything else."""
    return _words(link.strip()) if _LINK.fullmatch(link.strip()) else ""
