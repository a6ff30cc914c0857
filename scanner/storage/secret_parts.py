"""Find secrets in addresses, and write addresses without them.

A secret may stand in any part of an address: as user info, as a parameter of a query, a path or a
fragment, in any link of a chain (``zip://x::http://…``), percent-encoded once or more. One regular
expression decides, because the form of a flow has to state it: Prefect's API then refuses a secret
before it is stored. It is written for Python and JavaScript alike, which checks the form in the UI.

Of the parameters of a web address only harmless ones are accepted. Elsewhere ``?``, ``#`` and ``;``
are letters of names, so there only names that credentials have are refused.
"""

import re
from functools import cache
from typing import Final
from urllib.parse import unquote

__all__ = [
    "WITHOUT_SECRETS",
    "holds_secrets",
    "refuse_secrets",
    "without_secrets",
    "without_secrets_in",
]

_HARMLESS: Final = (
    *("download", "versionId", "revision", "rev", "ref", "branch", "raw", "inline", "generation"),
    *("list-type", "prefix", "delimiter", "format", "lang"),
)
"""Parameters of web addresses that hold no secret."""
_NAMES: Final = (
    *("sig", "token", "secret", "passw", "pwd", "credential", "accesskey", "access_key"),
    *("access-key", "accountkey", "account_key", "account-key", "apikey", "api_key", "api-key"),
    *("auth", "session", "x-amz-", "x-goog-", "x-oss-", "keypair", "key-pair", "jwt", "bearer"),
    *("cookie", "private"),
)
"""What the names of parameters with credentials contain."""
_WHOLE_NAMES: Final = ("key", "sas", "code", "pass", "pw", "user", "username", "hmac", "ticket")
"""Names that such parameters have, whole."""
_LONGEST: Final = 8192
"""Characters of an address; keys and paths have at most half as many."""
_HIDDEN: Final = "…"
_DECODINGS: Final = 8


@cache
def _letter(letter: str) -> str:
    """Return a pattern for a character in either case, as it is or percent-encoded repeatedly."""
    cases = sorted({letter.lower(), letter.upper()})
    plain = f"[{''.join(cases)}]" if len(cases) > 1 else re.sub(r"([?+.*])", r"[\1]", letter)
    codes = "|".join(_hexadecimal(ord(case)) for case in cases)
    return f"(?:{plain}|%(?:25)*(?:{codes}))"


def _hexadecimal(code: int) -> str:
    return "".join(
        digit if digit.isdigit() else f"[{digit}{digit.upper()}]" for digit in f"{code:02x}"
    )


def _word(word: str) -> str:
    return "".join(map(_letter, word))


def _any_of(words: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(map(_word, words))})"


_AT: Final = _letter("@")
_COLON: Final = _letter(":")
_SLASH: Final = _letter("/")
_EQUALS: Final = _letter("=")
_MARK: Final = f"(?:{'|'.join(map(_letter, '?&;#'))})"
_PART: Final = rf"(?:[\s\S]*{_COLON}{_COLON})?\s*"
"""What stands before a part of a chain."""
_SCHEME: Final = f"[A-Za-z][A-Za-z0-9+.-]*{_COLON}{_SLASH}+"
_WEB: Final = f"{_word('http')}{_letter('s')}?{_COLON}{_SLASH}+"
_BUCKET: Final = f"{_any_of(('s3', 's3a', 's3n', 'gs', 'gcs', 'az'))}{_COLON}{_SLASH}+"
_NO_USER: Final = _any_of(
    ("abfs", "abfss", "hf", "zip", "tar", "libarchive", "memory", "file", "local", "github", "git")
)
"""Schemes whose first part may contain ``@`` without a user before it."""
_HARMLESS_PARAMETER: Final = f"(?:{'|'.join(_HARMLESS)})(?:=[A-Za-z0-9_./+~%-]*)?"
_HARMLESS_QUERY: Final = (
    rf"[?](?:{_HARMLESS_PARAMETER}(?:[&]{_HARMLESS_PARAMETER})*[&]?)?(?:#[^?]*)?(?:::[\s\S]*)?$"
)
_PASSWORD: Final = (
    rf"{_PART}(?!{_any_of(('github', 'git'))}{_COLON})(?:{_SCHEME}|{_SLASH}{_SLASH}+)"
    rf"(?!{_word('arn')}{_COLON})(?:(?!{_COLON}|{_AT}|{_SLASH})[^\[\]])*{_COLON}"
    rf"(?![0-9]*(?:[/?#]|$))(?:(?!{_AT})[\s\S])*{_AT}"
)
"""``user:password@``, unlike ``host:port/…@`` and the ARN of an access point."""
_USER_INFO: Final = rf"{_PART}(?!{_NO_USER}{_COLON}){_SCHEME}(?:(?!{_AT}|{_SLASH})[^?#])*{_AT}"
_KEY_AND_SECRET: Final = rf"{_PART}{_BUCKET}[^/@]*[A-Z][^/@]*{_SLASH}(?:(?!{_AT})[\s\S])*{_AT}"
"""``KEY/SECRET@``: no bucket has capital letters."""
_CREDENTIAL: Final = (
    rf"{_PART}(?:{_SCHEME}|{_SLASH}{_SLASH}+)[\s\S]*{_MARK}"
    rf"(?:(?:(?!{_MARK}|{_EQUALS})[^/])*{_any_of(_NAMES)}(?:(?!{_MARK}|{_EQUALS})[^/])*"
    rf"|{_any_of(_WHOLE_NAMES)}){_EQUALS}"
)
"""A parameter with the name of a credential."""
_UNKNOWN_QUERY: Final = rf"{_PART}{_WEB}[^?]*(?!{_HARMLESS_QUERY})[?]"
"""Any other query of a web address that is not known as harmless."""
_TOO_LONG: Final = rf"[\s\S]{{{_LONGEST + 1}}}"
_SECRETS: Final = (
    *(_TOO_LONG, _UNKNOWN_QUERY, _CREDENTIAL, _KEY_AND_SECRET),
    *(_USER_INFO, _PASSWORD),
)
WITHOUT_SECRETS: Final = f"^(?!{'|'.join(_SECRETS)})"
"""Regular expression that matches addresses without secrets."""

_MARKS: Final = re.compile("[@?#;&%]")
"""Characters of which every address with a secret has one."""
_USER: Final = r"^([^/]*?//+|[^/]*?:/)[\s\S]*@"
_MENTIONED: Final = (
    rf"""(?:[A-Za-z][A-Za-z0-9+.-]*{_COLON}(?:{_SLASH}|{_COLON})|(?<![^\s'"])//)[^\s'"`<>]+"""
)
"""An address in a sentence."""
_PARAMETERS: Final = r"([?&;#])([^=?&;#]*)(=?)([^?&;#]*)"


def holds_secrets(text: str) -> bool:
    """Whether an address holds a secret, or what may be one."""
    # The length first: looking through a long text takes long.
    if len(text) > _LONGEST:
        return True
    # Few addresses have such a mark, and compiling the pattern takes 10 ms.
    return bool(_MARKS.search(text)) and not _compiled().match(text)


@cache
def _compiled() -> re.Pattern[str]:
    return re.compile(WITHOUT_SECRETS)


def refuse_secrets(text: str, named: str = "the address") -> None:
    """Refuse an address that would take secrets to where they are stored in clear text.

    Args:
        text: The address, as it was given.
        named: What the message calls it.

    Raises:
        ValueError: It holds a user, a password, or a parameter that may be a credential.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"{named} is longer than {_LONGEST} characters")
    if holds_secrets(text):
        raise ValueError(
            f"{named} contains a user, a password or a signature, which would be stored in "
            "clear text: put the credentials into a storage block"
        )


def without_secrets(text: str) -> str:
    """Return an address as it may be shown; an address without secrets stays as it is."""
    if not holds_secrets(text):
        return text
    if len(text) > _LONGEST:
        return _HIDDEN
    for _ in range(_DECODINGS):
        text, encoded = unquote(text), text
        if text == encoded:
            break
    shown = "::".join(_clean(part) for part in text.split("::"))
    # What the lines above do not understand is not shown at all.
    return _HIDDEN if _still_secret(shown) else shown


def without_secrets_in(message: str) -> str:
    """Return a message with the addresses in it as they may be shown."""
    return re.sub(_MENTIONED, lambda found: _shown_in_sentence(found[0]), message)


def _shown_in_sentence(text: str) -> str:
    """Return an address as it may be shown, with the punctuation of the sentence after it."""
    bare = text.rstrip(".,;:)]")
    return without_secrets(bare) + text[len(bare) :]


def _clean(part: str) -> str:
    if holds_secrets(re.sub(_PARAMETERS, "", part)):
        part = re.sub(_USER, r"\1", part)
    return re.sub(_PARAMETERS, _without_value, part)


def _without_value(found: re.Match[str]) -> str:
    mark, name, equals, value = found.groups()
    if name in _HARMLESS:
        return f"{mark}{name}{equals}{value}"
    return f"{mark}{name}={_HIDDEN}" if equals else f"{mark}{_HIDDEN}"


def _still_secret(shown: str) -> bool:
    """Whether anything but parameters that have lost their values is a secret."""
    return holds_secrets(re.sub(rf"[?&;#](?:[^=?&;#]*=)?{_HIDDEN}", "", shown))
