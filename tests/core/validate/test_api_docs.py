from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.validate.api_docs import make
from core.validate.api_markdown import page_of
from core.validate.scorecard import INVALID_CAP
from core.validate.validator import Validation

PAGE = """# User API

The API keeps the users of a shop.

## Endpoints

### GET /users/{id}

Returns one user by its number.

**Parameters:**

| Name | In | Type | Description |
|------|----|------|-------------|
| `id` | path | integer | The number of the user |

**Request:**

```bash
curl https://api.shop.test/users/7
```

**Response 200:**

```json
{"id": 7, "name": "Ann"}
```

**Errors:**

- `404` - no such user

### Create a user

`POST /users`

Creates a user and returns it.

| Field | Type | Required | Description |
|---|---|---|---|
| name | string | yes | The full name |
| email | string | yes | Where to write to |

#### Request

```json
{"name": "Ann", "email": "ann@shop.test"}
```

#### Response

Status: 201 Created

```json
{"id": 8, "name": "Ann"}
```

| Status | Meaning |
|---|---|
| 400 | The body is wrong |
"""
LABELLED = """## List users
- **Method:** `GET`
- **URL:** `/users`

Lists all of them.

- `limit` (integer, optional): how many

```http
GET /users?limit=2 HTTP/1.1
Host: x
```

```http
HTTP/1.1 200 OK
Content-Type: application/json

[{"id": 1}]
```

## Errors
All endpoints return 401 and 500.
"""


def verdict(text: str, expected: Mapping[str, object] | None = None, **options: Any) -> Validation:
    return make(options).validate(text, expected=expected)


def told(result: Validation) -> list[tuple[str, int | None]]:
    return [(finding.kind, finding.line) for finding in result.findings]


@pytest.mark.parametrize("text", [PAGE, f"Here you are:\n\n```markdown\n{PAGE}```\n", LABELLED])
def test_a_full_page_is_perfect(text: str) -> None:
    assert make({}).name == "api_docs"
    assert verdict(text) == Validation(100.0, True, ())


def test_endpoints_that_were_asked_for() -> None:
    asked = ["GET /users/:userId", "POST /api/v1/users", "https://api.shop.test/users", "DELETE /users/{id}"]
    result = verdict(PAGE, {"endpoints": asked})
    assert [finding.kind for finding in result.findings] == ["missing_endpoint"]
    assert "DELETE /users/{id}" in result.findings[0].message


@pytest.mark.parametrize(
    ("old", "new", "kind", "line"),
    [
        ("Returns one user by its number.\n", "\n", "no_description", 7),
        ("| `id` | path |", "| `nr` | path |", "undocumented_path_parameter", 7),
        ("path | integer", "path | whole", "untyped_parameter", 15),
        ("**Response 200:**", "**Response:**", "no_success_response", 7),
        ("- `404` - no such user", "- none", "no_error_response", 7),
        ("```bash\ncurl https://api.shop.test/users/7\n```\n", "", "no_request_example", 7),
        ('```json\n{"id": 7, "name": "Ann"}\n```\n', "", "no_response_example", 7),
        ('{"id": 7, "name": "Ann"}', '{"id": 7,\n "name": "Ann",}', "invalid_json_example", 27),
        (
            "| name | string | yes | The full name |\n| email | string | yes | Where to write to |\n",
            "",
            "undocumented_body",
            35,
        ),
        ("### Create a user\n\n`POST /users`", "### GET /users/{nr}", "duplicate_endpoint", 33),
    ],
)
def test_each_gap_costs_points_and_names_its_line(old: str, new: str, kind: str, line: int) -> None:
    assert old in PAGE
    result = verdict(PAGE.replace(old, new))
    assert result.valid
    assert (kind, line) in told(result)
    assert INVALID_CAP < result.score < 100
    assert all(found.message.startswith(f"line {found.line}: ") for found in result.findings)


def test_a_table_of_endpoints_alone_is_a_poor_page() -> None:
    table = (
        "| Method | Path | Description |\n|---|---|---|\n| GET | /users | List users |\n| POST | `/users` | Make |\n"
    )
    result = verdict(table, {"endpoints": ["GET /users", "POST /users"]})
    assert result.valid
    assert INVALID_CAP < result.score < 70


def test_a_table_of_contents_and_an_example_repeat_no_endpoint() -> None:
    page = page_of("- [GET /users/{id}](#a)\n\n## GET /users/{id}\n\n`GET /users/7`\n\n### Example for GET /users/7\n")
    assert [section.endpoint.path for section in page.sections] == ["/users/{id}"]


def test_nothing_comes_back_from_a_deletion() -> None:
    page = "## DELETE /users/{id}\n\nRemoves the user for good.\n\n- `id` (integer)\n\n```sh\ncurl -X DELETE x\n```\n\n"
    assert verdict(page + "Returns 204, or 404 for an unknown one.\n").score == 100


def test_an_openapi_document_is_handed_on() -> None:
    document = (
        "openapi: 3.0.0\ninfo: {title: x, version: '1'}\npaths: {/a: {get: {responses: {200: {description: x}}}}}\n"
    )
    result = verdict(f"```yaml\n{document}```", {"endpoints": ["GET /a"]})
    assert result.valid
    assert "no_operation_id" in [kind for kind, _ in told(result)]


@pytest.mark.parametrize(
    ("text", "most"), [("", 0), ("Sorry, I cannot.", 0), ("a\0b", 0), ("Call `/users` for it.", 10)]
)
def test_a_page_without_endpoints_is_not_valid(text: str, most: float) -> None:
    result = verdict(text, {"endpoints": ["GET /users"]})
    assert (result.score, result.valid) == (most, False)
    assert {kind for kind, _ in told(result)} == {"no_endpoint", "missing_endpoint"}


def test_options() -> None:
    no_examples = verdict(PAGE.replace("curl https", "open https"), weights={"examples": 0})
    assert no_examples.score == 100
    with pytest.raises(TypeError, match="weight"):
        make({"weight": 1})
    with pytest.raises(ValueError, match=r"weights\.x"):
        make({"weights": {"x": 1}})


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        ("", "| GET | /a |\n"),
        ("", "GET "),
        ("", "GET /{"),
        ("# GET /", "{a}/"),
        ("", "```\n"),
        ("", "|"),
        ("", "#"),
        ("", "- `"),
        ("GET /a\n", "status "),
        ("GET /a\n", "`"),
        ("GET /a\n```json\n", "["),
    ],
)
def test_hostile_text_gets_a_score(head: str, unit: str) -> None:
    text = head + unit * (150_000 // len(unit))
    result = verdict(text)
    assert 0 <= result.score < 70
    assert result.findings
    assert told(verdict("x" * 1_000_000)) == [("too_long", None)]


@settings(max_examples=120)
@given(st.text(max_size=150) | st.lists(st.sampled_from(PAGE.splitlines(keepends=True)), max_size=25).map("".join))
def test_any_text_gets_a_score(text: str) -> None:
    for response in (text, f"GET /a/{{b}}\n{text}", f"{PAGE}\n{text}"):
        result = verdict(response, {"endpoints": ["GET /a"]})
        assert 0 <= result.score <= 100
        assert result.valid or result.score <= INVALID_CAP
        assert result.findings
