"""What a Python module defines, and which of it is only a placeholder."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Final

Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_UNFINISHED = re.compile(
    r"\b(?:TODO|FIXME|XXX)\b|\b(?:[Yy]our|[Rr]est of (?:the|your)) (?:\w+ )?(?:code|logic|implementation)\b"
    r"|\b(?:[Ii]mplement|[Aa]dd|[Ii]nsert) (?:this|your|the|actual|real|me)\b[^\n]*\bhere\b|\b[Nn]ot implemented\b"
)
_INTERFACES: Final = frozenset({"Protocol", "ABC", "ABCMeta"})
_BODILESS: Final = frozenset({"abstractmethod", "overload", "abstractproperty"})
_STUB_WEIGHT = 1.0
_COMMENT_WEIGHT = 0.5
_COMMENT_CHARS = 300


@dataclass(slots=True)
class Shape:
    """The definitions of a module in order: functions as (`name` or `Class.name`, node), classes, modules imported.

    `duplicates` holds (name, line) of each definition that replaces an earlier one of the same body; `interfaces` the
    names of classes that others of the module build on.
    """

    functions: list[tuple[str, Function]] = field(default_factory=list)
    classes: list[tuple[str, ast.ClassDef]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    duplicates: list[tuple[str, int]] = field(default_factory=list)
    interfaces: set[str] = field(default_factory=set)
    owners: dict[int, ast.ClassDef] = field(default_factory=dict)


def shape_of(module: ast.Module) -> Shape:
    """Read the definitions of a module, those in classes, blocks and functions too."""
    shape = Shape()
    pending: list[tuple[list[ast.stmt], str, ast.ClassDef | None]] = [(module.body, "", None)]
    while pending:
        body, prefix, owner = pending.pop()
        _duplicates(body, shape)
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                shape.functions.append((prefix + node.name, node))
                if owner is not None:
                    shape.owners[id(node)] = owner
                pending.append((node.body, f"{prefix}{node.name}.", None))
            elif isinstance(node, ast.ClassDef):
                shape.classes.append((prefix + node.name, node))
                shape.interfaces.update(_last_name(base) for base in node.bases)
                pending.append((node.body, f"{prefix}{node.name}.", node))
            elif isinstance(node, ast.Import):
                shape.imports.update(part for alias in node.names for part in _roots(alias.name))
            elif isinstance(node, ast.ImportFrom):
                shape.imports.update(_roots(node.module or "."))
                shape.imports.update(f"{node.module}.{alias.name}" for alias in node.names if node.module)
            elif isinstance(node, _BLOCKS):
                pending.extend((block, prefix, owner) for block in _blocks(node))
    return shape


def is_no_code(module: ast.Module) -> bool:
    """Whether a module only names things: prose such as `Yes` or `Answer: forty`, a literal, or `pass`."""
    return all(_says_nothing(node) for node in module.body)


def placeholders(text: str, shape: Shape) -> list[tuple[int, str, float]]:
    """(line, what, weight) of each body that does nothing and each comment that puts the work off."""
    found: list[tuple[int, str, float]] = []
    for name, function in shape.functions:
        what = _stub(function.body)
        if what and not _may_be_bare(function, shape):
            found.append((function.lineno, f"the body of `{name[:60]}` is only {what}", _STUB_WEIGHT))
    for name, node in shape.classes:
        what = _stub(node.body)
        if what and not node.bases and not node.decorator_list and name not in shape.interfaces:
            found.append((node.lineno, f"the class `{name[:60]}` is only {what}", _STUB_WEIGHT))
    if "#" in text:
        for number, line in enumerate(text.split("\n"), 1):
            _, mark, comment = line.partition("#")
            if mark and _UNFINISHED.search(comment[:_COMMENT_CHARS]):
                found.append((number, f"put off: {comment[:60].strip()}", _COMMENT_WEIGHT))
    return found


def _duplicates(body: list[ast.stmt], shape: Shape) -> None:
    seen: set[str] = set()
    for node in body:
        if isinstance(node, _DEFINITIONS):
            # A decorator such as `@name.setter` or `@overload` builds on the earlier definition.
            if node.name in seen and not node.decorator_list:
                shape.duplicates.append((node.name, node.lineno))
            if not node.decorator_list:
                seen.add(node.name)


def _blocks(node: ast.stmt) -> list[list[ast.stmt]]:
    bodies = [getattr(node, part, None) or [] for part in ("body", "orelse", "finalbody")]
    bodies.extend(handler.body for handler in getattr(node, "handlers", ()))
    bodies.extend(case.body for case in getattr(node, "cases", ()))
    return bodies


def _stub(body: list[ast.stmt]) -> str:
    """What a body is when it does nothing: `pass`, `...` or an error that says so; empty when it does something."""
    told = ""
    for index, node in enumerate(body):
        if isinstance(node, ast.Pass):
            told = "`pass`"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if node.value.value is Ellipsis:
                told = "`...`"
            elif index or not isinstance(node.value.value, str):
                return ""
        elif isinstance(node, ast.Raise) and node.exc is not None and _last_name(node.exc) == "NotImplementedError":
            told = "`raise NotImplementedError`"
        else:
            return ""
    return told or "a docstring"


def _may_be_bare(function: Function, shape: Shape) -> bool:
    if any(_last_name(decorator) in _BODILESS for decorator in function.decorator_list):
        return True
    owner = shape.owners.get(id(function))
    if owner is None:
        return False
    bases = {_last_name(base) for base in owner.bases} | {_last_name(each.value) for each in owner.keywords}
    return owner.name in shape.interfaces or bool(bases & _INTERFACES)


def _says_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass):
        return True
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    if not isinstance(node, ast.Expr):
        return False
    return not any(isinstance(each, ast.Call | ast.Await | ast.Yield | ast.YieldFrom) for each in ast.walk(node))


def _last_name(node: ast.expr) -> str:
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _roots(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, min(len(parts), 10) + 1)]
