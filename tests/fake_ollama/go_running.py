"""Running a parsed template: what each node prints, and the functions it may call."""

from __future__ import annotations

import ast
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any


class TemplateError(Exception):
    """The template is wrong, or does not fit what it is given."""


class _Cut(Exception):
    """The place of the answer is reached."""


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Run:
    """One run over `data`; cut: it ends where the answer would stand."""

    def __init__(self, data: Mapping[str, Any], cut: bool, defined: Mapping[str, list[Any]]) -> None:
        self._cut = cut
        self._defined = defined
        self._dot: Any = data
        self._scopes: list[dict[str, Any]] = [{"$": data}]
        self._out: list[str] = []

    def text(self, nodes: list[Any]) -> str:
        with contextlib.suppress(_Cut):
            self._walk(nodes)
        return "".join(self._out)

    def _walk(self, nodes: list[Any]) -> None:
        for node in nodes:
            match node:
                case ("text", text):
                    self._out.append(text)
                case ("print", pipeline):
                    self._out.append(_printed(self._value(pipeline)))
                case ("assign", variables, new, pipeline):
                    self._assign(variables[0], new, self._value(pipeline))
                case ("range", condition, body, otherwise):
                    self._range(condition, body, otherwise)
                case ("if" | "with" as word, condition, body, otherwise):
                    self._branch(word, condition, body, otherwise)
                case ("template", name, pipeline):
                    self._call(name, self._value(pipeline))
                case ("break",):
                    raise _Break
                case ("continue",):
                    raise _Continue

    def _call(self, name: str, value: Any) -> None:
        """A named template, which sees nothing but what it is given."""
        if name not in self._defined:
            raise TemplateError(f'template "{name}" not defined')
        before = self._dot, self._scopes
        self._dot, self._scopes = value, [{"$": value}]
        self._walk(self._defined[name])
        self._dot, self._scopes = before

    def _branch(self, word: str, condition: Any, body: list[Any], otherwise: list[Any]) -> None:
        value = self._value(condition[-1])
        self._scopes.append({condition[1][0]: value} if condition[0] == "assign" else {})
        before = self._dot
        if _true(value) and word == "with":
            self._dot = value
        self._walk(body if _true(value) else otherwise)
        self._dot = before
        self._scopes.pop()

    def _range(self, condition: Any, body: list[Any], otherwise: list[Any]) -> None:
        value = self._value(condition[-1])
        pairs = list(value.items() if isinstance(value, Mapping) else enumerate(value or []))
        before, depth = self._dot, len(self._scopes)
        for key, item in pairs:
            self._dot = item
            scope = {}
            if condition[0] == "assign":
                names = condition[1]
                scope = {names[0]: key, names[1]: item} if len(names) > 1 else {names[0]: item}
            self._scopes.append(scope)
            try:
                self._walk(body)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self._scopes[depth:]
        self._dot = before
        if not pairs:
            self._walk(otherwise)

    def _assign(self, name: str, new: bool, value: Any) -> None:
        if new:
            self._scopes[-1][name] = value
            return
        for scope in reversed(self._scopes):
            if name in scope:
                scope[name] = value
                return
        raise TemplateError(f'undefined variable "{name}"')

    def _value(self, pipeline: list[list[Any]]) -> Any:
        value: Any = None
        for i, (head, *operands) in enumerate(pipeline):
            carried = [value] if i else []
            if head[0] == "word" and head[1] in FUNCTIONS:
                value = FUNCTIONS[head[1]](*[self._operand(one) for one in operands], *carried)
            elif operands or carried:
                raise TemplateError(f"can't give argument to non-function {head[1]}")
            else:
                value = self._operand(head)
        return value

    def _operand(self, operand: Any) -> Any:
        kind, text = operand
        if kind == "pipe":
            return self._value(text)
        if kind == "text":
            return ast.literal_eval(text)
        if kind == "raw":
            return text[1:-1]
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "word":
            return CONSTANTS[text] if text in CONSTANTS else FUNCTIONS[text]()
        if kind == "chain":
            return self._fields(self._operand(text[0]), text[1].split("."))
        variable, *path = text.split(".")
        value = self._dot
        if variable:
            value = next((scope[variable] for scope in reversed(self._scopes) if variable in scope), TemplateError)
            if value is TemplateError:
                raise TemplateError(f'undefined variable "{variable}"')
        return self._fields(value, path)

    def _fields(self, value: Any, path: list[str]) -> Any:
        for part in filter(None, path):
            if part == "Response" and self._cut:
                raise _Cut
            if not isinstance(value, Mapping):
                raise TemplateError(f"can't evaluate field {part}")
            value = value.get(part)
        return value


def _true(value: Any) -> bool:
    return bool(value)


def _printed(value: Any) -> str:
    if value is None:
        return "<no value>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _either(*values: Any) -> Any:
    return next((value for value in values if _true(value)), values[-1])


def _all(*values: Any) -> Any:
    return next((value for value in values if not _true(value)), values[-1])


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value[key]
    return value


def _slice(value: Any, *ends: int) -> Any:
    """Go's strings are bytes, and a part of one may hold half a character."""
    if isinstance(value, str):
        return _slice(value.encode("utf-8", "surrogateescape"), *ends).decode("utf-8", "surrogateescape")
    return value[slice(*(*ends, None)[:2])] if ends else value


CONSTANTS: dict[str, Any] = {"true": True, "false": False, "nil": None}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _all,
    "or": _either,
    "not": lambda value: not _true(value),
    "eq": lambda one, *others: any(one == other for other in others),
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "len": lambda value: len(value.encode("utf-8", "surrogateescape")) if isinstance(value, str) else len(value),
    "index": _index,
    "slice": _slice,
    "print": lambda *values: "".join(map(_printed, values)),
    "printf": lambda form, *values: form.replace("%v", "%s") % values,
    "json": lambda value: json.dumps(value, separators=(",", ":")),
}
