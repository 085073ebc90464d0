"""Scores a response by the language it is written in."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from core.validate.extract import fences
from core.validate.options import only, texts
from core.validate.validator import Finding, Validation, Validator, not_judged

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# The codes that the model of py3langid tells apart: ISO 639-1, or 639-3 where there is none.
LANGUAGES: Final = frozenset(
    """ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv
    fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la
    lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se
    si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu""".split()  # noqa: SIM905 - a list literal would take a screen
)
# Written alike to the degree that a paragraph does not tell them apart, or one is a form of the other.
_INCLUDES: Final[Mapping[str, tuple[str, ...]]] = {
    "ar": ("ary", "arz"),
    "en": ("pcm",),
    "ku": ("sdh",),
    "nb": ("no", "nn"),
    "no": ("nn",),
    "uz": ("uzs",),
    "zh": ("wuu", "yue"),
}
_NONE: Final = "zxx"
_SURE: Final = 0.8
_HALF: Final = 0.5
_INVALID_CAP: Final = 20.0
_UNSURE_CAP: Final = 70.0
_FEW_LETTERS: Final = 20
_PARAGRAPH_LETTERS: Final = 60
_FOREIGN: Final = 0.1
_FOREIGN_COST: Final = 40.0
_READ: Final = 200_000
_STAND_IN: Final = 75.0
_NOT_LANGUAGE = re.compile(
    r"`[^`\n]{1,2000}`|\bhttps?://\S{1,2000}|<[/!]?[A-Za-z][^<>\n]{0,200}>|\[[A-Z_]{2,20}_\d{1,6}\]|\S{1,64}@\S{1,64}"
)
_LETTER = re.compile(r"[^\W\d_]")
# One of these says as much as a syllable or a word of an alphabet.
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class LanguageValidator:
    """Scores 100 for a text in one of `languages` (ISO 639-1 codes); `expected={"language": code}` names another one.

    A probability of the languages below 0.5 is invalid (at most 20); from there to 0.8 the score goes from 70 to 100.
    Paragraphs in another language cost up to 40, by their share of the letters. Code, addresses and placeholders are
    not looked at; with fewer than 20 letters left nothing is judged. The first 200,000 characters are read.
    """

    languages: tuple[str, ...]
    name: str = "language"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        if not response.strip():
            return Validation(0.0, False, (Finding("empty", "the answer is empty"),))
        wanted = _wanted((expected or {}).get("language")) or self.languages
        accepted = {*wanted, *(form for code in wanted for form in _INCLUDES.get(code, ()))}
        prose = _NOT_LANGUAGE.sub(" ", _without_fences(response[:_READ]))
        if _weight(prose) < _FEW_LETTERS:
            return not_judged("too_short", "there is too little text to tell its language", score=_STAND_IN)
        shares = _shares(prose)
        share = sum(shares.get(code, 0.0) for code in accepted)
        best = max(shares, key=lambda code: shares[code])
        asked = " or ".join(wanted)
        if share < _HALF:
            found = "no language" if best == _NONE else f"`{best}` (probability {shares[best]:.2f})"
            wrong = Finding("wrong_language", f"the text is in {found}, not in {asked}")
            return Validation(round(share / _HALF * _INVALID_CAP, 1), False, (wrong,))
        findings: list[Finding] = []
        score = 100.0
        if share < _SURE:
            score = _UNSURE_CAP + (100.0 - _UNSURE_CAP) * (share - _HALF) / (_SURE - _HALF)
            message = f"the probability that the text is in {asked} is only {share:.2f}"
            findings.append(Finding("unsure_language", message, severity="warning"))
        letters = foreign = 0
        for line, paragraph in _paragraphs(prose):
            weight = _weight(paragraph)
            letters += weight
            if weight >= _PARAGRAPH_LETTERS:
                own = _shares(paragraph)
                if sum(own.get(code, 0.0) for code in accepted) < _FOREIGN:
                    foreign += weight
                    other = max(own, key=lambda code: own[code])
                    findings.append(Finding("other_language", f"line {line}: a paragraph in `{other}`", line))
        return Validation(max(0.0, score - _FOREIGN_COST * foreign / max(letters, 1)), True, tuple(findings))


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `languages` (required), the codes of those that are right, e.g. `["de", "en"]`; `de-AT` means `de`."""
    only(options, "languages")
    codes = tuple(dict.fromkeys(_code(each) for each in texts(options, "languages")))
    for code in codes:
        if code not in LANGUAGES and code not in _INCLUDES:
            raise ValueError(f"`languages`: {code!r} is no language that can be told; write codes such as en, de or fr")
    return LanguageValidator(codes)


def _code(written: str) -> str:
    return re.split(r"[-_]", written.strip(), maxsplit=1)[0].lower()


def _wanted(expected: object) -> tuple[str, ...]:
    if not isinstance(expected, str):
        return ()
    code = _code(expected)
    return (code,) if code in LANGUAGES or code in _INCLUDES else ()


def _without_fences(text: str) -> str:
    """The text with the lines of its code fences left empty."""
    lines = text.split("\n")
    for fence in fences(text):
        for number in range(fence.line - 2, min(fence.line + fence.text.count("\n") + 1, len(lines))):
            lines[number] = ""
    return "\n".join(lines)


def _weight(text: str) -> int:
    """How many letters a text has; a character that stands for a syllable or a word counts three times."""
    return len(_LETTER.findall(text)) + 2 * len(_WIDE.findall(text))


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Paragraphs and the 1-based numbers of their first lines."""
    start, lines = 1, list[str]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            if not lines:
                start = number
            lines.append(line)
        elif lines:
            yield start, "\n".join(lines)
            lines = []


def _shares(text: str) -> dict[str, float]:
    """The probability of each language."""
    with _LOCK:
        return dict(_identifier().rank(text))


_LOCK = threading.Lock()


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
