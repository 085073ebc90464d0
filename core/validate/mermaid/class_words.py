"""The words of Mermaid's class diagrams: names, labels, annotations and lists of styles."""

from __future__ import annotations

import re

from core.validate.mermaid.reading import Cursor

# A comment behind a statement takes the line break with it, and an empty string vanishes.
BLANK = re.compile(r'(?:[^\S\n]|%%[^\n]*\n*|"")*')
CLASS_BLANK = re.compile(r'(?:[^\S\n]|"")*')
TAKEN_IN_CLASS = re.compile(r"(?:note|cssClass|click|link|callback|href|_self|_blank|_parent|_top|o)\b", re.ASCII)
TAKEN = re.compile(
    r"(?:class|namespace|style|classDef|call|classDiagram|note|cssClass|click|link|callback|href"
    r"|_self|_blank|_parent|_top|o)\b",
    re.ASCII,
)
_CALLED = re.compile(r"call\b", re.ASCII)
_PIECE = re.compile(r"[A-Za-z0-9_]+|-(?!-)")
_DOT = re.compile(r"\.[^\S\n]*(?=\w|-(?!-)|`)")
_TICKED = re.compile(r"`([^`]+)(?:`|\Z)")
_GENERIC = re.compile(r"~(?!(?:note|cssClass|click|link|callback|href)\b)[^~]*~", re.ASCII)
STRING = re.compile(r'"[^"]+"')
_BRACKET = re.compile(r"\[")
_BRACKET_END = re.compile(r"\]")
SIMPLE = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_MARK_END = re.compile(r">>")
_STYLE = re.compile(rf"(?:[^\S\n]|(?!(?!style\b){TAKEN.pattern})[A-Za-z0-9_]+|[#%]|:[^:\n;]*)+", re.ASCII)
COMMA = re.compile(r",")


class ClassWords(Cursor):
    """A cursor that reads the words of a class diagram; blanks between words mean nothing to it."""

    def word(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        """Go past blanks and `pattern`. Raises Refused when it does not stand there."""
        self.take(BLANK)
        return self.need(pattern, wanted)

    def optional(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Go past blanks, and past `pattern` if it stands there."""
        self.take(BLANK)
        return self.take(pattern)

    def name(self, taken: re.Pattern[str], wanted: str) -> str:
        """A name that is none of `taken`; blanks between its parts vanish, as Mermaid reads `A B` as `AB`."""
        blank = CLASS_BLANK if taken is TAKEN_IN_CLASS else BLANK
        parts: list[str] = []
        while True:
            self.take(blank)
            if ticked := self.take(_TICKED):
                parts.append(ticked.group(1))
                if not self.sees(_DOT):
                    break
                continue
            if self.sees(taken):
                break
            piece = self.take(_PIECE) or (self.take(_DOT) if parts else None)
            if piece:
                parts.append(piece.group().strip())
            elif not (letters := self._letters()):
                break
            else:
                parts.append(letters)
        if not parts:
            raise self.expected(wanted)
        return "".join(parts)

    def _letters(self) -> str:
        start = self.at
        text = self.text
        while self.at < len(text) and "\x7f" < text[self.at] <= "\uffff" and text[self.at].isalpha():
            self.at += 1
        return text[start : self.at]

    def class_name(self, taken: re.Pattern[str] = TAKEN) -> str:
        """A name, with the type between two `~` that may stand behind it left out."""
        name = self.name(taken, "the name of a class")
        if self.text.startswith("~", self.at):
            self.need(_GENERIC, "the type of the class between two `~`")
        return name

    def bracketed(self) -> str:
        """A quoted label in brackets, or nothing."""
        self.take(CLASS_BLANK)
        if not self.take(_BRACKET):
            return ""
        label = self.word(STRING, "a quoted label in the brackets").group()
        self.word(_BRACKET_END, "`]` after the label")
        return label.strip('"')

    def marked(self) -> str:
        """The word of an annotation whose `<<` has been read."""
        self.take(BLANK)
        if self.sees(TAKEN) and not self.sees(_CALLED):
            raise self.expected("an annotation such as `interface`")
        mark = self.take(SIMPLE)
        name = mark.group() if mark else self._letters()
        if not name:
            raise self.expected("an annotation of one word")
        self.word(_MARK_END, "`>>` after the annotation")
        return name

    def simple(self, wanted: str) -> None:
        """Go past a name of letters, digits and `_`."""
        self.take(BLANK)
        if self.sees(TAKEN):
            raise self.expected(wanted)
        self.need(SIMPLE, f"{wanted} of letters, digits and `_`")

    def styles(self) -> None:
        """Go past a list of styles, `fill:#fff,stroke:#000`."""
        while True:
            self.word(_STYLE, "a style such as `fill:#f9f`")
            if not self.take(COMMA):
                return
