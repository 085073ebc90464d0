"""A chat template in the language that older Ollama versions render chats with, made of a model's own by probing it.

Those versions know Go's text/template alone (pkg.go.dev/text/template), not the Jinja template in a model file. Most
chat templates are simple: what stands between two contents depends on the two roles and on no more. So conversations
with marked contents are rendered, cut at the marks, and the pieces written down in Go's language. The result is then
held against the model's own template on conversations of many shapes, and refused where one differs.

Before it renders, Ollama joins neighbouring messages of one role with an empty line; so does `GoTemplate.render`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Final

from core.backends.backend import Message
from core.errors import BackendError, ExportError

Render = Callable[[Sequence[Message]], str]
"""The prompt that the model's own template makes of a chat, up to where the answer begins; raises BackendError for a
chat that the template refuses."""

ROLES: Final = ("system", "user", "assistant")
START: Final = ""
END: Final = "end"
# What may stand before and after two neighbouring messages, for templates that take some orders only.
_BEFORE: Final = (
    (),
    ("user",),
    ("system",),
    ("user", "assistant"),
    ("system", "user"),
    ("system", "user", "assistant"),
)
_AFTER: Final = ((), ("user",), ("assistant", "user"))
_SPACES: Final = [chr(code) for code in range(0x3001) if chr(code).isspace()]
_HINT: Final = (
    'Update Ollama to 0.30 or newer, which uses the template inside the file, or set backend = "embedded" in [serve].'
)


@dataclass(frozen=True, slots=True)
class GoTemplate:
    """The pieces of a chat template. `between` holds, for (role before, role after), the text between their contents;
    before the first content stands START, after the last END. `stripped` tells for each role whether white space is
    taken from the beginning and from the end of its contents."""

    between: Mapping[tuple[str, str], str]
    stripped: Mapping[str, tuple[bool, bool]]

    def render(self, messages: Sequence[Message]) -> str:
        """What Ollama makes of a chat with `text` as its template. Raises BackendError for a role it does not know."""
        written, before = [], START
        for message in _joined(messages):
            if not (into := self._into(message.role)):
                raise BackendError(f"The chat template knows no role {message.role!r}.")
            written.append(into.get(before, next(iter(into.values()))))
            written.append(_strip(message.content, *self.stripped[message.role]))
            before = message.role
        return "".join(written) + self.between.get((before, END), "")

    def _into(self, role: str) -> dict[str, str]:
        return {before: text for (before, after), text in self.between.items() if after == role}

    @property
    def text(self) -> str:
        """The template in Go's language."""
        kinds = {kind for kind in self.stripped.values() if any(kind)}
        if (True, True) in kinds:  # which goes on with the other end
            kinds.add((False, True))
        parts = [_definition(*kind) for kind in sorted(kinds)]
        parts += ['{{ $before := "" }}{{ range .Messages }}']
        known = [role for role in ROLES if self._into(role)]
        for number, role in enumerate(known):
            parts.append(f"{{{{ {'else ' * (number > 0)}if eq .Role {_quoted(role)} }}}}")
            # An order that the model's own template refuses takes the first piece: to find out what fits its context,
            # Ollama renders parts of a chat that nobody asked for.
            parts.append(_choice(self._into(role)))
            kind = self.stripped[role]
            parts.append(f"{{{{ template {_quoted(_name(*kind))} .Content }}}}" if any(kind) else "{{ .Content }}")
        unknown = _quoted("the template of this model knows no such role")
        parts.append(f"{{{{ else }}}}{{{{ index $.Messages {unknown} }}}}{{{{ end }}}}")  # fails: nothing else would
        parts.append("{{ $before = .Role }}{{ end }}")
        parts.append(_choice({role: self.between.get((role, END), "") for role in known}))
        return "".join(parts)


def derive(render: Render, *, source: str, bos: str = "") -> GoTemplate:
    """The template of a model in Go's language.

    source: the model's own template. bos: the text of the token that the server itself puts before every prompt, empty
    where it puts none. Raises ExportError with the reason where the template cannot be told in Go's language.
    """
    if "strftime_now" in source:
        raise _refused("it writes the date of the day")
    between = _pieces(render)
    for (before, after), text in between.items():
        if before == START and not text.startswith(bos):
            raise _refused(
                f"it does not begin a chat with {bos!r}, which Ollama puts before every prompt of this model"
            )
        if before == START:
            between[before, after] = text.removeprefix(bos)
    stripped = {role: _stripping(render, between, role, bos) for role in ROLES}
    made = GoTemplate(between, stripped)
    _verify(made, render, bos)
    return made


def shapes() -> Iterator[tuple[Message, ...]]:
    """Conversations of the shapes that templates treat differently, each ending where an answer is to follow."""
    ask, rules, reply = (
        Message("user", "Draw a diagram."),
        Message("system", "Be brief."),
        Message("assistant", "A -> B"),
    )
    yield (ask,)
    yield (rules, ask)
    yield (ask, reply, Message("user", "Now with keys."))
    yield (rules, ask, reply, Message("user", "Now with keys."))
    yield (rules, ask, reply, ask, Message("assistant", "B\n\nC"), Message("user", "And D?"))
    yield (Message("system", ""), ask)
    yield (Message("system", "One line.\nAnother.\n"), Message("user", "x"))
    yield (Message("user", ""),)
    yield (
        Message("user", "  spaces around \n"),
        Message("assistant", "\n  and here\t"),
        Message("user", " \u3000x\u00a0"),
    )
    yield (Message("user", "多言語 😀 ñ"),)
    yield (Message("user", "{{ 7 * 7 }} {% raw %} {{- .Content }} \\n <b>&amp;</b> 'quotes' \"both\" `ticks`"),)
    yield (rules, Message("user", "long " * 200), reply, Message("user", "more " * 200))


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Neighbouring messages of one role as one, as Ollama does before it renders."""
    joined: list[Message] = []
    for message in messages:
        same = joined and joined[-1].role == message.role
        joined.append(Message(message.role, f"{joined.pop().content}\n\n{message.content}") if same else message)
    return joined


def _mark(place: int) -> str:
    return f"qz{'abcdefghijkl'[place]}zq"


def _pieces(render: Render) -> dict[tuple[str, str], str]:
    """The text between the contents of every pair of roles that the template accepts next to each other."""
    between: dict[tuple[str, str], str] = {}
    for role in ROLES:
        _look(render, between, (), (role,))
    for pair in permutations(ROLES, 2):
        for before in _BEFORE:
            if _look(render, between, before, pair):
                break
    if not any((START, role) in between for role in ROLES) or ("user", END) not in between:
        raise _refused("it does not write a question down as it is")
    return between


def _look(
    render: Render, between: dict[tuple[str, str], str], before: tuple[str, ...], looked_at: tuple[str, ...]
) -> bool:
    """Renders a chat with these neighbours in it and keeps every new piece; False where the template refuses it."""
    for after in _AFTER:
        roles = (*before, *looked_at, *after)
        if any(one == other for one, other in pairwise(roles)):
            continue
        try:
            rest = render([Message(role, _mark(place)) for place, role in enumerate(roles)])
        except BackendError:
            continue
        found = []
        for place in range(len(roles)):
            piece, mark, rest = rest.partition(_mark(place))
            found.append(piece if mark and _mark(place) not in rest else None)
        if None in found:  # such as a system prompt that nothing follows, and that some templates leave out then
            continue
        for pair, text in zip(pairwise((START, *roles)), found, strict=True):
            between.setdefault(pair, str(text))
        between.setdefault((roles[-1], END), rest)
        return True
    return False


def _stripping(render: Render, between: Mapping[tuple[str, str], str], role: str, bos: str) -> tuple[bool, bool]:
    """Whether white space goes from the beginning and from the end of what this role says."""
    leading = next(((before,) for before in (START, "user", "system") if (before, role) in between), None)
    if leading is None:
        return False, False
    asked = [Message(before, "x") for before in leading if before] + [Message(role, " \n\tx y \n ")]
    asked += [Message("user", "x")] if role != "user" and (role, "user") in between else []
    try:
        expected = render(asked)
    except BackendError:
        return False, False
    for kind in ((False, False), (True, True), (True, False), (False, True)):
        if bos + GoTemplate(between, dict.fromkeys(ROLES, (False, False)) | {role: kind}).render(asked) == expected:
            return kind
    raise _refused(f"what it writes around the words of the {role} depends on more than their place")


def _verify(made: GoTemplate, render: Render, bos: str) -> None:
    for messages in shapes():
        try:
            expected = render(messages)
        except BackendError:
            continue
        if bos + made.render(messages) != expected:
            told = "+".join(message.role for message in messages)
            raise _refused(f"it writes a chat of {told} in a way that depends on more than the order of the roles")


def _strip(text: str, left: bool, right: bool) -> str:
    text = text.lstrip() if left else text
    return text.rstrip() if right else text


def _name(left: bool, right: bool) -> str:
    return "stripped" if left and right else "stripped left" if left else "stripped right"


def _definition(left: bool, right: bool) -> str:
    """A named template that writes a text without its white space, a character a time: Go has no function for it.

    Go's strings are bytes, and white space takes one to three of them in UTF-8. There is no subtraction either:
    `len (slice . 2)` is how many bytes stand before the last two.
    """
    own, then = _quoted(_name(left, right)), "{{ . }}"
    if left and right:
        then = f"{{{{ template {_quoted(_name(False, True))} . }}}}"
    parts = [f"{{{{ define {own} }}}}{{{{ $rest := . }}}}"]
    for size in (1, 2, 3):
        spaces = " ".join(_quoted(space) for space in _SPACES if len(space.encode()) == size)
        end, kept = (f"slice . 0 {size}", f"slice . {size}")
        if not left:
            end, kept = (f"slice . (len (slice . {size}))", f"slice . 0 (len (slice . {size}))")
        parts.append(f"{{{{ if ge (len .) {size} }}}}{{{{ if eq ({end}) {spaces} }}}}{{{{ $rest = {kept} }}}}")
        parts.append("{{ end }}{{ end }}")
    parts.append(f"{{{{ if lt (len $rest) (len .) }}}}{{{{ template {own} $rest }}}}{{{{ else }}}}{then}")
    parts.append("{{ end }}{{ end }}")
    return "".join(parts)


def _choice(texts: Mapping[str, str]) -> str:
    """Writes the text that belongs to the role before; for any other the first."""
    by_text: dict[str, list[str]] = {}
    for before, text in texts.items():
        by_text.setdefault(text, []).append(before)
    first, *others = by_text
    parts: list[str] = []
    for text in others:
        before = " ".join(map(_quoted, by_text[text]))
        parts.append(f"{{{{ {'else ' * bool(parts)}if eq $before {before} }}}}{{{{ {_quoted(text)} }}}}")
    if not parts:
        return f"{{{{ {_quoted(first)} }}}}"
    return "".join([*parts, f"{{{{ else }}}}{{{{ {_quoted(first)} }}}}{{{{ end }}}}"])


def _quoted(text: str) -> str:
    """A string literal: what JSON escapes, Go reads in the same way."""
    return json.dumps(text, ensure_ascii=False)


def _refused(why: str) -> ExportError:
    return ExportError(
        f"Ollama's own template language cannot tell the chat template of this model: {why}.",
        title="The chat template cannot be translated",
        hint=_HINT,
    )
