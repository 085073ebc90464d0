"""Takes personal data and secrets out of a text and leaves typed placeholders: `[EMAIL_1]`, `[API_KEY_1]`, …

Each pattern runs in time linear in the text: every repetition is bounded, and none can start again inside a run that
it already failed on. What a checksum can tell (cards, IBANs, wallet addresses) is only taken when the checksum holds.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Seen = dict[tuple[str, str], str]

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PASSES: Final = 4
_CARD_LENGTHS: Final = frozenset({13, 14, 15, 16, 19})
# What stands after an @ in code, styles and documentation comments.
_NO_MENTION: Final = frozenset(
    ("param", "params", "return", "returns", "type", "typedef", "throws", "see", "deprecated", "override", "property",
     "staticmethod", "classmethod", "dataclass", "media", "import", "charset", "keyframes", "supports", "layer",
     "apply", "include", "test", "before", "after", "get", "post", "put", "delete", "app")
)  # fmt: skip


def _always(_: str) -> bool:
    return True


def _luhn(text: str) -> bool:
    """ISO/IEC 7812-1, annex B; the first digit must be that of a payment card."""
    digits = [int(char) for char in text if char.isdigit()]
    if len(digits) not in _CARD_LENGTHS or digits[0] not in (2, 3, 4, 5, 6):
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    """ISO 13616: the rearranged number is 1 modulo 97."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _ip(text: str) -> bool:
    """An address of a real machine: loopback and unspecified ones name nobody."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and not any(char.isdigit() for char in text):
        return False
    return not (address.is_loopback or address.is_unspecified or text == "255.255.255.255")


def _bitcoin(text: str) -> bool:
    """Base58Check: the last four bytes are the double SHA-256 of the rest."""
    number = 0
    for char in text:
        number = number * 58 + _BASE58.index(char)
    if number.bit_length() > 200:
        return False
    data = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def _mention(text: str) -> bool:
    return text[1:].lower() not in _NO_MENTION


def _phone(text: str) -> bool:
    return 8 <= sum(char.isdigit() for char in text) <= 15


_PLACEHOLDER = re.compile(r"\[([A-Z]+(?:_KEY)?)_(\d{1,6})\]")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is replaced: `group` of the pattern, when `holds` says that it is one. `need` must be in the text."""

    kind: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = _always
    group: int = 0
    need: str = ""
    fold: bool = False


_RULES: Final = (
    _Rule(
        "PRIVATE_KEY",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----)){0,20000}?"
            r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        ),
        need="PRIVATE KEY",
    ),
    _Rule(
        "API_KEY",
        re.compile(
            r"(?<![A-Za-z0-9_-])(?:sk-[A-Za-z0-9_-]{16,200}|sk_(?:live|test)_[A-Za-z0-9]{16,200}|gh[opsur]_[A-Za-z0-9]{30,255}"
            r"|github_pat_[A-Za-z0-9_]{22,255}|glpat-[A-Za-z0-9_-]{18,200}|hf_[A-Za-z0-9]{28,200}"
            r"|A(?:KIA|SIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}|xox[abeoprs]-[A-Za-z0-9-]{10,250}"
            r"|eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,2000})(?![A-Za-z0-9_-])"
        ),
    ),
    _Rule(
        "API_KEY",
        re.compile(
            r"(?:api[_-]?key|secret|token|passw(?:or)?d)[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?"
            r"((?=[^\s\"']{0,200}[0-9])[A-Za-z0-9_\-+/=.!$%&*#?]{12,400})",
            re.I,
        ),
        group=1,
    ),
    _Rule(
        "EMAIL",
        re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
        need="@",
        fold=True,
    ),
    _Rule(
        "IBAN",
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        _iban,
    ),
    _Rule("WALLET", re.compile(r"(?<![A-Za-z0-9])(?:0x[0-9a-fA-F]{40}|bc1[ac-hj-np-z02-9]{25,62})(?![A-Za-z0-9])")),
    _Rule("WALLET", re.compile(r"(?<![A-Za-z0-9])[13][1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9])"), _bitcoin),
    _Rule("CARD", re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), _luhn),
    _Rule("IP", re.compile(r"(?<![\w.:])(?<!version )(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)(?!\w)"), _ip),
    _Rule("IP", re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{4,39}(?![\w:])"), _ip, need=":"),
    _Rule(
        "PHONE",
        re.compile(
            r"(?<![\w.+-])(?:\+\d{1,3}(?:[ ./()-]{0,2}\d){6,13}|\(\d{2,5}\)[ .-]?\d{3,4}[ .-]?\d{3,4}"
            r"|\d{3}([ .-])\d{3}\1\d{4}|0\d{2,4}[ /]\d{5,9})(?![\w-])"
        ),
        _phone,
    ),
    _Rule("MENTION", re.compile(r"<@[!&]?\d{5,20}>"), need="<@"),
    _Rule("MENTION", re.compile(r"(?<![\w@/.`])@[A-Za-z0-9_]{2,39}(?![\w/(@.])"), _mention, need="@", fold=True),
)  # fmt: skip


def sanitize(text: str, *, seen: Seen | None = None) -> tuple[str, dict[str, int]]:
    """The text with placeholders, and how many of each kind (lower case) were put in.

    The same value has the same placeholder throughout every text that shares `seen`. Values that touch each other are
    found in a few more passes.
    """
    known: Seen = {} if seen is None else seen
    reserve(text, known)
    counts: Counter[str] = Counter()
    for _ in range(_PASSES):
        before = counts.total()
        for rule in _RULES:
            if rule.need in text:
                text = _apply(rule, text, known, counts)
        if counts.total() == before:
            break
    return text, dict(counts)


def reserve(text: str, seen: Seen) -> None:
    """Keeps the placeholders that a text has already from being given to another value."""
    for match in _PLACEHOLDER.finditer(text):
        seen.setdefault((match.group(1), match.group()), match.group())


def _apply(rule: _Rule, text: str, known: Seen, counts: Counter[str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        value = match.group(rule.group)
        if not rule.holds(value):
            return match.group()
        key = (rule.kind, value.casefold() if rule.fold else value)
        if key not in known:
            known[key] = _next(rule.kind, known)
        counts[rule.kind.lower()] += 1
        start, end = match.span(rule.group)
        return text[match.start() : start] + known[key] + text[end : match.end()]

    return rule.pattern.sub(replaced, text)


def _next(kind: str, known: Seen) -> str:
    used = [int(name[len(kind) + 2 : -1]) for (other, _), name in known.items() if other == kind]
    return f"[{kind}_{max(used, default=0) + 1}]"
