from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validate.openapi import make
from core.validate.scorecard import INVALID_CAP, MAX_FINDINGS
from core.validate.validator import Validation
from core.validate.yaml_document import read_yaml

GOOD = """openapi: 3.0.3
info:
  title: Users
  version: 1.0.0
paths:
  /users:
    get:
      operationId: listUsers
      summary: List users
      parameters:
        - name: limit
          in: query
          description: How many
          schema: {type: integer}
      responses:
        200:
          description: The users
          content:
            application/json:
              schema:
                type: array
                items: {$ref: '#/components/schemas/User'}
              example: [{id: 1, name: Ann}]
        '401':
          description: Not signed in
  /users/{id}:
    get:
      operationId: getUser
      summary: One user
      parameters:
        - {name: id, in: path, required: true, description: Which, schema: {type: integer}}
      responses:
        '200':
          description: The user
          content:
            application/json:
              schema: {$ref: '#/components/schemas/User'}
        '404': {description: No such user}
components:
  schemas:
    User:
      type: object
      required: [id]
      properties:
        id: {type: integer, example: 1}
        name: {type: string}
        friend: {$ref: '#/components/schemas/User'}
"""
SWAGGER = """swagger: '2.0'
info: {title: x, version: '1'}
basePath: /api
paths:
  /a:
    post:
      operationId: makeA
      description: Makes one
      parameters:
        - {name: b, in: body, required: true, schema: {type: object, properties: {x: {type: string, example: q}}}}
        - {name: q, in: query, type: string, description: What}
      responses:
        200: {description: ok, schema: {type: string, example: z}}
        400: {description: no}
"""
HEAD = "openapi: 3.1.0\ninfo: {title: x, version: '1'}\npaths:\n"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*args: object, **named: object) -> None:
        raise SystemExit("something is fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield


def verdict(text: str, expected: Mapping[str, object] | None = None, **options: Any) -> Validation:
    return make(options).validate(text, expected=expected)


def kinds(result: Validation) -> list[str]:
    return [finding.kind for finding in result.findings]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("3.0.3", "3.1.0"),
        f"Sure:\n\n```yaml\n{GOOD}```\nBye",
        json.dumps(read_yaml(GOOD).value, indent="\t"),
        f"```json\n{json.dumps(read_yaml(GOOD).value)}\n```",
        f"```bash\ncurl x\n```\n```\n{GOOD}```",
    ],
)
def test_a_full_document_is_perfect(text: str) -> None:
    asked = {"endpoints": ["GET /users", "get /users/{userId}", "/api/v1/users"]}
    assert make({}).name == "openapi"
    assert verdict(text, asked) == Validation(100.0, True, ())


def test_swagger_two_is_read() -> None:
    assert verdict(SWAGGER, {"endpoints": ["POST /api/a", "POST /a"]}) == Validation(100.0, True, ())


@pytest.mark.parametrize(
    ("old", "new", "kind", "line"),
    [
        ("      summary: List users\n", "", "no_description", 7),
        ("      operationId: listUsers\n", "", "no_operation_id", 7),
        ("          description: How many\n", "", "undescribed_parameter", 10),
        ("{type: integer}\n      responses", "{}\n      responses", "untyped_parameter", 10),
        ("        '401':\n          description: Not signed in\n", "", "no_error_response", 15),
        ("description: The users\n", "description: ' '\n", "undescribed_response", 16),
        ("id: {type: integer, example: 1}", "id: {type: integer}", "no_example", 27),
        ("  title: Users\n", "  title: Users\n  title: Us\n", "duplicate_key", 4),
    ],
)
def test_each_gap_costs_points_and_names_its_line(old: str, new: str, kind: str, line: int) -> None:
    assert old in GOOD
    result = verdict(GOOD.replace(old, new))
    assert result.valid
    assert [(found.kind, found.line) for found in result.findings] == [(kind, line)]
    assert result.findings[0].message.startswith(f"line {line}: ")
    assert INVALID_CAP < result.score < 100


def test_a_missing_schema_is_told() -> None:
    result = verdict(HEAD + "  /a: {get: {summary: x, operationId: a, responses: {200: {description: x}}}}\n")
    assert kinds(result) == ["no_response_schema", "no_error_response"]


def test_an_operation_that_was_asked_for_is_missing() -> None:
    result = verdict(GOOD, {"endpoints": ["GET /users", "DELETE /users/{id}"]})
    assert kinds(result) == ["missing_endpoint"]
    assert result.score < 100


@pytest.mark.parametrize(
    ("old", "new", "kind", "line"),
    [
        ("          description: The users\n", "", "specification", 16),
        ("name: id, in: path", "name: nr, in: path", "specification", 27),
        ("getUser", "listUsers", "specification", 27),
        ("required: [id]", "required: id", "specification", 43),
        ("openapi: 3.0.3", "openapi: 4.0.0", "version", 1),
        ("openapi: 3.0.3", "title: x", "no_version", 1),
        ("friend: {$ref: '#/components/schemas/User'}", "friend: {$ref: '#/no/such'}", "broken_ref", 47),
        ("friend: {$ref: '#/components/schemas/User'}", "friend: {$ref: 'other.yaml#/User'}", "remote_ref", 47),
        ("friend: {$ref: '#/components/schemas/User'}", "friend: {$ref: 'http://127.0.0.1:9/'}", "remote_ref", 47),
        ("friend: {$ref: '#/components/schemas/User'}", "friend: {$ref: 'file:///etc/hosts'}", "remote_ref", 47),
        ("  title: Users", "  title: !!python/name:os.system x", "yaml", 3),
        ("  title: Users", "  title: a: b", "yaml", 3),
    ],
)
def test_a_breach_of_the_specification_is_not_valid(old: str, new: str, kind: str, line: int) -> None:
    result = verdict(GOOD.replace(old, new))
    assert not result.valid
    assert result.score <= INVALID_CAP
    assert (kind, line) in [(found.kind, found.line) for found in result.findings]


def test_a_finding_in_a_fence_names_the_line_of_the_response() -> None:
    result = verdict("Sure:\n\n```yaml\n" + GOOD.replace("      summary: List users\n", "") + "```")
    assert [found.line for found in result.findings] == [10]


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_a_schema_with_an_address_of_its_own_fetches_nothing(version: str) -> None:
    for line in (
        "$id: http://example.test/x.yaml",
        "$dynamicRef: http://example.test/x.yaml",
        "$schema: http://x.test/s",
    ):
        text = GOOD.replace("3.0.3", version).replace("    User:\n", f"    User:\n      {line}\n")
        assert 0 <= verdict(text).score <= 100


@pytest.mark.parametrize(
    "text", ["", "hello", "I can't: do: that", "[1, 2]", "openapi: 3.0.0\ninfo: {}\npaths: {}", "a\0b"]
)
def test_what_is_no_document_is_not_valid(text: str) -> None:
    result = verdict(text)
    assert not result.valid
    assert result.score <= INVALID_CAP / 2
    assert result.findings


def test_schemas_that_go_round_in_circles_are_legal() -> None:
    circle = (
        "    Pet: {type: object, oneOf: [{$ref: '#/components/schemas/Dog'}]}\n"
        "    Dog: {allOf: [{$ref: '#/components/schemas/Pet'}, {type: object}], required: [b]}\n    User:\n"
    )
    assert verdict(GOOD.replace("    User:\n", circle)).valid


def test_bombs_are_refused() -> None:
    aliases = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
    )
    assert kinds(verdict("openapi: 3.0.0\n" + aliases)) == ["too_large"]
    merges = "openapi: 3.0.0\nm0: &m0 {a: 1}\n" + "".join(
        f"m{level}: &m{level} {{<<: [{','.join([f'*m{level - 1}'] * 10)}]}}\n" for level in range(1, 12)
    )
    assert not verdict(merges).valid
    doubled = (
        HEAD + "  /a: {get: {responses: {200: {description: x}}}}\ncomponents:\n  schemas:\n    S0: {type: object}\n"
    )
    doubled += "".join(
        f"    S{level}: {{allOf: [{{$ref: '#/components/schemas/S{level - 1}'}},"
        f" {{$ref: '#/components/schemas/S{level - 1}'}}]}}\n"
        for level in range(1, 40)
    )
    assert "too_large" in kinds(verdict(doubled))
    slow = GOOD.replace("name: {type: string}", f"name: {{type: string, pattern: '(a+)+$', default: '{'a' * 60}!'}}")
    assert verdict(slow).valid


@pytest.mark.parametrize("unit", ["[", "- ", "{a: ", "a: 1\n", "&a ", "'", ":"])
def test_a_megabyte_of_nonsense_is_not_valid(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    assert not verdict(text).valid
    assert not verdict(f"openapi: 3.0.0\npaths: {text}").valid


def test_many_faults_are_told_in_short() -> None:
    many = verdict(HEAD + "".join(f"  /a{index}: {{get: {{responses: {{}}}}}}\n" for index in range(300)))
    assert len(many.findings) == MAX_FINDINGS + 1


def test_options() -> None:
    assert verdict(GOOD.replace("      operationId: listUsers\n", ""), weights={"operation_ids": 0}).score == 100
    with pytest.raises(TypeError, match="weight"):
        make({"weight": 1})
    with pytest.raises(ValueError, match=r"weights\.x"):
        make({"weights": {"x": 1}})


@settings(max_examples=100)
@given(st.text(max_size=120) | st.text(st.sampled_from("ab:{}[]&*!|>-'\"#? \n\t<%@0."), max_size=80))
def test_any_text_gets_a_score(text: str) -> None:
    for response in (text, f"openapi: 3.0.0\n{text}", f"{GOOD}\n{text}", GOOD.replace("List users", text)):
        result = verdict(response, {"endpoints": ["GET /a"]})
        assert 0 <= result.score <= 100
        assert result.valid or result.score <= INVALID_CAP
        assert result.findings


WORDS = [
    "get",
    "post",
    "/a",
    "/a/{b}",
    "parameters",
    "responses",
    "200",
    "content",
    "schema",
    "$ref",
    "allOf",
    "items",
    "properties",
    "in",
    "name",
    "required",
    "description",
    "default",
    "type",
    "components",
    "schemas",
    "servers",
    "application/json",
]
VALUES = st.none() | st.booleans() | st.integers(-5, 600) | st.sampled_from(["#", "#/paths", "path", "", "string"])
JUNK = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=150)
@given(JUNK, JUNK, st.sampled_from(["3.0.0", "3.1.0", "3.2.0", "2.0"]))
def test_any_document_gets_a_score(paths: object, parts: object, version: str) -> None:
    key = "swagger" if version == "2.0" else "openapi"
    document = {key: version, "info": {"title": "x", "version": "1"}, "paths": paths, "components": parts}
    assert 0 <= verdict(json.dumps(document)).score <= 100
