"""As much of Go's text/template as the chat templates of Ollama's models use, and how Ollama fills them in.

Own reading of pkg.go.dev/text/template: trimmed actions, pipelines, variables, if/else if/range/with/break/continue,
define and template, and the functions and, or, not, eq, ne, lt, le, gt, ge, len, index, slice, print, printf %s/%d,
json.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fake_ollama.go_running import CONSTANTS, FUNCTIONS, Run, TemplateError

__all__ = ["GoTemplate", "TemplateError", "render"]

ACTION = re.compile(r'\{\{(-(?=\s))?\s*((?:/\*.*?\*/)|(?:"(?:[^"\\\n]|\\.)*"|`[^`]*`|[^"`])*?)\s*((?<=\s)-)?\}\}', re.S)
TOKEN = re.compile(
    r'\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)'
    r"|(?P<chain>(?<=\))(?:\.\w+)+)"
    r"|(?P<field>\$?\w*(?:\.\w+)+|\$\w*|\.)"
    r"|(?P<word>\w+)|(?P<mark>:=|[=|(),]))"
)


def render(template: str, messages: Sequence[Mapping[str, str]]) -> str:
    """The prompt of a chat: the way of a template that goes over .Messages, else round by round."""
    parsed = GoTemplate(template)
    system: list[str] = []
    joined: list[dict[str, str]] = []
    for message in messages:
        if message["role"] == "system":
            system.append(message["content"])
        if joined and joined[-1]["Role"] == message["role"]:
            joined[-1]["Content"] += "\n\n" + message["content"]
        else:
            joined.append({"Role": message["role"], "Content": message["content"], "Thinking": "", "ToolCalls": ""})
    if "messages" in parsed.names:
        return parsed.run({"System": "\n\n".join(system), "Messages": joined, "Tools": None, "Response": ""})
    rounds = ""
    held = {"System": "", "Prompt": "", "Response": ""}

    def flush() -> str:
        done = parsed.run(dict(held))
        held.update(System="", Prompt="", Response="")
        return done

    for message in joined:
        role = message["Role"]
        if (role == "system" and (held["Prompt"] or held["Response"])) or (role == "user" and held["Response"]):
            rounds += flush()
        place = {"system": "System", "user": "Prompt", "assistant": "Response"}.get(role)
        if place:
            held[place] = message["Content"]
    return rounds + parsed.run(held, cut=True)


class GoTemplate:
    """A parsed template. `names`: the fields it uses, in lower case."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._defined: dict[str, list[Any]] = {}
        self._actions = list(self._split(text))
        self._nodes = self._block(0)
        if not self.names & {"messages", "response"}:
            self._nodes.append(("print", [[("field", ".Response")]]))

    def run(self, data: Mapping[str, Any], *, cut: bool = False) -> str:
        """The text for these fields; cut: up to the place of the answer."""
        return Run(data, cut, self._defined).text(self._nodes)

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        end, trim = 0, False
        for found in ACTION.finditer(text):
            before = text[end : found.start()]
            before = before.lstrip() if trim else before
            yield "text", before.rstrip() if found[1] else before
            if not found[2].startswith("/*"):
                yield "action", found[2].strip()
            end, trim = found.end(), bool(found[3])
        rest = text[end:]
        if "{{" in rest:
            raise TemplateError("unclosed action")
        yield "text", rest.lstrip() if trim else rest

    def _block(self, depth: int) -> list[Any]:
        """Nodes up to the end of the block; its last action (`end`, `else …`) stays at the head."""
        nodes: list[Any] = []
        while self._actions:
            kind, content = self._actions[0]
            word, _, rest = content.partition(" ")
            if kind == "action" and word in ("end", "else"):
                if not depth:
                    raise TemplateError(f"unexpected {{{{{word}}}}}")
                return nodes
            self._actions.pop(0)
            if kind == "text":
                nodes.append(("text", content))
            elif word in ("if", "range", "with"):
                nodes.append(self._branch(word, rest, depth + 1))
            elif word == "define":
                self._defined[ast.literal_eval(rest)] = self._block(depth + 1)
                self._actions.pop(0)
            elif word == "template":
                (_, name), *given = self._tokens(rest)
                nodes.append(("template", ast.literal_eval(name), self._pipeline(given)))
            elif content in ("break", "continue"):
                nodes.append((content,))
            else:
                nodes.append(self._statement(content))
        if depth:
            raise TemplateError("unexpected EOF")
        return nodes

    def _branch(self, word: str, head: str, depth: int) -> Any:
        condition = self._statement(head)
        body = self._block(depth)
        otherwise: list[Any] = []
        content = self._actions.pop(0)[1]
        if content.startswith("else"):
            after = content.removeprefix("else").strip()
            inner, _, rest = after.partition(" ")
            if inner in ("if", "with"):
                return (word, condition, body, [self._branch(inner, rest, depth)])
            otherwise = self._block(depth)
            content = self._actions.pop(0)[1]
        if content != "end":
            raise TemplateError(f"unexpected {content!r}")
        return (word, condition, body, otherwise)

    def _statement(self, content: str) -> Any:
        """("print", pipeline), or ("assign", variables, whether new, pipeline)."""
        tokens = self._tokens(content)
        for mark in (":=", "="):
            if ("mark", mark) in tokens:
                place = tokens.index(("mark", mark))
                variables = [text for kind, text in tokens[:place] if kind == "field"]
                return ("assign", variables, mark == ":=", self._pipeline(tokens[place + 1 :]))
        return ("print", self._pipeline(tokens))

    def _tokens(self, content: str) -> list[tuple[str, str]]:
        tokens, place = [], 0
        while place < len(content):
            found = TOKEN.match(content, place)
            if found is None or found.lastgroup is None:
                raise TemplateError(f"unexpected {content[place:]!r} in command")
            tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()
            if found.lastgroup in ("field", "chain"):
                self.names.update(part.lower() for part in tokens[-1][1].split(".")[1:] if part)
        return tokens

    def _pipeline(self, tokens: list[tuple[str, str]]) -> list[list[Any]]:
        """Commands, each a list of operands; what stands in brackets is an operand ("pipe", pipeline)."""
        commands: list[list[Any]] = [[]]
        place = 0
        while place < len(tokens):
            kind, text = tokens[place]
            if (kind, text) == ("mark", "("):
                depth, end = 1, place
                while depth:
                    end += 1
                    if end >= len(tokens):
                        raise TemplateError("unclosed left paren")
                    depth += {("mark", "("): 1, ("mark", ")"): -1}.get(tokens[end], 0)
                commands[-1].append(("pipe", self._pipeline(tokens[place + 1 : end])))
                place = end
            elif kind == "chain":
                commands[-1].append((kind, (commands[-1].pop(), text)))
            elif (kind, text) == ("mark", "|"):
                commands.append([])
            else:
                if kind == "word" and text not in FUNCTIONS and text not in CONSTANTS:
                    raise TemplateError(f'function "{text}" not defined')
                commands[-1].append((kind, text))
            place += 1
        if not all(commands):
            raise TemplateError("missing value for command")
        return commands
