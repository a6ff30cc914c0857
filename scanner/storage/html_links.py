"""Find the links of a folder page, in time that is linear in its length.

Read as browsers read it (the tokenizer of the HTML standard), as far as links need that: attributes
with their quotes, comments, and the texts of scripts and styles, in which nothing is a tag. The
parser of the standard library and regular expressions that look for ``<a … href=`` take time in the
square of the length for pages that are made for it.
"""

import html
import re
from collections.abc import Generator, Iterable, Iterator
from typing import Final
from urllib.parse import urljoin

__all__ = ["PAGE_LIMIT", "TAG_LIMIT", "find_links"]

PAGE_LIMIT: Final = 4 << 20
"""Most bytes of a page that are read: about 40,000 files as web servers list them."""
TAG_LIMIT: Final = 1 << 18
"""Most tags and attributes of a page."""
_PLAIN: Final = re.compile(r"[\w.%~()+-]+/?")
"""Links as most pages have them: a name beside the page."""
_TAG: Final = re.compile(r"[A-Za-z][^\s/>]*+")
_ATTRIBUTE: Final = re.compile(
    r"[\s/]*+(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*+)"
    r"(?:\s*+=\s*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<bare>[^\s>\"'][^\s>]*+)))?+)"
)
_TEXTS: Final = {
    name: re.compile(f"</{name}", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp")
}
"""Elements whose content is text."""
_OTHER_PLACES: Final = ("?", "#", "javascript:", "mailto:", "data:")


def find_links(page: str, url: str) -> tuple[list[str], bool]:
    """Return the addresses that a page links to, each once, and whether that is all of them.

    Args:
        page: Its text.
        url: Its address, which links are relative to.
    """
    base = url[: url.rindex("/") + 1]
    found: dict[str, None] = {}
    for number, link in enumerate(_hrefs(page)):
        if number == TAG_LIMIT:
            return _addresses(found, base), False
        found[link] = None
    return _addresses(found, base), True


def _addresses(hrefs: Iterable[str], base: str) -> list[str]:
    """Return the addresses that links mean, each once."""
    found: dict[str, None] = {}
    for link in hrefs:
        if _PLAIN.fullmatch(link) and not link.startswith("..") and link not in (".", "./"):
            found[base + link] = None
            continue
        href = html.unescape(link).strip()
        if href and not href.startswith(_OTHER_PLACES):
            try:
                found[urljoin(base, href).partition("#")[0]] = None
            except ValueError:  # no address, such as http://[
                continue
    return list(found)


def _hrefs(page: str) -> Iterator[str]:
    """Yield the value of each link, and an empty text for each attribute and other tag."""
    at = page.find("<")
    while at >= 0:
        if page.startswith("<!--", at):
            at = page.find("-->", at + 4)
        elif page.startswith(("<!", "<?", "</"), at):
            at = page.find(">", at)
            yield ""
        elif (tag := _TAG.match(page, at + 1)) is not None:
            at = yield from _tag(page, tag)
        else:
            at += 1
            yield ""
        if at >= 0:
            at = page.find("<", at)


def _tag(page: str, tag: re.Match[str]) -> Generator[str, None, int]:
    """Yield as `_hrefs` for one tag; return where the next may begin, -1 if none may."""
    name, at = tag[0].lower(), tag.end()
    href = ""
    while (part := _ATTRIBUTE.match(page, at)) is not None and part["end"] is None:
        at = part.end()
        yield ""
        if not href and part["name"].lower() == "href":
            href = part["double"] or part["single"] or part["bare"] or ""
    if part is None:
        return -1  # the page ends within a tag, which is none then
    yield href if name == "a" else ""
    end = _TEXTS[name].search(page, part.end()) if name in _TEXTS else part
    return -1 if end is None else end.start() if name in _TEXTS else end.end()
