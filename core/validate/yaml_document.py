"""Reads YAML (and so JSON) that nobody vouches for, into plain values with the lines they stand on.

Only the event stream of PyYAML is used: nothing is constructed by tag, the types are those of YAML 1.2's core schema (a
date or `NO` stays text), every key becomes text, and size and depth are limited with all aliases expanded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from core.validate.scorecard import clipped

MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 60
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = frozenset({None, "!", _TAG + "str", _TAG + "map", _TAG + "seq"})
_WORDS: Final = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS_TRUTH: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,300}|[0-9]{1,300}(?:\.[0-9]{0,300})?)(?:[eE][-+]?[0-9]{1,6})?\Z")
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class YamlFault(Exception):
    """The text cannot be read: `kind` names the finding, `line` is 1-based."""

    def __init__(self, kind: str, message: str, line: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.line = line


@dataclass(slots=True)
class YamlDocument:
    """The first document of a text; `duplicates` holds (key, line) of each key that stands twice in one mapping."""

    value: Any
    duplicates: list[tuple[str, int]] = field(default_factory=list)
    lines: dict[tuple[int, str | int], int] = field(default_factory=dict)
    # Every collection, so that no identity in `lines` is given to a second one.
    kept: list[Any] = field(default_factory=list)

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line of the deepest part of `path` that the document has, None when it has not even the first."""
        node, found = self.value, None
        for key in path:
            found = self.lines.get((id(node), key), found)
            try:
                node = node[key]
            except (LookupError, TypeError):
                break
        return found


@dataclass(slots=True)
class _Open:
    """A collection that is being read; `size` and `height` count its nodes and levels, aliases expanded."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    size: int = 1
    height: int = 1
    key: str | None = None
    merges: bool = False
    merged: list[Any] = field(default_factory=list)


def read_yaml(text: str) -> YamlDocument:
    """Read the first document of `text`. Raises YamlFault."""
    document = YamlDocument(None)
    if "\\u" in text:
        # JSON writes characters outside the basic plane as pairs, which YAML refuses.
        text = _SURROGATES.sub(_character, text)
    try:
        _Reader(document).read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlFault("yaml", clipped(error.problem or error, 160), mark.line + 1 if mark else 1) from error
    except yaml.YAMLError as error:
        raise YamlFault("yaml", clipped(error, 160), 1) from error
    except UnicodeError as error:
        raise YamlFault("yaml", "characters that no text file can hold", 1) from error
    return document


class _Reader:
    """Builds a document from the events of its text."""

    def __init__(self, document: YamlDocument) -> None:
        self.document = document
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int, int]] = {}

    def read(self, text: str) -> None:
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._open(event, line)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self.anchors:
                    raise YamlFault("yaml", f"the alias *{clipped(event.anchor)} has no anchor before it", line)
                self._no_key(line)
                self._add(*self.anchors[event.anchor], None, line)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                done = self.stack.pop()
                for source in done.merged:
                    self._merge(done.value, source, line)
                self._add(done.value, done.size, done.height + 1, done.anchor, line)
            elif isinstance(event, yaml.DocumentEndEvent):
                return

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if event.tag not in _PLAIN:
            raise YamlFault("yaml", f"the tag {clipped(event.tag)} is not allowed", line)
        self._no_key(line)
        if self.stack and isinstance(within := self.stack[-1].value, list):
            self.document.lines[id(within), len(within)] = line
        made: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.document.kept.append(made)
        self.stack.append(_Open(made, event.anchor))
        self._limit(0, line)

    def _no_key(self, line: int) -> None:
        if self._key_next():
            raise YamlFault("yaml", "a key must be a text", line)

    def _key_next(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        if not self._key_next():
            self._add(_value_of(event, line), 1, 1, event.anchor, line)
            return
        within = self.stack[-1]
        within.key = key = event.value
        within.merges = key == "<<" and event.implicit[0]
        if event.anchor is not None:
            self.anchors[event.anchor] = (key, 1, 1)
        if not within.merges:
            if key in within.value:
                self.document.duplicates.append((key, line))
            self.document.lines[id(within.value), key] = line

    def _add(self, value: Any, size: int, height: int, anchor: str | None, line: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, size, height)
        if not self.stack:
            self.document.value = value
            return
        within = self.stack[-1]
        if isinstance(within.value, list):
            self.document.lines.setdefault((id(within.value), len(within.value)), line)
            within.value.append(value)
        elif within.merges:
            within.merged.extend(value if isinstance(value, list) else [value])
        else:
            within.value[within.key or ""] = value
        within.key = None
        within.size += size
        within.height = max(within.height, height)
        self._limit(within.height, line)

    def _limit(self, below: int, line: int) -> None:
        if self.stack[-1].size > MAX_NODES or len(self.document.lines) > MAX_NODES:
            raise YamlFault("too_large", f"more than {MAX_NODES} values, aliases expanded", line)
        if below + len(self.stack) > MAX_DEPTH:
            raise YamlFault("nesting", f"nested more than {MAX_DEPTH} levels deep", line)

    def _merge(self, into: Any, source: Any, line: int) -> None:
        if not isinstance(source, dict):
            raise YamlFault("yaml", "`<<` takes a mapping", line)
        for key, value in source.items():
            if key not in into:
                into[key] = value
                self.document.lines[id(into), key] = self.document.lines.get((id(source), key), line)


def _value_of(event: yaml.ScalarEvent, line: int) -> Any:
    text: str = event.value
    tag = event.tag
    if tag not in _PLAIN and not (tag.startswith(_TAG) and tag[len(_TAG) :] in ("int", "float", "bool", "null")):
        raise YamlFault("yaml", f"the tag {clipped(tag)} is not allowed", line)
    if tag in _PLAIN and not (tag is None and event.implicit[0]):
        return text
    if text in _WORDS:
        return None
    if text in _WORDS_TRUTH:
        return _WORDS_TRUTH[text]
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def _character(pair: re.Match[str]) -> str:
    high, low = int(pair[1], 16), int(pair[2], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
