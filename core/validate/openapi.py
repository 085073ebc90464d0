"""Scores OpenAPI documents (3.0, 3.1, 3.2 and Swagger 2.0): are they valid, and do they tell a caller what he needs.

The document is data that nobody vouches for: it is read within limits, and nothing that it refers to is ever fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.validate.endpoints import METHODS, Endpoint, asked_share
from core.validate.extract import Extract, best_fence, fences, from_line, without_thoughts
from core.validate.openapi_rules import MAX_PROBLEMS, Problem, problems_of
from core.validate.openapi_tree import Operation, Tree
from core.validate.options import only
from core.validate.scorecard import at, clipped, refused, weighed, weights_from
from core.validate.validator import Finding, Severity, Validation, Validator
from core.validate.yaml_document import YamlDocument, YamlFault, read_yaml

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {
    "structure": 20.0,
    "endpoints": 15.0,
    "descriptions": 15.0,
    "parameters": 15.0,
    "responses": 20.0,
    "examples": 10.0,
    "operation_ids": 5.0,
}
MAX_CHARS: Final = 2_000_000
_LANGUAGES = frozenset({"yaml", "yml", "json", "openapi", "swagger"})
_HEADER = re.compile(r"^[ \t]*+(?:[{,][ \t]*+)?[\"']?(?:openapi|swagger)[\"']?[ \t]*:[ \t]*[\"']?\d", re.M)
_BARE = re.compile(r"^(?:---[ \t]*$|\{|[\"']?(?:openapi|swagger)[\"']?[ \t]*:)", re.M)
_DOCUMENT = re.compile(r"^(?:openapi|swagger|info|paths)[ \t]*:|\A\s*\{", re.M)
_PART_TYPED = 0.7
_PER_DUPLICATE = 0.5


@dataclass(frozen=True, slots=True)
class OpenApiValidator:
    """Validates the OpenAPI document in a response, YAML or JSON, in the code fence that holds it or bare.

    A document that cannot be read, breaks the specification, describes no operation or refers to other files is not
    valid. `expected={"endpoints": ["GET /users", ...]}` names the operations asked for.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    name: str = "openapi"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        if len(response) > MAX_CHARS:
            return refused([Finding("too_long", f"{len(response)} characters, more than {MAX_CHARS}")])
        part = openapi_in(response)
        if not part.text.strip():
            return refused([Finding("empty", "there is no document in the answer")])
        try:
            document = read_yaml(part.text)
        except YamlFault as fault:
            lines = part.text.rstrip().count("\n") + 1
            # Prose is a text in YAML, too: only what begins like a document was read in part.
            read = (fault.line - 1) / lines if _DOCUMENT.search(part.text) else 0.0
            return refused([at(part.at(fault.line), fault.kind, fault.message)], read)
        if not isinstance(document.value, dict) or not {"openapi", "swagger"} & document.value.keys():
            message = "no OpenAPI document: it names no version, `openapi` or `swagger`"
            return refused([at(part.line, "no_version", message)])
        return _Judge(part, document, self.weights).verdict(expected)


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `weights` (points by part, see `DEFAULT_WEIGHTS`)."""
    only(options, "weights")
    return OpenApiValidator(weights_from(options, DEFAULT_WEIGHTS))


def openapi_in(response: str) -> Extract:
    """The part of a response that is the OpenAPI document: the longest fence that looks like one, else bare text."""
    answer = without_thoughts(response)
    found = fences(answer)
    fence = best_fence(found, _LANGUAGES, looks_like_openapi) or best_fence(found, _LANGUAGES)
    if fence is not None and (fence.language in _LANGUAGES or looks_like_openapi(fence.text)):
        return fence
    return from_line(answer, _BARE) or Extract(answer)


def looks_like_openapi(text: str) -> bool:
    """Whether a text has the line in which an OpenAPI document tells its version."""
    return _HEADER.search(text) is not None


class _Judge:
    """Gathers the findings on one document."""

    def __init__(self, part: Extract, document: YamlDocument, weights: Mapping[str, float]) -> None:
        self.part = part
        self.document = document
        self.weights = weights
        self.tree = Tree(document.value)
        self.findings: list[Finding] = []

    def verdict(self, expected: Mapping[str, object] | None) -> Validation:
        operations = self.tree.operations()
        problems = problems_of(self.document.value)
        if problems or not operations:
            for problem in problems:
                self._at(problem.path, problem.kind, problem.message)
            if not operations:
                self._at(("paths",), "no_operation", "the document describes no operation")
            self._asked(operations, expected)
            return refused(self.findings, _read_share(operations, problems))
        for key, line in self.document.duplicates:
            said = f"the key `{clipped(key)}` stands twice in one mapping"
            self.findings.append(at(self.part.at(line), "duplicate_key", said))
        examples = [self._example(each) for each in operations]
        shares: dict[str, float | None] = {
            "structure": _PER_DUPLICATE ** min(len(self.document.duplicates), 20),
            "endpoints": self._asked(operations, expected),
            "descriptions": _mean([self._description(each) for each in operations]),
            "parameters": _mean([share for each in operations for share in self._parameters(each)]),
            "responses": _mean([self._responses(each) for each in operations]),
            "examples": _mean([share for share in examples if share is not None]),
            "operation_ids": _mean([self._operation_id(each) for each in operations]),
        }
        return weighed(self.weights, shares, self.findings)

    def _at(self, path: tuple[str | int, ...], kind: str, message: str, severity: Severity = "error") -> None:
        line = self.document.line(path)
        self.findings.append(at(self.part.at(line) if line else None, kind, message, severity))

    def _asked(self, operations: list[Operation], expected: Mapping[str, object] | None) -> float | None:
        present = [Endpoint(each.method, prefix + each.url) for each in operations for prefix in self.tree.prefixes()]
        return asked_share(present, expected, self.findings)

    def _description(self, operation: Operation) -> float:
        if any(_said(operation.value.get(key)) for key in ("summary", "description")):
            return 1.0
        self._at(operation.path, "no_description", f"{operation.title} has no summary and no description", "warning")
        return 0.0

    def _operation_id(self, operation: Operation) -> float:
        if _said(operation.value.get("operationId")):
            return 1.0
        self._at(operation.path, "no_operation_id", f"{operation.title} has no operationId", "info")
        return 0.0

    def _parameters(self, operation: Operation) -> list[float]:
        shares = []
        for parameter in self.tree.parameters(operation):
            name = f"the parameter `{clipped(parameter.get('name'))}` of {operation.title}"
            typed = self.tree.is_typed(parameter)
            told = _said(parameter.get("description"))
            if not typed:
                self._at((*operation.path, "parameters"), "untyped_parameter", f"{name} has no type")
            if not told:
                where = (*operation.path, "parameters")
                self._at(where, "undescribed_parameter", f"{name} has no description", "warning")
            shares.append(_PART_TYPED * typed + (1.0 - _PART_TYPED) * told)
        body = self.tree.body(operation)
        if body is not None:
            typed = any(self.tree.is_typed(each) for each in body)
            if not typed:
                where = (*operation.path, "requestBody")
                self._at(where, "untyped_body", f"the request body of {operation.title} has no schema")
            shares.append(float(typed))
        return shares

    def _responses(self, operation: Operation) -> float:
        responses = self.tree.responses(operation)
        good = 0
        for code, response in responses:
            where = (*operation.path, "responses", code)
            if not _said(response.get("description")):
                self._at(where, "undescribed_response", f"the response {code} of {operation.title} says nothing")
            elif _has_body(operation, code) and not self.tree.has_schema(response):
                self._at(where, "no_response_schema", f"the response {code} of {operation.title} has no schema")
            else:
                good += 1
        fails = any(code == "default" or code[:1] in "45" for code, _ in responses if code)
        if not fails:
            where = (*operation.path, "responses")
            self._at(where, "no_error_response", f"{operation.title} tells no error status (4xx, 5xx or default)")
        return 0.5 * good / max(1, len(responses)) + 0.5 * fails

    def _example(self, operation: Operation) -> float | None:
        found = self.tree.example_share(operation)
        if found is not None and found < 1.0:
            self._at(operation.path, "no_example", f"{operation.title} has a body without an example", "warning")
        return found


def _has_body(operation: Operation, code: str) -> bool:
    return operation.method != "HEAD" and (code == "default" or code[:1] == "2") and code not in ("204", "205")


def _read_share(operations: list[Operation], problems: list[Problem]) -> float:
    if not operations or len(problems) >= MAX_PROBLEMS:
        return 0.0
    broken = {problem.path[:3] for problem in problems}
    whole = [path for path in broken if len(path) < 3 or path[0] != "paths" or path[2] not in METHODS]
    clean = sum(1 for each in operations if each.path not in broken)
    return clean / (len(operations) + len(whole))


def _said(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _mean(shares: list[float]) -> float | None:
    return sum(shares) / len(shares) if shares else None
