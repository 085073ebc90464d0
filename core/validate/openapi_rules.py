"""What the OpenAPI specification itself says against a document.

The rules are those of openapi-spec-validator. It would fetch what a document refers to, and try a document's own
patterns on its own values; so references are checked here first, and it is given a copy without what could make it
work without end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from jsonschema.exceptions import ValidationError, best_match
from jsonschema_path import SchemaPath
from openapi_spec_validator.validation import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
    OpenAPIV32SpecValidator,
    SpecValidator,
)
from referencing.exceptions import Unresolvable

from core.validate.openapi_tree import resolve
from core.validate.scorecard import clipped

Path = tuple[str | int, ...]
_VERSIONS: Final[Mapping[str, type[SpecValidator]]] = {
    "swagger 2.0": OpenAPIV2SpecValidator,
    "openapi 3.0": OpenAPIV30SpecValidator,
    "openapi 3.1": OpenAPIV31SpecValidator,
    "openapi 3.2": OpenAPIV32SpecValidator,
}
MAX_PROBLEMS: Final = 1_000
_MAX_EXPANDED: Final = 200_000
_MAX_ITEMS: Final = 500
# Kept from the checker: patterns and uniqueness may take for ever on the document's own values, the others give a
# schema an address of its own, from which its references would lead elsewhere.
_LEFT_OUT: Final = frozenset(
    {"pattern", "uniqueItems", "$id", "id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef"}
)
_DATA: Final = frozenset({"example", "examples", "default", "enum", "const"})
_URL = re.compile(r"in '(/[^']*)'")
_METHOD = re.compile(r"for '(\w+)'")
# What openapi-spec-validator raises instead of reporting it, on documents that pass its schema.
_FAULTS: Final = (
    LookupError, TypeError, ValueError, AttributeError, AssertionError, ArithmeticError, Unresolvable,
)  # fmt: skip


class _Offline(dict[str, Any]):
    """Takes the place of what fetches a document by the scheme of its address: refuses every scheme."""

    def __contains__(self, scheme: object) -> bool:
        return True

    def __getitem__(self, scheme: str) -> Any:
        raise LookupError(f"nothing is fetched by {clipped(scheme)}")


class Problem(NamedTuple):
    """A breach of the specification; `path` leads to it in the document."""

    path: Path
    kind: str
    message: str


def problems_of(root: Mapping[str, Any]) -> list[Problem]:
    """Every breach that is found, at most `MAX_PROBLEMS`. Where references are broken the rest is not looked at."""
    version = _version(root)
    rules = _VERSIONS.get(version)
    if rules is None:
        known = ", ".join(_VERSIONS)
        return [Problem((version.partition(" ")[0],), "version", f"`{clipped(version)}` is none of {known}")]
    references = list(islice(_references(root), MAX_PROBLEMS))
    if references:
        return references
    if _expanded(root) > _MAX_EXPANDED:
        return [Problem((), "too_large", f"more than {_MAX_EXPANDED} values, references followed")]
    copy = _harmless(root)
    try:
        checked = rules(SchemaPath.from_dict(copy, handlers=_Offline()))
        # The second step takes for granted what the first one has checked.
        broken = list(islice(checked.schema_validator.iter_errors(copy), MAX_PROBLEMS))
        if not broken:
            broken = list(islice(checked.root_validator(checked.schema_path), MAX_PROBLEMS))
    except RecursionError:
        # Schemas may go round in circles that the second step does not get out of: a base that lists its heirs.
        broken = []
    except _FAULTS as error:
        return [Problem((), "specification", f"the document cannot be checked: {clipped(error, 120)}")]
    return [_problem(error) for error in broken]


def _version(root: Mapping[str, Any]) -> str:
    if "swagger" in root:
        return f"swagger {root['swagger']}"
    return f"openapi {'.'.join(str(root.get('openapi')).split('.')[:2])}"


def _problem(error: ValidationError) -> Problem:
    inner = _innermost(error)
    path: Path = tuple(inner.absolute_path)
    message = clipped(inner.message, 160)
    if path:
        return Problem(path, "specification", f"{clipped('.'.join(map(str, path)), 80)}: {message}")
    url, method = _URL.search(message), _METHOD.search(message)
    where: Path = ("paths", url[1], *((method[1],) if method else ())) if url else ()
    return Problem(where, "specification", message)


def _innermost(error: ValidationError) -> ValidationError:
    """The error that says most: where a value or a reference may stand, what is wrong with the value."""
    while error.context:
        refs = {each.relative_schema_path[0] for each in error.context if "'$ref' is a required" in each.message}
        inner = best_match(iter([each for each in error.context if each.relative_schema_path[0] not in refs]))
        if inner is None or not refs:
            return best_match(iter([error])) or error
        error = inner
    return error


def _references(root: Any) -> Iterator[Problem]:
    for path, ref in _walk(root, ()):
        if not ref.startswith("#"):
            yield Problem(path, "remote_ref", f"`$ref` leads out of the document: {clipped(ref)}")
        elif ref != "#" and not ref.startswith("#/"):
            yield Problem(path, "broken_ref", f"`$ref` {clipped(ref)} is no path in the document")
        else:
            try:
                resolve(root, ref)
            except LookupError:
                yield Problem(path, "broken_ref", f"`$ref` {clipped(ref)} leads nowhere")


def _walk(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield (*path, "$ref"), ref
        for key, value in node.items():
            yield from _walk(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _walk(value, (*path, index))


def _expanded(root: Any) -> int:
    """How many values the document has with every local reference written out; a circle counts once."""
    sizes: dict[str, int] = {}

    def size(node: Any, depth: int) -> int:
        if depth > 400:
            return _MAX_EXPANDED
        if isinstance(node, list):
            return 1 + sum(size(each, depth + 1) for each in node)
        if not isinstance(node, dict):
            return 1
        total = 1 + sum(size(each, depth + 1) for each in node.values())
        if isinstance(ref := node.get("$ref"), str):
            if ref not in sizes:
                sizes[ref] = 0
                sizes[ref] = min(size(resolve(root, ref), depth + 1), 2 * _MAX_EXPANDED)
            total += sizes[ref]
        return total

    return size(root, 0)


def _harmless(node: Any, *, data: bool = False) -> Any:
    """A copy without what is in `_LEFT_OUT`, and with short lists."""
    if isinstance(node, list):
        return [_harmless(each, data=data) for each in node[:_MAX_ITEMS]]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        # A property may have such a name; it is then a schema and no text.
        if not data and (
            (key in _LEFT_OUT and isinstance(value, str | bool))
            or (key == "patternProperties" and isinstance(value, dict))
        ):
            continue
        made[key] = _harmless(value, data=data or key in _DATA)
    return made
