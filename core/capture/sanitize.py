"""Takes personal data and secrets out of a text and leaves typed placeholders: `[EMAIL_1]`, `[API_KEY_1]`, …

What is looked for stands in `pii_rules` (e-mail and IP addresses), `mention_rules`, `phone_rules`, `number_rules`
(cards, IBANs), `secret_rules` (keys, tokens, passwords) and `wallets`. A rule runs only when a cheap test of the
whole text lets it: most texts hold none of the characters that it needs. Every rule takes time linear in the text.

Decided, because the text alone cannot tell: addresses at example.com and private IP addresses are replaced like any
other; `git@host:path` names a service and stays, as do loopback addresses, `@everyone`, `@here` and names in
back-ticks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from core.capture.private import mention_rules, number_rules, phone_rules, pii_rules, secret_rules, wallets
from core.capture.private.found import Found

Seen = dict[tuple[str, str], str]
Rule = Callable[[str], Iterable[Found]]

# Values that touch each other are found one pass after the other; a huge text gets fewer passes.
_PASSES: Final = 3
_PASS_CHARS: Final = 2_000_000
_PLACEHOLDER: Final = re.compile(r"\[([A-Z]+(?:_KEY)?)_(\d{1,6})\]")
# Seven characters of a number (the shortest address is 1.2.3.4), or the start of an IBAN whose bank code is letters.
_NUMBER: Final = re.compile(r"[0-9](?:[0-9 ./():+-]{6}|[0-9][ -]?[A-Z]{4}[ -]?[0-9])")
_GROUPS: Final = re.compile(r":[0-9A-Fa-f]{0,4}:")
_LONG_WORD: Final = 16
# The kind under which `Seen` keeps the highest number given for each other kind.
_HIGHEST: Final = ""


def sanitize(text: str, *, seen: Seen | None = None) -> tuple[str, dict[str, int]]:
    """The text with placeholders, and how many of each kind (lower case) were put in.

    The same value, however it is written (`+49 170 1` and `0049-1701`, upper and lower case), has the same placeholder
    throughout every text that shares `seen`. Placeholders that the text has already stay and are given to nobody else.
    """
    known: Seen = {} if seen is None else seen
    reserve(text, known)
    counts: Counter[str] = Counter()
    for _ in range(_PASSES + _PASS_CHARS // (len(text) + 1000)):
        before = counts.total()
        for rule in _rules(text):
            text = _replaced(text, rule(text), known, counts)
        if counts.total() == before:
            break
    return text, dict(counts)


def reserve(text: str, seen: Seen) -> None:
    """Keeps the placeholders that a text has already from being given to another value."""
    for match in _PLACEHOLDER.finditer(text):
        key = (_HIGHEST, match.group(1))
        seen[key] = str(max(int(seen.get(key, "0")), int(match.group(2))))


def _rules(text: str) -> Iterator[Rule]:
    """The rules that may find something, in the order in which they claim a text."""
    long_words = max(map(len, text.split()), default=0) >= _LONG_WORD
    if "-----BEGIN" in text:
        yield secret_rules.private_keys
    if long_words:
        yield secret_rules.by_form
    if "://" in text:
        yield secret_rules.in_urls
    lower = text.lower()
    for name in secret_rules.NEEDED:
        if name in lower:
            yield secret_rules.by_name
            break
    if long_words:
        yield wallets.addresses
    if "@" in text:
        yield pii_rules.emails
        yield mention_rules.mentions
    if "at]" in lower or "at)" in lower:
        yield pii_rules.spelt_emails
    if _GROUPS.search(text):
        yield pii_rules.ipv6
    if _NUMBER.search(text):
        yield number_rules.ibans
        yield pii_rules.ipv4
        yield number_rules.cards
        yield phone_rules.phones


def _replaced(text: str, found: Iterable[Found], known: Seen, counts: Counter[str]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, kind, value in found:
        if start < at:
            continue
        key = (kind, value)
        if key not in known:
            number = int(known.get((_HIGHEST, kind), "0")) + 1
            known[_HIGHEST, kind] = str(number)
            known[key] = f"[{kind}_{number}]"
        counts[kind.lower()] += 1
        parts += (text[at:start], known[key])
        at = end
    return "".join((*parts, text[at:])) if parts else text
