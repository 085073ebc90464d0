"""Scores Python code: does it parse and compile, is every name defined, is it finished, is it what was asked for.

Nothing of it is ever run. It is read by the Python that runs this program, so the syntax of a newer one is refused.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyflakes import messages
from pyflakes.checker import Checker

from core.validate.extract import Extract, best_fence, fences, from_line, without_thoughts
from core.validate.options import flag, number, only, texts
from core.validate.python_shape import Shape, is_no_code, placeholders, shape_of
from core.validate.scorecard import at, clipped, named, refused, weighed, weights_from
from core.validate.validator import Finding, Severity, Validation, Validator

DEFAULT_WEIGHTS: Final[Mapping[str, float]] = {
    "syntax": 15.0,
    "names": 40.0,
    "complete": 30.0,
    "asked": 15.0,
    "faults": 5.0,
    "duplicates": 4.0,
    "unused": 3.0,
    "docstrings": 3.0,
}
# One undefined name stops a program as surely as five do; the share still tells one slip from many.
_PER_UNDEFINED = 0.25
_PER_FAULT = 0.5

_LANGUAGES = frozenset({"python", "py", "python3", "py3"})
_CODE_LINE = re.compile(
    r"^(?:import \w|from \.*\w[\w.]* import\b|from \.+ import\b|(?:async )?def \w+\(|class \w+[(:]|@\w|#!|\"\"\"|'''"
    r"|if __name__|[A-Za-z_][\w.]*(?:: ?\w[^\n=]*)? = )",
    re.M,
)
_KINDS: Final[Mapping[type[messages.Message], tuple[str, str, Severity]]] = {
    messages.UndefinedName: ("names", "undefined_name", "error"),
    messages.UndefinedLocal: ("names", "undefined_name", "error"),
    messages.UndefinedExport: ("names", "undefined_name", "error"),
    messages.RedefinedWhileUnused: ("duplicates", "redefined", "warning"),
    messages.MultiValueRepeatedKeyLiteral: ("duplicates", "repeated_key", "warning"),
    messages.MultiValueRepeatedKeyVariable: ("duplicates", "repeated_key", "warning"),
    messages.UnusedImport: ("unused", "unused_import", "warning"),
    messages.UnusedVariable: ("unused", "unused_variable", "warning"),
    messages.UnusedAnnotation: ("unused", "unused_variable", "warning"),
    messages.UnusedIndirectAssignment: ("unused", "unused_variable", "warning"),
    messages.ImportStarUsage: ("unused", "import_star", "warning"),
    messages.ImportStarUsed: ("unused", "import_star", "warning"),
}
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class PythonValidator:
    """Validates the Python code in a response, in the longest of its Python code fences or bare.

    Code that does not parse or compile, holds no statement, or is longer than `max_chars` is not valid.
    `expected` may hold `functions` (a name or `Class.method`), `classes` and `imports` (modules), lists of names that
    must be there. `known_names` are names that count as defined, `allow_unused` passes over what is never used.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    known_names: tuple[str, ...] = ()
    allow_unused: bool = False
    max_chars: int = 100_000
    name: str = "python"

    def validate(self, response: str, *, prompt: str = "", expected: Mapping[str, object] | None = None) -> Validation:
        """Score `response` from 0 to 100; `prompt` is not looked at."""
        if len(response) > self.max_chars:
            return refused([Finding("too_long", f"{len(response)} characters, more than {self.max_chars}")])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code, module = _parsed(without_thoughts(response))
            if isinstance(module, ast.Module):
                if not module.body:
                    return refused([Finding("empty", "there is no code in the answer")])
                if is_no_code(module):
                    return refused([Finding("no_code", "the answer holds no statement that does anything")])
                try:
                    return self._weighed(code, module, expected)
                except (RecursionError, MemoryError):
                    return refused([at(code.line, "nesting", "the code is nested too deeply")])
        return refused([module[0]], module[1])

    def _weighed(self, code: Extract, module: ast.Module, expected: Mapping[str, object] | None) -> Validation:
        findings: list[Finding] = []
        lost = {"names": 0, "faults": 0, "duplicates": 0, "unused": 0}
        seen: set[tuple[str, int]] = set()
        undefined: set[str] = set()
        for message in Checker(module, "answer", builtins=self.known_names).messages:
            part, kind, severity = _kind(message)
            if part == "unused" and self.allow_unused:
                continue
            said = message.message % message.message_args
            # A name that is used five times and defined nowhere is one mistake, told once.
            if part == "names":
                if said in undefined:
                    continue
                undefined.add(said)
            lost[part] += 1
            seen.add((kind, message.lineno))
            findings.append(at(code.at(message.lineno), kind, said, severity))
        shape = shape_of(module)
        for name, line in shape.duplicates:
            if ("redefined", line) not in seen:
                lost["duplicates"] += 1
                findings.append(at(code.at(line), "redefined", f"`{clipped(name)}` is defined twice", "warning"))
        stubs = placeholders(code.text, shape)
        findings.extend(at(code.at(line), "placeholder", what) for line, what, _ in stubs)
        shares: dict[str, float | None] = {
            "syntax": 1.0,
            "names": _PER_UNDEFINED ** lost["names"] if lost["names"] < 3 else 0.0,
            "complete": 1.0 - sum(weight for *_, weight in stubs) / max(1, len(shape.functions)),
            "asked": _asked(shape, expected, findings),
            "faults": _PER_FAULT ** min(lost["faults"], 20),
            "duplicates": 1.0 - lost["duplicates"] / max(1, len(shape.functions) + len(shape.classes)),
            "unused": None if self.allow_unused else 1.0 - lost["unused"] / max(2, len(shape.imports)),
            "docstrings": _docstrings(shape, code, findings),
        }
        return weighed(self.weights, shares, findings)


def make(options: Mapping[str, Any]) -> Validator:
    """Options: `weights` (points by part, see `DEFAULT_WEIGHTS`), `known_names`, `allow_unused` and `max_chars`."""
    only(options, "weights", "known_names", "allow_unused", "max_chars")
    return PythonValidator(
        weights=weights_from(options, DEFAULT_WEIGHTS),
        known_names=texts(options, "known_names", ()),
        allow_unused=flag(options, "allow_unused", False),
        max_chars=int(number(options, "max_chars", 100_000, 1, 1_000_000)),
    )


def _parsed(response: str) -> tuple[Extract, ast.Module | tuple[Finding, float]]:
    fence = best_fence(fences(response), _LANGUAGES)
    code = fence or Extract(response)
    module = _read(code)
    if fence or isinstance(module, ast.Module):
        return code, module
    # Bare code behind a sentence or two.
    later = from_line(response, _CODE_LINE)
    if later is None or later.line == 1:
        return code, module
    return later, _read(later)


def _read(code: Extract) -> ast.Module | tuple[Finding, float]:
    try:
        module = ast.parse(code.text)
        compile(module, "<answer>", "exec", dont_inherit=True)
    except SyntaxError as error:
        lines = code.text.rstrip().count("\n") + 1
        line = min(max(error.lineno or 1, 1), lines)
        return at(code.at(line), "syntax", clipped(error.msg, 200)), (line - 1) / lines
    except (RecursionError, MemoryError):
        return at(code.line, "nesting", "the code is nested too deeply"), 0.0
    except ValueError as error:
        return at(code.line, "syntax", f"not text that Python reads: {clipped(error, 100)}"), 0.0
    return module


def _kind(message: messages.Message) -> tuple[str, str, Severity]:
    known = _KINDS.get(type(message))
    return known or ("faults", _HUMP.sub("_", type(message).__name__).lower(), "warning")


def _asked(shape: Shape, expected: Mapping[str, object] | None, findings: list[Finding]) -> float | None:
    functions = {name for name, _ in shape.functions} | {name.rpartition(".")[2] for name, _ in shape.functions}
    present = {"functions": functions, "classes": {name for name, _ in shape.classes}, "imports": shape.imports}
    total = missing = 0
    for key, kind in (("functions", "function"), ("classes", "class"), ("imports", "import")):
        for name in named(expected, key):
            total += 1
            if name.partition("(")[0].strip() not in present[key]:
                missing += 1
                message = f"the {kind} `{clipped(name)}` that was asked for is missing"
                findings.append(Finding(f"missing_{kind}", message))
    return 1.0 - missing / total if total else None


def _docstrings(shape: Shape, code: Extract, findings: list[Finding]) -> float | None:
    public: Sequence[tuple[str, ast.AST]] = [
        (name, node)
        for name, node in (*shape.functions, *shape.classes)
        if "." not in name and not name.startswith(("_", "test_"))
    ]
    if not public:
        return None
    bare = [(name, node) for name, node in public if isinstance(node, _DOCUMENTED) and not ast.get_docstring(node)]
    findings.extend(
        at(code.at(node.lineno), "no_docstring", f"`{clipped(name)}` has no docstring", "info") for name, node in bare
    )
    return 1.0 - len(bare) / len(public)


_DOCUMENTED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
