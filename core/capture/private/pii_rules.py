"""E-mail and IP addresses, as they stand in prose, code, logs and diagrams."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from core.capture.private.found import Found, joined_after, word_before
from core.capture.private.top_domains import is_top_domain

_AT_DOMAIN: Final = re.compile(
    r"@((?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[Xx][Nn]--[A-Za-z0-9-]{2,50}|[A-Za-z]{2,24}|[^\W\dA-Za-z_]{2,24})"
    r"(?![A-Za-z0-9_]|-[A-Za-z0-9]))"
)
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzó"
_LATIN: Final = "".join(chr(code) for code in range(0xC0, 0x180) if chr(code).isalpha())
_LOCAL: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+'&-" + _LATIN
_LOCAL_OTHER: Final = re.compile(r"[\u0370-\u052f0-9._-]{1,64}\Z")
_LOCAL_CHARS: Final = 64
_SERVICES: Final = frozenset({"git", "hg", "svn"})
_RESOLUTION: Final = re.compile(r"[1-9](?:\.5)?x\.")
_IMAGE: Final = frozenset({"png", "jpg", "gif", "svg", "webp", "css", "js"})

_DOT: Final = r"[ ]?[\[({][ ]?(?:dot|DOT|punkt|punto|point)[ ]?[\])}][ ]?"
_SPELT_DOT: Final = re.compile(_DOT)
_SPELT: Final = re.compile(
    r"[ ]?[\[({][ ]?(?:at|AT|ät)[ ]?[\])}][ ]?"
    rf"(?P<domain>[A-Za-z0-9-]{{1,63}}(?:(?:\.|{_DOT})[A-Za-z0-9-]{{1,63}}){{1,4}})"
)

_IPV4: Final = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}")
_IPV6: Final = re.compile(
    r"[0-9A-Fa-f:](?<![A-Za-z0-9_:.][0-9A-Fa-f:])[0-9A-Fa-f:]{3,45}(?:(?<=:)[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?:\.[0-9]{1,3}){3})?"
)
_NEAR: Final = 40
_RESOLVERS: Final = frozenset({"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9"})
_VERSION_NAMES: Final = (
    "version versión versione versions ver v release releases build builds firmware driver rev revision section sec "
    "chapter kapitel abschnitt chapitre oid figure table clause patch update upgrade kernel sdk"
)
_VERSION_WORDS: Final = frozenset(_VERSION_NAMES.split())
_COMPARED: Final = re.compile(r"(?:§\s?|[=~^<>]=\s?|[~^<>]|\n##?#? |\A##?#? )\Z")
_ADDRESS_SAID: Final = re.compile(
    r"\bip|_ip|addr|host|server|ping|dns|ssh|://|@|inet|client|gateway|node|subnet|peer|remote|listen|from\W{0,3}$",
    re.I,
)


def emails(text: str) -> Iterator[Found]:
    """Addresses with a known top-level domain, in any of the scripts that domains are written in."""
    for match in _AT_DOMAIN.finditer(text):
        at = match.start()
        domain = _real_domain(match.group(1))
        if not domain or text.startswith("(", at + 1 + len(domain)):
            continue
        chunk = text[max(0, at - _LOCAL_CHARS) : at]
        local = chunk[len(chunk.rstrip(_LOCAL)) :].lstrip("'&.%+-")
        if not local and (other := _LOCAL_OTHER.search(chunk)):
            local = other.group()
        if not local or _no_address(local, domain, text, at):
            continue
        start, end = at - len(local), at + 1 + len(domain)
        if text[start - 1 : start] == "@" and not word_before(text, start - 1):
            yield Found(start - 1, end, "MENTION", f"{local}@{domain}".casefold())
        else:
            yield Found(start, end, "EMAIL", f"{local}@{domain}".casefold())


def _real_domain(domain: str) -> str:
    """The domain up to its last label that is a top-level domain: a sentence may go on without a space."""
    labels = domain.split(".")
    for count in range(len(labels), 1, -1):
        if is_top_domain(labels[count - 1]):
            return ".".join(labels[:count])
    return ""


def _no_address(local: str, domain: str, text: str, at: int) -> bool:
    end = at + 1 + len(domain)
    if local.lower() in _SERVICES and (text.startswith((":", "/"), end) or text.startswith("://", at - len(local) - 3)):
        return True
    return _RESOLUTION.match(domain) is not None and text[end - 3 : end].lower().lstrip(".") in _IMAGE


def spelt_emails(text: str) -> Iterator[Found]:
    """`jane [at] acme [dot] io`."""
    for match in _SPELT.finditer(text):
        whole = _SPELT_DOT.sub(".", match["domain"])
        chunk = text[max(0, match.start() - _LOCAL_CHARS) : match.start()]
        local = chunk[len(chunk.rstrip(_LOCAL)) :].lstrip("'&.%+-")
        start = match.start() - len(local)
        if local and _real_domain(whole) == whole and not word_before(text, start):
            yield Found(start, match.end(), "EMAIL", f"{local}@{whole}".casefold())


def ipv6(text: str) -> Iterator[Found]:
    """Addresses with a group of three digits or more, or all eight groups: shorter ones are slices and times."""
    for match in _IPV6.finditer(text):
        start, end = match.span()
        value = match.group()
        if value.endswith(":") and not value.endswith("::"):
            value, end = value[:-1], end - 1
        address = _address(value)
        if address is None or joined_after(text, end, ":."):
            continue
        in_brackets = text[start - 1 : start] == "[" and text[end : end + 1] == "]"
        if in_brackets and word_before(text, start - 1, ")]"):
            continue
        groups = value.split(":")
        if len(groups) == 8 or (any(len(group) >= 3 for group in groups) and sum(map(bool, groups)) > 1):
            yield Found(start, end, "IP", address)


def ipv4(text: str) -> Iterator[Found]:
    """Addresses that the words before them do not make a version or a section number."""
    for match in _IPV4.finditer(text):
        start, end = match.span()
        address = _address(match.group())
        if address is None or word_before(text, start, ".") or joined_after(text, end, "."):
            continue
        before = text[max(0, start - _NEAR) : start]
        if _in_a_name(text, start, end) or _versioned(before) or _small(address, before):
            continue
        yield Found(start, end, "IP", address)


def _address(text: str) -> str | None:
    """The address in its shortest form. Loopback, unspecified and netmasks are no machine's."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_loopback or address.is_unspecified or (address.version == 4 and text.startswith(("255.", "0."))):
        return None
    if address.version == 6 and not any(char.isdigit() for char in text):
        return None
    return str(address)


def _in_a_name(text: str, start: int, end: int) -> bool:
    """`Chrome/114.0.0.0`, `lib-1.2.3.4.tar`, `1.2.3.4-beta`."""
    before, further = text[start - 1 : start], text[start - 2 : start - 1]
    if before and before in "/-" and further.isalpha():
        return True
    return text[end : end + 1] in ("-", "+") and text[end + 1 : end + 2].isalpha()


def _versioned(before: str) -> bool:
    """`version 1.2.3.4`, `AssemblyVersion("1.2.3.4")`, `acme>=1.2.3.4`."""
    said = before.rstrip(" .:=\"'(#\t")
    word = said[len(said.rstrip(_LETTERS)) :].lower()
    if len(before) - len(said) <= 4 and (word in _VERSION_WORDS or word.endswith("version")):
        return True
    return _COMPARED.search(before[-5:]) is not None


def _small(address: str, before: str) -> bool:
    """Four small numbers are rather a version (2.1.0.5), unless something before them speaks of a machine."""
    if address in _RESOLVERS:
        return False
    numbers = [int(part) for part in address.split(".")]
    return numbers[0] != 10 and max(numbers) < 32 and _ADDRESS_SAID.search(before) is None
