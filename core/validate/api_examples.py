"""The examples in the documentation of an endpoint: which show a request, which a response, and do they parse."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from core.validate.api_markdown import ENDPOINT, Block, Section
from core.validate.json_text import read_json

_CALL = re.compile(
    r"\bcurl\b|\bfetch\(|\brequests\.\w+\(|\bhttpx?\.\w+\(|\baxios\b|\bInvoke-RestMethod\b|\bhttp (?:GET|POST|PUT)"
)
_JSON = frozenset({"json", "jsonc", "json5", "", "javascript", "js"})
_REQUEST = re.compile(r"\b(?:requests?|body|payload|input)\b", re.I)
_RESPONSE = re.compile(r"\b(?:responses?|returns?|output|result|success|errors?|[1-5]\d\d)\b", re.I)


@dataclass(slots=True)
class Examples:
    """What a section shows; `json` counts its JSON examples and `faults` holds (line, message) of each broken one."""

    request: bool = False
    request_body: bool = False
    response: bool = False
    json: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)


def examples_of(section: Section) -> Examples:
    """Look through the fences of a section; the words before a fence tell what it shows."""
    found = Examples()
    label = ""
    for block in section.blocks:
        if block.kind == "fence":
            _sort(block, label, found)
        elif _REQUEST.search(block.text[:200]) or _RESPONSE.search(block.text[:200]):
            label = block.text[:200]
    return found


def _sort(block: Block, label: str, found: Examples) -> None:
    text = block.text.lstrip()
    if text.startswith("HTTP/"):
        found.response = True
        _check(block, _behind_headers(block.text), found)
    elif ENDPOINT.match(text):
        found.request = True
        body = _behind_headers(block.text)
        found.request_body = found.request_body or body < len(block.text)
        _check(block, body, found)
    elif _CALL.search(text[:4000]):
        found.request = True
        found.request_body = found.request_body or bool(re.search(r"(?:\s-d\b|--data|--json|body:|json=)", text[:4000]))
    elif text[:1] in ("{", "[") and block.language in _JSON:
        _check(block, len(block.text) - len(text), found)
        if _REQUEST.search(label) and not _RESPONSE.search(label):
            found.request = found.request_body = True
        else:
            found.response = True


def _behind_headers(text: str) -> int:
    """The offset of the body of an HTTP message, its length when it has none."""
    blank = re.search(r"\n[ \t]*\n[ \t]*(?=[{\[])", text)
    return blank.end() if blank else len(text)


def _check(block: Block, start: int, found: Examples) -> None:
    text = block.text[start:]
    if not text.strip():
        return
    found.json += 1
    read = read_json(text)
    if read.fault is not None:
        line = block.line + 1 + block.text.count("\n", 0, start + read.fault.offset)
        found.faults.append((line, read.fault.message))
    elif read.constants:
        found.faults.append((block.line + 1, f"{read.constants[0]} is no JSON"))
