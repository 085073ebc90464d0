"""The parts of an OpenAPI document that its quality is told by, whatever version it is written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.validate.endpoints import METHODS

_HOPS: Final = 8
_SHAPES: Final = ("type", "enum", "const", "allOf", "anyOf", "oneOf", "properties", "items", "$ref")
_MARKS: Final = ("example", "examples")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: `method` in capitals; `path` leads to it in the document, `shared` is the item it stands in."""

    method: str
    url: str
    path: tuple[str | int, ...]
    value: Mapping[str, Any]
    shared: Mapping[str, Any]

    @property
    def title(self) -> str:
        """`GET /users`."""
        return f"{self.method} {self.url[:80]}"


def resolve(root: Any, ref: str) -> Any:
    """What a local reference `#/a/b` leads to. Raises LookupError."""
    node = root
    for part in ref[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
        if isinstance(node, list):
            if not key.isdecimal() or len(key) > 9 or int(key) >= len(node):
                raise LookupError(ref)
            node = node[int(key)]
        elif isinstance(node, dict) and key in node:
            node = node[key]
        else:
            raise LookupError(ref)
    return node


class Tree:
    """Reads a document whose shape need not be right: what is missing or of another kind is passed over."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._shown: dict[int, bool] = {}

    def prefixes(self) -> list[str]:
        """The paths that stand before every URL: none, and those of the servers."""
        found = [""]
        if isinstance(base := self.root.get("basePath"), str):
            found.append(base.rstrip("/"))
        servers = self.root.get("servers")
        for server in servers[:10] if isinstance(servers, list) else []:
            if isinstance(server, dict) and isinstance(url := server.get("url"), str):
                found.append("/" + url.partition("://")[2].partition("/")[2].strip("/") if "://" in url else url)
        return [prefix.rstrip("/") for prefix in found]

    def operations(self) -> list[Operation]:
        """Every operation in order."""
        found: list[Operation] = []
        for url, value in _items(self.root.get("paths")):
            item = self.followed(value)
            found.extend(
                Operation(method.upper(), url, ("paths", url, method), operation, item)
                for method, operation in item.items()
                if method in METHODS and isinstance(operation, dict)
            )
        return found

    def followed(self, node: Any) -> Mapping[str, Any]:
        """The mapping that a node is or refers to, else an empty one."""
        for _ in range(_HOPS):
            if not isinstance(node, dict):
                break
            ref = node.get("$ref")
            if not isinstance(ref, str) or not ref.startswith("#/"):
                return node
            try:
                node = resolve(self.root, ref)
            except LookupError:
                break
        return {}

    def parameters(self, operation: Operation) -> list[Mapping[str, Any]]:
        """The parameters of an operation and of its path, the body of Swagger 2 apart."""
        return [each for each in self._parameters(operation) if each.get("in") != "body"]

    def body(self, operation: Operation) -> list[Mapping[str, Any]] | None:
        """The media types of the request body (in Swagger 2 the parameter), None when there is no body."""
        if "requestBody" in operation.value:
            return self._media(self.followed(operation.value["requestBody"]))
        found = [each for each in self._parameters(operation) if each.get("in") == "body"]
        return found or None

    def responses(self, operation: Operation) -> list[tuple[str, Mapping[str, Any]]]:
        """(code, response) in order."""
        return [(code, self.followed(value)) for code, value in _items(operation.value.get("responses"))]

    def has_schema(self, response: Mapping[str, Any]) -> bool:
        """Whether a response says what its body looks like."""
        return "schema" in response or any(self.is_typed(media) or not media for media in self._media(response))

    def is_typed(self, part: Mapping[str, Any]) -> bool:
        """Whether a parameter or media type has a schema that says something."""
        if isinstance(part.get("content"), dict):
            return any(self.is_typed(media) for media in self._media(part))
        schema = part.get("schema", part)
        return isinstance(schema, dict) and any(key in schema for key in _SHAPES)

    def example_share(self, operation: Operation) -> float | None:
        """The share of request and success response that shows an example, None when neither has a body."""
        sides = [self.body(operation)]
        good = [each for code, each in self.responses(operation) if code[:1] == "2" or code == "default"]
        replies = [media for each in good for media in self._media(each) or ([each] if "schema" in each else [])]
        sides.append(replies or None)
        bodies = [side for side in sides if side]
        if not bodies:
            return None
        shown = [any(self._shows(media, 0) for media in side) for side in bodies]
        return sum(shown) / len(shown)

    def _parameters(self, operation: Operation) -> list[Mapping[str, Any]]:
        own, shared = operation.value.get("parameters"), operation.shared.get("parameters")
        listed = [*(own if isinstance(own, list) else []), *(shared if isinstance(shared, list) else [])]
        return [each for each in map(self.followed, listed) if each]

    def _media(self, part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        return [media for _, media in _items(part.get("content")) if isinstance(media, dict)]

    def _shows(self, node: Any, depth: int) -> bool:
        """Whether a media type, a schema, or a part of it shows a value; every node is looked at once."""
        node = self.followed(node) if isinstance(node, dict) else node
        known = self._shown.get(id(node))
        if known is not None or depth > 40:
            return bool(known)
        self._shown[id(node)] = False
        found = False
        if isinstance(node, dict):
            found = any(key in node for key in _MARKS) or any(self._shows(each, depth + 1) for each in _inner(node))
        self._shown[id(node)] = found
        return found


def _inner(node: Mapping[str, Any]) -> Iterator[Any]:
    yield node.get("schema")
    yield node.get("items")
    for _, each in _items(node.get("properties")):
        yield each
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(listed := node.get(key), list):
            yield from listed


def _items(node: Any) -> list[tuple[str, Any]]:
    return list(node.items()) if isinstance(node, dict) else []
