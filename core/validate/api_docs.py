"""Scores API documentation in Markdown: does it tell a caller, endpoint by endpoint, what he needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.validate.api_examples import examples_of
from core.validate.api_markdown import ENDPOINT, ApiPage, Section, page_of, unwrapped
from core.validate.endpoints import WITH_BODY, asked_share
from core.validate.extract import without_thoughts
from core.validate.openapi import OpenApiValidator, looks_like_openapi, openapi_in
from core.validate.options import only
from core.validate.scorecard import at, clipped, refused, weighed, weights_from
from core.validate.validator import Finding, Severity, Validation, Validator

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {
    "structure": 10.0,
    "endpoints": 20.0,
    "descriptions": 15.0,
    "parameters": 20.0,
    "responses": 20.0,
    "examples": 20.0,
    "duplicates": 5.0,
}
MAX_CHARS: Final = 500_000
_MAX_PARAMETERS: Final = 20
_TITLE_ONLY = 0.5
_NAMED_ONLY = 0.5
_SUCCESS_PART = 0.6
_REQUEST_PART = 0.4
# A table of paths without methods is a beginning of API documentation, no more.
_PATHS_READ = 0.5
_MOSTLY = 0.5
# A type stands at the beginning of what is said of a parameter.
_TYPE_CHARS = 60

_WORD = re.compile(r"[^\W\d_]{2,}")
_LABEL_LINE = re.compile(r"[\s>*_`#-]*+[\w /()-]{1,40}(?:[*_`]*+:)?[*_`\s]*+\Z")
_TYPE = re.compile(
    r"\b(?:strings?|integers?|ints?|int(?:32|64)|numbers?|floats?|doubles?|decimals?|bool(?:ean)?s?|uuids?|arrays?|lists?"
    r"|objects?|dates?|date-?times?|timestamps?|enums?|files?|binary|email|url|uri|json|null)\b",
    re.I,
)
_LISTED = re.compile(
    r"\s*[-*+]\s+(?:[*_]{0,2}`([^\W\d][\w.\[\]$-]{0,80})`|[*_]{0,2}([^\W\d][\w.\[\]-]{0,80}?)[*_]{0,2}\s*\()"
)
_HEAD_CELL = re.compile(r"[*_`]*(?:parameter|param|name|field|property|key|attribute|header|query)s?[*_`]*\Z", re.I)
_ERRORS = re.compile(r"\b(?:errors?|status(?:es)?|codes?)\b", re.I)
_TYPE_CELL = re.compile(r"[*_`]*(?:data )?types?[*_`]*\Z", re.I)
_CODE_ROW = re.compile(r"[\s>|*_`+\-]*([1-5]\d\d)\b")
_CODE_SAID = re.compile(r"\b(?:status|responses?|codes?|returns?|errors?|HTTP(?:/\d(?:\.\d)?)?)\b", re.I)
_CODE = re.compile(r"(?<![\w./-])[1-5]\d\d\b(?![/.]\d)")
_PATHS = re.compile(r"(?:^|[\s`|(])/[a-z][\w{}/:.-]+", re.M)


@dataclass(frozen=True, slots=True)
class ApiDocsValidator:
    """Validates the Markdown in a response; one that is mostly an OpenAPI document is handed to that validator.

    An endpoint is a method and a path in a heading, on a line of its own, or in a table. A page without any is not
    valid. `expected={"endpoints": ["GET /users", ...]}` names the endpoints asked for.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    openapi: OpenApiValidator = field(default_factory=OpenApiValidator)
    name: str = "api_docs"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        if len(response) > MAX_CHARS:
            return refused([Finding("too_long", f"{len(response)} characters, more than {MAX_CHARS}")])
        answer = without_thoughts(response)
        part = openapi_in(answer)
        if looks_like_openapi(part.text) and len(part.text) > _MOSTLY * len(answer.strip()):
            return self.openapi.validate(response, prompt=prompt, expected=expected)
        text = unwrapped(answer)
        page = page_of(text)
        if not page.sections:
            findings = [Finding("no_endpoint", "no endpoint is named, such as `GET /users`")]
            asked_share([], expected, findings)
            return refused(findings, _PATHS_READ if _PATHS.search(text) else 0.0)
        return _Judge(page, self.weights).verdict(expected)


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `weights` (points by part, see `DEFAULT_WEIGHTS`)."""
    only(options, "weights")
    return ApiDocsValidator(weights_from(options, DEFAULT_WEIGHTS))


class _Judge:
    """Gathers the findings on one page."""

    def __init__(self, page: ApiPage, weights: Mapping[str, float]) -> None:
        self.page = page
        self.weights = weights
        self.findings: list[Finding] = []
        self.shared_errors = any(code >= "4" for block in page.outside for code in _codes(block.kind, block.text))

    def verdict(self, expected: Mapping[str, object] | None) -> Validation:
        sections = self.page.sections
        first = {section.endpoint.key: section for section in reversed(sections)}
        again = [section for section in sections if first[section.endpoint.key] is not section]
        for section in again:
            line = first[section.endpoint.key].line
            self._at(section, "duplicate_endpoint", f"{_title(section)} stands on line {line} already")
        shares: dict[str, float | None] = {
            "structure": 1.0,
            "endpoints": asked_share([section.endpoint for section in sections], expected, self.findings),
            "descriptions": _mean([self._description(section) for section in sections]),
            "parameters": _mean([share for section in sections for share in self._parameters(section)]),
            "responses": _mean([self._responses(section) for section in sections]),
            "examples": _mean([self._examples(section) for section in sections]),
            "duplicates": 1.0 - len(again) / len(sections),
        }
        return weighed(self.weights, shares, self.findings)

    def _at(self, section: Section, kind: str, message: str, severity: Severity = "error") -> None:
        self.findings.append(at(section.line, kind, message, severity))

    def _description(self, section: Section) -> float:
        title = False
        for block in section.blocks:
            words = len(_WORD.findall(ENDPOINT.sub("", block.text)[:400]))
            if block.kind == "text" and words >= 3 and not _LABEL_LINE.match(block.text):
                return 1.0
            if section.brief and words >= 2:
                return 1.0
            title = title or (block.kind == "heading" and words >= 2 and block.level <= section.level)
        what = "has a title but no description" if title else "has no description"
        self._at(section, "no_description", f"{_title(section)} {what}", "warning")
        return _TITLE_ONLY if title else 0.0

    def _parameters(self, section: Section) -> list[float]:
        lines = _parameter_lines(section)
        shares = []
        for name in section.endpoint.parameters[:_MAX_PARAMETERS]:
            told = lines.pop(name, None)
            what = f"the path parameter `{clipped(name)}` of {_title(section)}"
            if told is None:
                self._at(section, "undocumented_path_parameter", f"{what} is not explained")
                shares.append(0.0)
            else:
                shares.append(self._typed(told, what))
        shares.extend(self._typed(told, f"the parameter `{clipped(name)}`") for name, told in lines.items())
        if section.endpoint.method in WITH_BODY and not lines:
            shown = examples_of(section).request_body
            where = "is only shown" if shown else "is not explained"
            self._at(
                section, "undocumented_body", f"the body of {_title(section)} {where}: no table or list of its fields"
            )
            shares.append(_NAMED_ONLY if shown else 0.0)
        return shares

    def _typed(self, told: tuple[int, str], what: str) -> float:
        line, text = told
        if _TYPE.search(text):
            return 1.0
        self.findings.append(at(line, "untyped_parameter", f"{what} has no type", "warning"))
        return _NAMED_ONLY

    def _responses(self, section: Section) -> float:
        codes = {code for block in section.blocks for code in _codes(block.kind, block.text)}
        success = any(code[0] in "23" for code in codes)
        fails = self.shared_errors or any(code[0] in "45" for code in codes)
        if not success:
            self._at(section, "no_success_response", f"{_title(section)} tells no success status (2xx)")
        if not fails:
            self._at(section, "no_error_response", f"{_title(section)} tells no error status (4xx or 5xx)")
        return _SUCCESS_PART * success + (1.0 - _SUCCESS_PART) * fails

    def _examples(self, section: Section) -> float:
        examples = examples_of(section)
        for line, message in examples.faults:
            self.findings.append(at(line, "invalid_json_example", f"the example is no JSON: {message}"))
        codes = {code for block in section.blocks for code in _codes(block.kind, block.text) if code[0] == "2"}
        replies = examples.response or (bool(codes) and codes <= {"204", "205"})
        if not examples.request:
            self._at(section, "no_request_example", f"{_title(section)} shows no example of a request", "warning")
        if not replies:
            self._at(section, "no_response_example", f"{_title(section)} shows no example of a response", "warning")
        parsing = 1.0 - len(examples.faults) / examples.json if examples.json else 1.0
        return parsing * (_REQUEST_PART * examples.request + (1.0 - _REQUEST_PART) * replies)


def _parameter_lines(section: Section) -> dict[str, tuple[int, str]]:
    """(line, text) by the name of each parameter or field that a table or a list explains."""
    found: dict[str, tuple[int, str]] = {}
    table = in_table = errors = False
    typed: int | None = None
    for block in section.blocks:
        if block.kind in ("heading", "text"):
            errors = _ERRORS.search(block.text[:200]) is not None
        if block.kind != "row":
            table = in_table = False
            if (
                block.kind == "item"
                and not errors
                and (listed := _LISTED.match(block.text))
                and not ENDPOINT.search(block.text)
            ):
                found.setdefault(
                    _bare(listed[1] or listed[2]), (block.line, block.text[listed.end() - 1 :][:_TYPE_CHARS])
                )
            continue
        cells = [cell.strip() for cell in block.text.strip("|").split("|")]
        if not in_table:
            table, in_table = _HEAD_CELL.match(cells[0]) is not None, True
            typed = next((index for index, cell in enumerate(cells) if _TYPE_CELL.match(cell)), None)
        elif table and cells[0] and not errors:
            told = cells[typed : typed + 1] if typed is not None else cells[1:]
            found.setdefault(_bare(cells[0]), (block.line, " ".join(told)))
    return found


def _bare(name: str) -> str:
    return name.strip("`*_ {}:<>").partition(" ")[0]


def _codes(kind: str, text: str) -> list[str]:
    """The status codes that a line or a fence tells of."""
    if kind == "fence":
        return _CODE.findall(text[:200]) if text.lstrip().startswith("HTTP/") else []
    text = text[:600]
    led = _CODE_ROW.match(text)
    return [*([led[1]] if led else []), *(_CODE.findall(text) if _CODE_SAID.search(text) else [])]


def _title(section: Section) -> str:
    return f"{section.endpoint.method} {clipped(section.endpoint.path)}"


def _mean(shares: list[float]) -> float | None:
    return sum(shares) / len(shares) if shares else None
