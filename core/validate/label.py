"""Scores a classification: is there exactly one of the allowed labels, and is it the right one?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from core.validate.extract import fences, without_thoughts
from core.validate.options import flag, only, text, texts
from core.validate.validator import Finding, Validation, Validator

_WRONG: Final = 20.0
_UNKNOWN_RIGHT: Final = 75.0
_COST: Final = {"wrapped": 3.0, "other_key": 5.0, "extra_text": 12.0}
_KEYS: Final = ("label", "category", "class", "classification", "verdict", "answer", "result")
_ROUND_A_LABEL: Final = " \t\r\n\"'`*_.,:;!()[]“”‘’«»"
_SHOWN: Final = 60
_BEFORE: Final = 32
_MENTIONS: Final = 20_000
_SORTED = r"(?:classified|labell?ed|considered|categori[sz]ed|seen|rated)"
_NEGATED = re.compile(
    r"(?:\bnot|n['’]t|\bnever|\bno|\bneither|\bnor|\brather than|\binstead of|\bwithout|\bnon)[ -]+"
    rf"(?:(?:be )?{_SORTED} as )?(?:(?:a|an|the|be|really|clearly|as|any) ){{0,2}}[\"'`*“‘]{{0,3}}\Z",
    re.I,
)
_STATED = re.compile(
    r"(?:(?:answer|label|category|class|classification|verdict|result|conclusion)[\"'`*]{0,3}"
    r"(?: is[ ]?:?| would be| ?[:=→])"
    rf"|(?:\b{_SORTED}|\bclassify (?:it|this|that)) as) ?(?:(?:a|an|the) )?[\"'`*“‘]{{0,3}}\Z",
    re.I,
)


@dataclass(frozen=True, slots=True)
class _Found:
    """The labels that a response gives, and in which form; `line` is where the first one stands. `said` is what stands
    in the place of a label and is none."""

    labels: tuple[str, ...]
    form: str = ""
    line: int | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class LabelValidator:
    """Looks for one of `labels`: as the whole response, in a JSON object, in a code fence or in a sentence.

    With `expected={expected_key: label}` the right label scores 100 and a wrong one 20, less what the form costs:
    3 for a fence, 5 for another JSON key than `key`, 12 for words around it. Without it a single allowed label is
    valid, but not judged. None, an unknown one and several are invalid.
    In a sentence a label after “not” and the like does not count, and one after “the answer is” goes before others.
    """

    labels: tuple[str, ...]
    key: str = ""
    expected_key: str = "label"
    case_sensitive: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    name: str = "label"
    _meaning: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        meaning = {self._plain(label): label for label in self.labels}
        meaning |= {self._plain(alias): label for alias, label in self.aliases.items()}
        names = sorted({*self.labels, *self.aliases}, key=lambda each: (-len(each), each))
        either = "|".join(r"\s+".join(map(re.escape, each.split())) for each in names)
        object.__setattr__(self, "_meaning", meaning)
        pattern = re.compile(rf"(?<!\w)(?<!\w-)(?:{either})(?!-?\w)", 0 if self.case_sensitive else re.I)
        object.__setattr__(self, "_pattern", pattern)

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        answer = without_thoughts(response).rstrip()
        if not answer:
            return Validation(0.0, False, (Finding("empty", "the answer is empty"),))
        found = self._find(answer)
        if len(found.labels) != 1:
            return self._refused(found)
        label = found.labels[0]
        findings: tuple[Finding, ...] = ()
        cost = _COST.get(found.form, 0.0)
        if found.form:
            message = {
                "wrapped": "the label stands in a code fence",
                "other_key": f"the label does not stand under the key `{self.key}`",
                "extra_text": "there are other words around the label",
            }[found.form]
            message = message if found.line is None else f"line {found.line}: {message}"
            findings = (Finding(found.form, message, found.line, "warning"),)
        right = (expected or {}).get(self.expected_key)
        if right is None:
            told = Finding("no_expected", "nothing is known of the right label", severity="info")
            return Validation(_UNKNOWN_RIGHT - cost, True, (*findings, told), judged=False)
        known = self._label_of(right)
        if known is None:
            told = Finding("unknown_expected", f"the expected label `{_shown(right)}` is none of the allowed ones")
            return Validation(_UNKNOWN_RIGHT - cost, True, (*findings, told), judged=False)
        if label != known:
            wrong = Finding("wrong_label", f"`{label}` instead of `{known}`", found.line)
            return Validation(_WRONG - cost, True, (wrong, *findings))
        return Validation(100.0 - cost, True, findings)

    def label_in(self, answer: str) -> str | None:
        """The one label that an answer gives; None where it gives none, or several."""
        plain = without_thoughts(answer).rstrip()
        labels = self._find(plain).labels if plain else ()
        return labels[0] if len(labels) == 1 else None

    def _refused(self, found: _Found) -> Validation:
        if found.labels:
            message = f"several labels: {', '.join(f'`{each}`' for each in found.labels[:5])}"
            return Validation(_WRONG / len(found.labels), False, (Finding("several_labels", message, found.line),))
        allowed = ", ".join(self.labels[:8]) + (", …" if len(self.labels) > 8 else "")
        if found.said:
            message = f"`{_shown(found.said)}` is none of the allowed labels ({allowed})"
            return Validation(0.0, False, (Finding("unknown_label", message),))
        return Validation(0.0, False, (Finding("no_label", f"none of the allowed labels is there ({allowed})"),))

    def _find(self, answer: str) -> _Found:
        fenced = answer.lstrip().startswith(("```", "~~~"))
        if not fenced and (label := self._label_of(answer)):
            return _Found((label,))
        found_fences = fences(answer)
        for body, form, line in ((answer, "", None), *((each.text, "wrapped", each.line) for each in found_fences)):
            found = self._in_json(body, form, line)
            if found is not None:
                return found
        held = {label: each.line for each in found_fences if (label := self._label_of(each.text))}
        if held:
            whole = fenced and answer.endswith(("```", "~~~"))
            return _Found(tuple(held), "wrapped" if whole else "extra_text", min(held.values()))
        found = self._on_a_line(answer) or self._in_words(answer)
        if not found.labels and len(answer.split()) <= 3:
            return _Found((), said=answer.strip(_ROUND_A_LABEL))
        return found

    def _in_json(self, body: str, form: str, line: int | None) -> _Found | None:
        """What a JSON object gives; None when `body` is none."""
        plain = body.strip()
        if not plain.startswith("{"):
            return None
        try:
            held = json.loads(plain)
        except (ValueError, RecursionError):
            return None
        for key in (self.key,) if self.key else _KEYS:
            if key in held:
                labels = self._distinct(held[key])
                return _Found(labels, form, line, "" if labels else str(held[key]))
        return _Found(self._distinct(list(held.values())), "other_key" if self.key else form, line)

    def _distinct(self, value: object) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        return tuple(dict.fromkeys(label for each in values if (label := self._label_of(each))))

    def _on_a_line(self, answer: str) -> _Found | None:
        """The label that has the first or the last line for itself: what is said around it explains it."""
        lines = [(number, line) for number, line in enumerate(answer.splitlines(), 1) if line.strip()]
        ends = {label: number for number, line in (lines[-1], lines[0]) if (label := self._label_of(line))}
        return _Found(tuple(ends), "extra_text", min(ends.values())) if ends else None

    def _in_words(self, answer: str) -> _Found:
        mentioned = dict[str, int]()
        stated = dict[str, int]()
        for label, start in self._mentions(answer):
            mentioned.setdefault(label, start)
            if _STATED.search(answer, max(0, start - _BEFORE), start):
                stated.setdefault(label, start)
        chosen = stated or mentioned
        first = min(chosen.values(), default=None)
        line = None if first is None else answer.count("\n", 0, first) + 1
        return _Found(tuple(chosen), "extra_text", line)

    def _mentions(self, answer: str) -> Iterator[tuple[str, int]]:
        for match in islice(self._pattern.finditer(answer), _MENTIONS):
            before = answer[max(0, match.start() - _BEFORE) : match.start()]
            label = self._meaning.get(self._plain(match.group()))
            if label is not None and not _NEGATED.search(before):
                yield label, match.start()

    def _label_of(self, value: object) -> str | None:
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, str | int | float) or (isinstance(value, str) and len(value) > 10_000):
            return None
        return self._meaning.get(self._plain(str(value))) or self._meaning.get(
            self._plain(str(value).strip(_ROUND_A_LABEL))
        )

    def _plain(self, value: str) -> str:
        joined = " ".join(value.split())
        return joined if self.case_sensitive else joined.casefold()


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `labels` (required), the allowed ones; `key`, where the label stands in a JSON object (without it the
    usual names are tried); `expected_key` ("label"), where the right one stands in what is expected;
    `case_sensitive` (false); `aliases`, a table of other words for a label."""
    only(options, "labels", "key", "expected_key", "case_sensitive", "aliases")
    labels = tuple(" ".join(label.split()) for label in texts(options, "labels"))
    exact = flag(options, "case_sensitive", False)
    plain = [label if exact else label.casefold() for label in labels]
    if twice := next((label for label in plain if plain.count(label) > 1), None):
        raise ValueError(f"`labels` holds {twice!r} twice")
    aliases = options.get("aliases", {})
    if not isinstance(aliases, Mapping):
        raise ValueError("`aliases` must be a table of other words for a label")
    for alias, label in aliases.items():
        if label not in labels:
            raise ValueError(f"`aliases`: {alias!r} stands for {label!r}, which is not in `labels`")
        if not alias.strip() or (alias if exact else alias.casefold()) in plain:
            raise ValueError(f"`aliases`: {alias!r} is a label itself, or empty")
    return LabelValidator(
        labels,
        text(options, "key", ""),
        text(options, "expected_key", "label"),
        exact,
        dict(aliases),
    )


def _shown(value: object) -> str:
    plain = " ".join(str(value).split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"
