"""Payment cards and IBANs: runs of digits with a check that tells them from other numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from core.capture.private.found import Found, joined_after, word_after, word_before

# Length of the IBAN of each country (ISO 13616 registry).
_IBAN_LENGTHS: Final = {
    pair[:2]: int(pair[2:])
    for pair in [
        "AD24",
        "AE23",
        "AL28",
        "AT20",
        "AZ28",
        "BA20",
        "BE16",
        "BG22",
        "BH22",
        "BI27",
        "BR29",
        "BY28",
        "CH21",
        "CR22",
        "CY28",
        "CZ24",
        "DE22",
        "DJ27",
        "DK18",
        "DO28",
        "EE20",
        "EG29",
        "ES24",
        "FI18",
        "FK18",
        "FO18",
        "FR27",
        "GB22",
        "GE22",
        "GI23",
        "GL18",
        "GR27",
        "GT28",
        "HR21",
        "HU28",
        "IE22",
        "IL23",
        "IQ23",
        "IS26",
        "IT27",
        "JO30",
        "KW30",
        "KZ20",
        "LB28",
        "LC32",
        "LI21",
        "LT20",
        "LU20",
        "LV21",
        "LY25",
        "MC27",
        "MD24",
        "ME22",
        "MK19",
        "MN20",
        "MR27",
        "MT31",
        "MU30",
        "NI28",
        "NL18",
        "NO15",
        "OM23",
        "PK24",
        "PL28",
        "PS29",
        "PT25",
        "QA29",
        "RO24",
        "RS22",
        "RU33",
        "SA24",
        "SC31",
        "SD18",
        "SE24",
        "SI19",
        "SK24",
        "SM27",
        "SO23",
        "ST25",
        "SV28",
        "TL23",
        "TN24",
        "TR26",
        "UA29",
        "VA22",
        "VG24",
        "XK20",
        "YE30",
    ]
}
_IBAN_START: Final = re.compile(r"[0-9]{2}(?<=[A-Za-z]{2}[0-9]{2})(?=[ -]?[A-Za-z0-9])")

_CARD: Final = re.compile(
    r"[2-6][0-9]{3}(?:([ -]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?|([ -]?)[0-9]{6}\2[0-9]{4,5}|[0-9]{9})(?![0-9])"
)
# Issuer ranges and lengths: Visa, Mastercard, American Express, Diners Club, Discover, JCB, UnionPay, Mir, Maestro.
_ISSUER: Final = re.compile(
    r"4[0-9]{15}|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|35(?:2[89]|[3-8][0-9])[0-9]{12}"
    r"|62[0-9]{14}|220[0-4][0-9]{12}|(?:50|5[6-8]|6[0-9])[0-9]{14}"
)
# Lengths that other numbers have more often: taken when the text speaks of a card.
_ISSUER_SAID: Final = re.compile(r"4[0-9]{12}|4[0-9]{18}|6[0-9]{18}")
_CARD_SAID: Final = re.compile(r"card|visa|karte|carte|tarjeta|maestro|unionpay|payment", re.I)
_NEAR: Final = 28


def ibans(text: str) -> Iterator[Found]:
    """IBANs of the right length for their country, rest 1 modulo 97 (ISO 13616)."""
    for match in _IBAN_START.finditer(text):
        start = match.start() - 2
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        if length is None or word_before(text, start):
            continue
        gap = text[match.end()] if text[match.end()] in " -" else ""
        end = start + length + (len(gap) and (length - 1) // 4)
        value = text[start:end]
        plain = value.replace(gap, "") if gap else value
        if len(plain) != length or not (plain.isascii() and plain.isalnum()) or word_after(text, end):
            continue
        if int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1:
            yield Found(start, end, "IBAN", plain.upper())


def cards(text: str) -> Iterator[Found]:
    """Numbers in an issuer's range, of its length, with the right check digit (ISO/IEC 7812-1, annex B)."""
    for match in _CARD.finditer(text):
        start, end = match.span()
        if word_before(text, start, ".-") or joined_after(text, end):
            continue
        digits = match.group().replace(" ", "").replace("-", "")
        said = _CARD_SAID.search(text[max(0, start - _NEAR) : start]) is not None
        if (_ISSUER.fullmatch(digits) or (said and _ISSUER_SAID.fullmatch(digits))) and _luhn(digits):
            yield Found(start, end, "CARD", digits)


def _luhn(digits: str) -> bool:
    doubled = sum(int("0246813579"[int(digit)]) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + doubled) % 10 == 0
