"""Phone numbers, in the groupings that people write them in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from core.capture.private.found import Found, joined_after, word_before

_INTERNATIONAL: Final = re.compile(r"(?:\+|00[ ]?)[1-9][0-9]{0,2}(?:[ ./()-]{0,2}[0-9]){6,13}")
_RUN: Final = re.compile(r"[0-9(][0-9 ()./-]{6,}")
_NATIONAL: Final = re.compile(
    # 1 (212) 555-0100, 212-555-0100, 212 555 0100
    r"(?P<american>(?:1[ .-])?(?:\([2-9][0-9]{2}\)[ ]?|[1-9][0-9]{2}(?P<gap>[ .-]))"
    r"[0-9]{3}(?(gap)(?P=gap)|[ .-])[0-9]{4})"
    # (030) 1234567, (11) 91234-5678
    r"|(?P<area>\((?:0[0-9]{1,4}|[1-9][0-9])\)[ -]?[0-9]{3,5}(?:[ -]?[0-9]{3,4})?)"
    # 8 (912) 345-67-89
    r"|(?P<russian>8[ -]?\(?[3-9][0-9]{2}\)?[ -]?[0-9]{3}-[0-9]{2}-[0-9]{2})"
    # 06 12 34 56 78
    r"|(?P<pairs>0[1-9](?P<dot>[ .-])[0-9]{2}(?:(?P=dot)[0-9]{2}){3})"
    # 030 1234567, 0171/2345678, 090-1234-5678, 044 668 18 00
    r"|(?P<trunk>0[1-9][0-9]{0,3}[ /-][0-9]{2,9}(?:[ -][0-9]{2,4}){0,3})"
)
_TRUNK_REGIONS: Final = ("DE", "GB", "AU", "JP", "KR", "CH", "AT", "NL", "BE", "SE", "IT", "FR", "TR", "ZA", "IN", "IE")
_LABEL: Final = re.compile(
    r"(?<![a-z])(?:tele?(?:phone|fon|fono|foon)?|tél(?:éphone)?|teléfono|fono|(?:smart|mobile?)?phone|mobil(?:e|nummer)?|"
    r"mobiel|m[óo]vil|cell(?:ular|ulare)?|celular|handy(?:nummer)?|fax|whats?app|call|dial|sms|gsm|hotline|numéro|"
    r"phone_?number|rufnummer|電話(?:番号)?|телефон|тел|номер)"
    r"(?:[ _-]?(?:numbers?|nummer|num|no\.?|nr\.?|me|us|him|her|at|is|ist|es|est|on|unter|della|:)){0,3}"
    r"[^\w\n+(]{1,4}\Z",
    re.I,
)
_ANY_GROUPING: Final = re.compile(r"\(?[0-9][0-9 ()./-]{4,18}[0-9]")
_OTHER_NUMBER_SAID: Final = re.compile(
    r"(?:\b(?:order|part|sku|case|ticket|invoice|serial|isbn|issn|ean|model|pn|artikel|art|ref|id|version|item|"
    r"article|tracking|member|account|konto|rechnung|cas|code|batch|lot)s?|\bartikel-?nr|\w+(?:nummer|nr)|\bno|\bnr|#)"
    r"[ .:#=_-]{0,3}(?:no|nr|number|id)?[ .:#\"'=]{0,3}$",
    re.I,
)
_ZIP: Final = re.compile(r"[0-9]{5}-[0-9]{4}")
_STATE_BEFORE: Final = re.compile(r"\b[A-Z]{2} $")
_HEX_GOES_ON: Final = re.compile(r"[ .-][0-9A-Fa-f]{2}\b")
_LIST_BEFORE: Final = re.compile(r"[0-9][ ,.-]{1,2}$")
# Of more different candidates in one text, only those that begin with + are taken, unchecked.
_MOST_CHECKED: Final = 3000
_NEAR: Final = 28


def phones(text: str) -> Iterator[Found]:
    """International numbers that are possible in their country, national ones in a country's usual grouping, and
    any number behind a word such as `phone:`."""
    checked: dict[tuple[str, str], bool] = {}
    runs = [match.span() for match in _RUN.finditer(text)]
    found = [*_international(text, checked), *_labelled(text, runs), *_national(text, runs, checked)]
    return iter(sorted(found))


def _phone(start: int, value: str) -> Found:
    digits = re.sub("[^0-9]", "", value.replace("(0)", ""))
    plain = digits[2:] if digits.startswith("00") else digits
    return Found(start, start + len(value), "PHONE", plain)


def _international(text: str, checked: dict[tuple[str, str], bool]) -> Iterator[Found]:
    for match in _INTERNATIONAL.finditer(text):
        start = match.start()
        if word_before(text, start, "+.)-" if match.group()[0] == "0" else "+.)"):
            continue
        value = match.group()
        whole = not joined_after(text, match.end(), "-")
        while len(value) >= 8:
            if whole and _possible(value, checked):
                yield _phone(start, value)
                break
            # What stands behind the number may be another one.
            shorter = re.match(r"(.*[0-9])[ ./()-]+[0-9]+$", value)
            if shorter is None:
                break
            value, whole = shorter.group(1), True


def _possible(value: str, checked: dict[tuple[str, str], bool]) -> bool:
    plain = re.sub("[^0-9+]", "", value.replace("(0)", ""))
    if plain.startswith("00"):
        return _holds("+" + plain[2:], "", checked, strict=True)
    return _holds(plain, "", checked)


def _holds(plain: str, region: str, checked: dict[tuple[str, str], bool], *, strict: bool = False) -> bool:
    """Whether a number has a length that its country uses; if `strict`, also a range that the country has assigned."""
    import phonenumbers

    key = (plain, region)
    if key not in checked:
        if len(checked) >= _MOST_CHECKED:
            return not strict
        try:
            number = phonenumbers.parse(plain, region or None)
            possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
            checked[key] = possible and (not strict or phonenumbers.is_valid_number(number))
        except phonenumbers.NumberParseException:
            checked[key] = False
    return checked[key]


def _labelled(text: str, runs: list[tuple[int, int]]) -> Iterator[Found]:
    for run in runs:
        match = _ANY_GROUPING.match(text, *run)
        if match is None:
            continue
        start, value = match.start(), match.group()
        if not 7 <= sum(char.isdigit() for char in value) <= 13 or _date_or_address(value):
            continue
        if joined_after(text, match.end(), "-") or not _LABEL.search(text[max(0, start - _NEAR) : start]):
            continue
        if value.startswith("(") and ")" not in value:
            start, value = start + 1, value[1:]
        yield _phone(start, value)


def _date_or_address(value: str) -> bool:
    return re.match(
        r"(?:[0-9]{4}[-./][0-9]{2}[-./][0-9]{2}|[0-9]{1,2}[-./][0-9]{1,2}[-./][0-9]{4})\b", value
    ) is not None or (re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}", value) is not None)


def _national(text: str, runs: list[tuple[int, int]], checked: dict[tuple[str, str], bool]) -> Iterator[Found]:
    for match in (match for run in runs for match in _NATIONAL.finditer(text, *run)):
        start, end = match.span()
        if word_before(text, start, ".+-/,") or joined_after(text, end) or text.startswith(("/", ":"), end):
            continue
        before = text[max(0, start - _NEAR) : start]
        if _OTHER_NUMBER_SAID.search(before):
            continue
        if _national_form(match, before, checked):
            yield _phone(start, match.group())


def _national_form(match: re.Match[str], before: str, checked: dict[tuple[str, str], bool]) -> bool:
    plain = re.sub("[^0-9]", "", match.group())
    kind = match.lastgroup
    goes_on = _HEX_GOES_ON.match(match.string, match.end()) is not None
    if kind == "pairs":
        return not goes_on and not _LIST_BEFORE.search(before[-3:]) and _holds(plain, "FR", checked, strict=True)
    if match["trunk"] is not None:
        if _ZIP.fullmatch(match.group()) and _STATE_BEFORE.search(before):
            return False
        return (
            9 <= len(plain) <= 12
            and not goes_on
            and any(_holds(plain, each, checked, strict=True) for each in _TRUNK_REGIONS)
        )
    if match["area"] is not None:
        return 8 <= len(plain) <= 12
    return not plain.endswith("0000000") and not (match["gap"] == " " and _LIST_BEFORE.search(before[-3:]))
