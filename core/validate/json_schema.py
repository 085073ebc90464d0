"""Scores JSON: is it strict JSON, does it satisfy a JSON Schema, does it hold the values that are known to be right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

import referencing
import referencing.jsonschema
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.protocols import Validator as SchemaValidator
from jsonschema.validators import extend, validator_for
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from referencing.exceptions import Unresolvable

from core.validate.json_text import JsonText, json_in
from core.validate.options import flag, only
from core.validate.scorecard import at, clipped, named, refused, weighed, weights_from
from core.validate.validator import Finding, Validation, Validator

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {"schema": 70.0, "value": 40.0, "keys": 20.0, "form": 10.0}
MAX_CHARS: Final = 2_000_000
_MAX_SCHEMA_BYTES: Final = 4_000_000
_MAX_ERRORS: Final = 5_000
_PER_DUPLICATE: Final = 0.5
# What a program reads with a schema it cannot use at all when one requirement is broken: however many are met, such an
# answer stays below the usual success score of 70.
_VIOLATED: Final = 0.65
_MEMBERS: Final = frozenset({"properties", "required", "allOf", "$ref", "$dynamicRef", "$recursiveRef"})
_NOTES: Final = frozenset(
    {"$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$defs", "definitions", "$comment",
     "$vocabulary", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "then",
     "else", "contentEncoding", "contentMediaType", "contentSchema", "format"}
)  # fmt: skip
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class JsonSchemaValidator:
    """Validates the JSON in a response, in a code fence or bare, against a compiled schema (None for any JSON).

    What is not strict JSON (a comment, a comma too many, NaN) is not valid. Else `schema` is earned by the share of
    the schema's top-level requirements that are met: each required or present property, the type, every other keyword;
    the items of an array count by the share of them that is right; when one is broken, at most 65 % are earned, and
    nothing when the whole has the wrong type. `form` is lost by keys that stand twice.
    `expected` may hold `value` (the right answer: objects count by the share of equal members, arrays of equal items)
    and `keys` (top-level keys that must be there).
    """

    checker: SchemaValidator | None = None
    requirements: frozenset[tuple[str, str]] = frozenset()
    weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    name: str = "json_schema"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        if len(response) > MAX_CHARS:
            return refused([Finding("too_long", f"{len(response)} characters, more than {MAX_CHARS}")])
        read = json_in(response)
        if not read.part.text.strip():
            return refused([Finding("empty", "there is no JSON in the answer")])
        if read.fault is not None:
            line = read.part.line_at(read.fault.offset)
            return refused([at(line, "json", f"no JSON: {read.fault.message}")], read.read_share)
        if read.constants:
            names = ", ".join(sorted(set(read.constants)))
            return refused([at(read.part.line, "not_a_number", f"{names} is no JSON")], 1.0)
        try:
            return self._weighed(read, expected or {})
        except (RecursionError, MemoryError):
            return refused([at(read.part.line, "nesting", "the JSON is nested too deeply")])

    def _weighed(self, read: JsonText, expected: Mapping[str, object]) -> Validation:
        findings = [
            at(read.part.line, "duplicate_key", f"the key `{clipped(key)}` stands twice in one object")
            for key in read.duplicates
        ]
        shares = {
            "schema": self._schema(read.value, findings),
            "value": _value(read.value, expected["value"], findings) if "value" in expected else None,
            "keys": _keys(read.value, named(expected, "keys"), findings),
            "form": _PER_DUPLICATE ** min(len(read.duplicates), 20),
        }
        return weighed(self.weights, shares, findings)

    def _schema(self, value: Any, findings: list[Finding]) -> float | None:
        if self.checker is None:
            return None
        errors = list(islice(self.checker.iter_errors(value), _MAX_ERRORS))
        if not errors:
            return 1.0
        findings.extend(_finding(error) for error in errors)
        if any(error.validator == "type" and not error.absolute_path for error in errors):
            return 0.0
        broken: dict[tuple[str, str], set[str]] = {}
        for error in errors:
            for requirement, item in _broken_by(error):
                broken.setdefault(requirement, set()).add(item)
        members = {("member", key) for key in value} if isinstance(value, dict) else set()
        counted = {each for each in self.requirements if each[0] != "optional"} | set(broken)
        counted |= {each for each in members if ("optional", each[1]) in self.requirements}
        items = broken.get(("keyword", "items"))
        lost = float(len(broken))
        if items and isinstance(value, list) and len(errors) < _MAX_ERRORS:
            lost += len(items) / len(value) - 1.0
        return _VIOLATED * (1.0 - lost / len(counted))


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `schema` (a table) or `schema_file` (the path of a JSON file), `formats` (whether `format` is checked,
    false) and `weights` (points by part, see `DEFAULT_WEIGHTS`). Without a schema any strict JSON is right.

    The draft is told by `$schema`, 2020-12 without one. Raises ValueError for a schema that is wrong, or that refers to
    anything outside of itself: nothing is ever fetched.
    """
    only(options, "schema", "schema_file", "formats", "weights")
    if "schema" in options and "schema_file" in options:
        raise ValueError("give `schema` or `schema_file`, not both")
    formats = flag(options, "formats", False)
    weights = weights_from(options, DEFAULT_WEIGHTS)
    key = "schema_file" if "schema_file" in options else "schema"
    if key not in options:
        return JsonSchemaValidator(weights=weights)
    schema = _from_file(options[key]) if key == "schema_file" else options[key]
    if not isinstance(schema, Mapping | bool):
        raise ValueError(f"`{key}` must be a JSON Schema, an object")
    schema = dict(schema) if isinstance(schema, Mapping) else schema
    checker = _compiled(schema, key, formats)
    return JsonSchemaValidator(checker, frozenset(_requirements(schema, schema)), weights)


def _from_file(path: object) -> object:
    if not isinstance(path, str) or not path.strip():
        raise ValueError("`schema_file` must be the path of a JSON file")
    try:
        file = Path(path).expanduser()
        if file.stat().st_size > _MAX_SCHEMA_BYTES:
            raise ValueError(f"`schema_file`: {path} is larger than {_MAX_SCHEMA_BYTES} bytes")
        return json.loads(file.read_bytes())
    except (OSError, RuntimeError) as error:
        raise ValueError(f"`schema_file`: {path} cannot be read ({error})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"`schema_file`: {path} is no JSON ({error})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"`schema_file`: {path} is not written in UTF-8") from error


def _compiled(schema: Any, key: str, formats: bool) -> SchemaValidator:
    draft = validator_for(schema, default=Draft202012Validator)
    told = schema.get("$schema") if isinstance(schema, dict) else None
    if told is not None and _bare(told) != _bare(draft.META_SCHEMA.get("$id", draft.META_SCHEMA.get("id"))):
        raise ValueError(f"`{key}`: `$schema` names an unknown draft, {clipped(told)}")
    try:
        draft.check_schema(schema, format_checker=draft.FORMAT_CHECKER)
        _check_references(schema, draft)
        linear = cast(type[SchemaValidator], extend(draft, {"uniqueItems": _unique_items}))
        checker = linear(schema, registry=REGISTRY, format_checker=draft.FORMAT_CHECKER if formats else None)
        probes: tuple[Any, ...] = ({}, [], "", 0, None)
        for probe in probes:
            next(iter(checker.iter_errors(probe)), None)
    except SchemaError as error:
        raise ValueError(f"`{key}` is no JSON Schema: {error.json_path}: {clipped(error.message, 200)}") from error
    except Unresolvable as error:
        raise ValueError(
            f"`{key}`: `$ref` {clipped(error.ref)} leads nowhere (schemas elsewhere are not fetched)"
        ) from error
    except RecursionError as error:
        raise ValueError(f"`{key}` refers to itself without end, or is nested too deeply") from error
    return checker


def _check_references(schema: Any, draft: Any) -> None:
    """Follow every reference of a schema. Raises Unresolvable for one that leads outside of it, or nowhere."""
    meta = draft.META_SCHEMA
    specification = referencing.jsonschema.specification_with(meta.get("$id", meta.get("id")))
    root = specification.create_resource(schema)
    pending = [(root, REGISTRY.resolver_with_root(root))]
    seen: set[int] = set()
    while pending:
        resource, resolver = pending.pop()
        contents = resource.contents
        if id(contents) in seen or not isinstance(contents, Mapping):
            continue
        seen.add(id(contents))
        resolver = resolver.in_subresource(resource)
        for word in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(ref := contents.get(word), str):
                found = resolver.lookup(ref)
                pending.append((specification.create_resource(found.contents), found.resolver))
        pending.extend((each, resolver) for each in resource.subresources())


def _requirements(schema: Any, root: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The top-level requirements of a schema, those behind `$ref` and `allOf` too, as (what, name)."""
    if not isinstance(schema, Mapping) or depth > 8:
        return
    ref = schema.get("$ref")
    if isinstance(ref, str) and ref.startswith("#/"):
        target = root
        for part in ref[2:].split("/"):
            target = target.get(part) if isinstance(target, Mapping) else None
        yield from _requirements(target, root, depth + 1)
    for each in schema.get("allOf", ()):
        yield from _requirements(each, root, depth + 1)
    required = schema.get("required", ())
    for name in required if isinstance(required, list | tuple) else ():
        yield "member", str(name)
    for name in schema.get("properties", ()):
        yield "optional", str(name)
    for keyword in schema.keys() - _MEMBERS - _NOTES:
        yield "keyword", str(keyword)


def _broken_by(error: ValidationError) -> Iterator[tuple[tuple[str, str], str]]:
    """The requirement that an error breaks, and the item of an array in which it does."""
    path = error.absolute_path
    if path:
        first = path[0]
        yield (("keyword", "items") if isinstance(first, int) else ("member", first)), str(first)
    elif error.validator == "required" and isinstance(error.instance, Mapping):
        missing = re.match(r"'(.*)' is a required property\Z", error.message, re.S)
        yield ("member", missing[1] if missing else ""), ""
    else:
        yield ("keyword", str(error.validator)), ""


def _finding(error: ValidationError) -> Finding:
    kind = f"schema_{_HUMP.sub('_', str(error.validator or 'false')).lstrip('$').lower()}"
    return Finding(kind, f"{clipped(error.json_path, 80)}: {clipped(error.message, 160)}")


def _value(value: Any, right: Any, findings: list[Finding]) -> float:
    """The share of `right` that `value` holds, 0-1."""
    if _frozen(value) == _frozen(right):
        return 1.0
    if isinstance(value, dict) and isinstance(right, Mapping) and right:
        keys = [*right, *(key for key in value if key not in right)]
        wrong = [key for key in keys if key not in value or key not in right or _differ(value[key], right[key])]
        findings.extend(Finding("wrong_value", f"$.{clipped(key)} is not what was expected") for key in wrong)
        return 1.0 - len(wrong) / len(keys)
    if isinstance(value, list) and isinstance(right, list | tuple) and right:
        most = max(len(value), len(right))
        places = [index for index in range(most) if _differ(value[index : index + 1], list(right[index : index + 1]))]
        findings.extend(Finding("wrong_value", f"$[{index}] is not what was expected") for index in places)
        return 1.0 - len(places) / most
    findings.append(Finding("wrong_value", "$ is not what was expected"))
    return 0.0


def _keys(value: Any, keys: list[str], findings: list[Finding]) -> float | None:
    if not keys:
        return None
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    findings.extend(
        Finding("missing_key", f"the key `{clipped(key)}` that was asked for is missing") for key in missing
    )
    return 1.0 - len(missing) / len(keys)


def _differ(left: Any, right: Any) -> bool:
    return bool(_frozen(left) != _frozen(right))


def _frozen(value: Any) -> Any:
    """A hashable form in which `true` is not 1, and 1.0 is, as JSON Schema has it."""
    if isinstance(value, Mapping):
        return "object", frozenset((key, _frozen(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return "array", tuple(_frozen(each) for each in value)
    return ("boolean", value) if isinstance(value, bool) else value


def _unique_items(checker: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The keyword in linear time: the library's own compares every pair of items that cannot be sorted."""
    if wanted and isinstance(instance, list) and len({_frozen(each) for each in instance}) < len(instance):
        yield ValidationError(f"{clipped(instance)} has items that stand twice")


def _bare(uri: object) -> str:
    return str(uri).rstrip("#")
