"""A TOML file with one value changed and everything else, comments and order too, as it was: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def with_value(data: bytes, path: Sequence[str], value: Any) -> bytes:
    import tomlkit
    from tomlkit.items import InlineTable

    document = _document(data)
    place: Any = document
    made = False
    for depth, part in enumerate(path[:-1], start=2):
        if part not in place:
            inline = isinstance(place, InlineTable)
            # `[categories.erd]` alone, without an empty `[categories]` above it
            place[part] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=depth < len(path))
            made = not inline
        place = place[part]
    _put(place, path[-1], value)
    if made:
        place.add(tomlkit.nl())
        return _bytes(document, data).rstrip() + b"\n"
    return _bytes(document, data)


def _put(place: Any, key: str, value: Any) -> None:
    """A new key comes after the last one of its section, before the comments that lead to the next section."""
    from tomlkit.items import Table

    old = place.get(key)
    if isinstance(old, Table) and isinstance(value, Mapping):
        for name in [name for name in old if name not in value]:
            del old[name]
        for name, each in value.items():
            _put(old, name, each)
        return
    if old is not None or not isinstance(place, Table):
        place[key] = _item(value)
        return
    body = place.value.body
    tail: list[Any] = []
    while body and body[-1][0] is None:
        tail.insert(0, body.pop())
    place[key] = _item(value)
    body.extend(tail)


def _item(value: Any) -> Any:
    import tomlkit

    if isinstance(value, str) and "\n" in value:
        return tomlkit.string(value, multiline=True)
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    return tomlkit.item(value)


def without_value(data: bytes, path: Sequence[str]) -> bytes:
    document = _document(data)
    places: list[Any] = [document]
    for part in path[:-1]:
        places.append(places[-1][part])
    for place, part in zip(reversed(places), reversed(path), strict=True):
        del place[part]
        if len(place) > 0 or _has_comments(place):
            break
    return _bytes(document, data)


def _has_comments(place: Any) -> bool:
    from tomlkit.items import Comment, Table

    return isinstance(place, Table) and any(isinstance(item, Comment) for _, item in place.value.body)


def _document(data: bytes) -> TOMLDocument:
    import tomlkit

    return tomlkit.parse(data.decode("utf-8"))


def _bytes(document: TOMLDocument, data: bytes) -> bytes:
    """The document in bytes, with the line ends of the file that it was read from."""
    text = document.as_string().replace("\r\n", "\n")
    return (text.replace("\n", "\r\n") if b"\r\n" in data else text).encode("utf-8")
