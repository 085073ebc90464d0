"""@mentions of people, told apart from what else begins with @: decorators, annotations, CSS, variables, packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from core.capture.private.code_names import CODE_NAMES
from core.capture.private.found import Found, word_before
from core.capture.private.top_domains import is_top_domain

_HANDLE: Final = re.compile(r"@([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,38}[A-Za-z0-9_])?)(?![A-Za-z0-9_])")
_BY_ID: Final = re.compile(r"<@([!&]?[0-9]{5,20}|[UW][A-Z0-9]{6,14}(?:\|[^<>\n]{1,60})?)>")
_ASSIGNED: Final = re.compile(r"@([A-Za-z_]\w{0,60})(?:[A-Z \t]{0,12}(?:\|\||&&|[-+*/])?=(?![=>])|[ \t]{0,4}<<)")
_PROFILE: Final = re.compile(r"(?:https?://[\w.-]{1,100}|\b(?:medium|tiktok|youtube|threads|mastodon)\.\w{2,10})/\Z")
_PACKAGE_HOSTS: Final = ("unpkg.com/", "esm.sh/", "esm.run/", "skypack.dev/", "jspm.io/")
_LINE_CHARS: Final = 200
_NUMBER_LIKE: Final = re.compile(r"[\d.-]+[A-Za-z]{0,2}")
_OPERATOR: Final = re.compile(r"\s*[+*/]\s*\w")
_PERL_BEFORE: Final = re.compile(r"\$\w{1,30} \(?\Z")
_SQL: Final = re.compile(
    r"\b(?:SELECT|INSERT|UPDATE|DELETE|DECLARE|EXEC|EXECUTE|SET|WHERE|VALUES|PROCEDURE|BEGIN|RETURN)\b"
)
_CODE_LINE: Final = re.compile(
    r"(?:[ \t]*(?:#|//|\*|@)[^\n]*\n){0,6}[ \t#/*]*(?:[{};<]|"
    r"(?:public|private|protected|internal|static|final|abstract|async|def|class|func|fun|function|fn|struct|interface|"
    r"enum|trait|extension|export|import|var|let|val|const|void|int|long|double|float|bool|boolean|string|String|open|"
    r"data|suspend|override|init|lazy|weak|pub|mod)\b)"
)
_NOTHING: Final = re.compile(r"\s*(?:(?:#|//).*)?")
_MODIFIER: Final = re.compile(
    r"\s+(?:public|private|protected|internal|static|final|abstract|override|export|async|suspend|open|data|sealed|class|"
    r"struct|func|fun|var|val|let|def|enum|interface)\s[^.?!]*?[{(=:;]|\s+class\s+[A-Z]\w*"
)
_PARAMETER: Final = re.compile(
    r"\s+(?:final\s+)?(?:[A-Z]\w*(?:<[^>\n]{0,60}>)?|long|int|short|byte|char|boolean|double|float)(?:\[\])?\s+\w+\s*[,;)=]"
)


def mentions(text: str) -> Iterator[Found]:
    """Handles (`@jane_doe`, `@jane.doe`), and ids as chat programs write them (`<@123456789>`)."""
    return iter(sorted([*_ids(text), *_handles(text)]))


def _ids(text: str) -> Iterator[Found]:
    if "<@" in text:
        for match in _BY_ID.finditer(text):
            yield Found(match.start(), match.end(), "MENTION", match.group(1).lstrip("!").partition("|")[0])


def _handles(text: str) -> Iterator[Found]:
    assigned: set[str] | None = None
    queries = _SQL.search(text) is not None
    for match in _HANDLE.finditer(text):
        name = match.group(1)
        if not _may_be_a_person(name) or not _free(text, match.start(), match.end(), name):
            continue
        if assigned is None:
            assigned = {each.group(1) for each in _ASSIGNED.finditer(text)}
        if name not in assigned and not _in_code(text, match.start(), match.end(), queries):
            yield Found(match.start(), match.end(), "MENTION", name.casefold())


def _may_be_a_person(name: str) -> bool:
    lower = name.lower()
    if len(name) < 2 or lower in CODE_NAMES or _NUMBER_LIKE.fullmatch(name):
        return False
    first, dot, rest = lower.partition(".")
    if not dot:
        return True
    # `@Model.Name` is code, `@pytest.mark` a decorator, `@acme.com` a whole company.
    return (
        first not in CODE_NAMES
        and not name.partition(".")[2][0].isupper()
        and not ("." not in rest and is_top_domain(rest))
    )


def _free(text: str, start: int, end: int, name: str) -> bool:
    """Whether what touches the handle leaves it one."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before == "/":
        address = text[max(0, start - 120) : start]
        return _PROFILE.search(address) is not None and not address.endswith(_PACKAGE_HOSTS)
    if before and (before in "@`\\.$[{=&%#~" or word_before(text, start)):
        return False
    if before.isalpha() and ord(before) < 0x3000:
        return False
    if after and after in "(/{[@=\\`$":
        return False
    if after == ":" and (text[end + 1 : end + 2].isalnum() or text[end + 1 : end + 2] == ":"):
        return False
    # A key of a JSON object.
    return not (before and before in "\"'" and re.match(r"[\"']\s{0,4}:", text[end : end + 6]))


def _in_code(text: str, start: int, end: int, queries: bool) -> bool:
    """Whether the line that the handle stands in is a program's; `queries`: there is SQL somewhere in the text."""
    lead = text[max(0, start - _LINE_CHARS) : start].rpartition("\n")[2]
    rest, line_break, following = text[end : end + _LINE_CHARS].partition("\n")
    quoted = lead.endswith(('"', "'"))
    if not lead.strip(" \t#/*"):
        if _NOTHING.fullmatch(rest) and line_break and _CODE_LINE.match(following):
            return True
        if "\t" in lead or _MODIFIER.match(rest):
            return True
    if _PARAMETER.match(rest) or _OPERATOR.match(rest):
        return True
    if quoted:
        return False
    if rest.rstrip().endswith(";") or (queries and _SQL.search(lead)):
        return True
    return "$" in lead and _PERL_BEFORE.search(lead) is not None
