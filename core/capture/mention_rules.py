"""@mentions of people, told apart from what else begins with @: decorators, annotations, CSS, variables, packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from core.capture.found import Found, word_before
from core.capture.top_domains import is_top_domain

_HANDLE: Final = re.compile(r"@([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,38}[A-Za-z0-9_])?)(?![A-Za-z0-9_])")
_BY_ID: Final = re.compile(r"<@([!&]?[0-9]{5,20}|[UW][A-Z0-9]{6,14}(?:\|[^<>\n]{1,60})?)>")
_ASSIGNED: Final = re.compile(r"@([A-Za-z_]\w{0,60})(?:[A-Z \t]{0,12}(?:\|\||&&|[-+*/])?=(?![=>])|[ \t]{0,4}<<)")
_PROFILE: Final = re.compile(r"(?:https?://[\w.-]{1,100}|\b(?:medium|tiktok|youtube|threads|mastodon)\.\w{2,10})/\Z")
_PACKAGE_HOSTS: Final = ("unpkg.com/", "esm.sh/", "esm.run/", "skypack.dev/", "jspm.io/")
_LINE_CHARS: Final = 200
_NUMBER_LIKE: Final = re.compile(r"[\d.-]+[A-Za-z]{0,2}")
_SQL: Final = re.compile(
    r"\b(?:SELECT|INSERT|UPDATE|DELETE|DECLARE|EXEC|EXECUTE|SET|WHERE|VALUES|PROCEDURE|BEGIN|RETURN)\b"
)
_CODE_LINE: Final = re.compile(
    r"(?:[ \t]*(?:#|//|\*)[^\n]*\n)*[ \t#/*]*(?:@|\}|\{|;|<|(?:public|private|protected|internal|static|final|abstract|async|def|class|func|fun|function|fn|"
    r"struct|interface|enum|trait|extension|export|import|var|let|val|const|void|int|long|double|float|bool|boolean|"
    r"string|String|open|data|suspend|override|init|lazy|weak|pub|mod)\b)"
)
_NOTHING: Final = re.compile(r"\s*(?:(?:#|//).*)?")
_MODIFIER: Final = re.compile(
    r"\s+(?:public|private|protected|internal|static|final|abstract|override|export|async|suspend|open|data|sealed|class|"
    r"struct|func|fun|var|val|let|def|enum|interface)\s[^.?!]*?[{(=:;]|\s+class\s+[A-Z]\w*"
)
_PARAMETER: Final = re.compile(
    r"\s+(?:final\s+)?(?:[A-Z]\w*(?:<[^>\n]{0,60}>)?|long|int|short|byte|char|boolean|double|float)(?:\[\])?\s+\w+\s*[,;)=]"
)
# Tags of documentation comments, at-rules of style sheets, annotations, directives and commands.
_NO_PERSON: Final = frozenset(
    """
    abstract access alias api arg argument async augments author authors beta borrows brief callback category cfg class
    code constant constructor copyright date default defgroup deprecated description details doc docs emits enum event
    example exception exports extends external file fileoverview final fires flow function generator global hidden hideconstructor
    ignore implements inheritdoc inner instance interface internal kind lends license link link listens memberof method mixes
    mixin module moduledoc name namespace note override package param params parameter pre post private prop property
    protected public readonly remarks requires return returns see since spec static summary suppress symbol template
    test this throw throws todo tutorial type typedef typeparam var variation version virtual warning yields yield
    media import charset font-face keyframes supports layer apply include use forward extend mixin if else elseif for each
    while function return tailwind screen container page counter-style viewport document starting-style scope
    -webkit-keyframes webkit-keyframes at-root debug warn error content custom-media custom-selector variants responsive
    plugin theme utility variant source config position-try view-transition
    staticmethod classmethod dataclass dataclasses functools pytest app router click contextlib typing abc torch tf jax
    nn numba njit jit hypothesis mock patch unittest django celery task shared_task blueprint bp validator
    field_validator model_validator root_validator strawberry flask attr attrs cached_property cache lru_cache wraps
    contextmanager asynccontextmanager abstractmethod total_ordering singledispatch overload runtime_checkable unique
    generated formatter noinspection
    fixture given settings parametrize login_required require_http_methods csrf_exempt receiver admin register
    transaction retry backoff tool hookimpl
    before after beforeeach aftereach beforeclass afterclass get put patch delete head options query mutation
    subscription resolver args body ctx req res
    autowired bean component configuration controller restcontroller service repository entity table id column
    generatedvalue requestmapping getmapping postmapping putmapping deletemapping requestbody requestparam pathvariable
    valid notnull nullable nonnull notblank size min max pattern transactional value qualifier inject injectable
    singleton named provides module data builder getter setter slf4j allargsconstructor noargsconstructor
    requiredargsconstructor jsonproperty jsonignore functionalinterface safevarargs suppresswarnings springbootapplication
    composable preview stable immutable hilt binds provides jvmstatic jvmfield jvmoverloads jvmname throws target retention
    input output viewchild contentchild hostlistener hostbinding directive pipe ngmodule prop emit watch model
    state binding published observedobject stateobject environmentobject environment escaping autoclosure objc mainactor main
    viewbuilder discardableresult available testable propertywrapper ibaction iboutlet nsmanaged frozen inlinable
    selector protocol end implementation synthesize dynamic optional required autoreleasepool synchronized try catch finally
    throw encode interface
    section endsection yield extends foreach endforeach endif endfor csrf auth guest php isset empty switch case push stack
    vite livewire inject props once verbatim unless
    model page layout using inherits functions html await code rendersection renderbody addtaghelper inject attribute
    typeparam key ref onclick bind
    echo set mkdir rm cp mv cd touch printf true false exit sh bash make go npm python python3 docker pip node
    include client skip connection relation cacheControl shareable requires provides external tag inaccessible
    article book inproceedings incollection misc phdthesis mastersthesis techreport online string comment preamble
    startuml enduml startmindmap endmindmap startjson endjson startyaml endyaml startgantt endgantt startsalt endsalt
    time assert inbounds simd views threads btime benchmark info show macroexpand elapsed
    behaviour behavior impl callback typep opaque derive enforce_keys
    here everyone channel all online latest next canary stable alpha nightly lts
    context graph timestamp language vocab list reverse index
    ts-ignore ts-expect-error ts-nocheck jsx jsxruntime vitest-environment jest-environment
    makeatletter makeatother
    """.lower().split()
)  # fmt: skip


def mentions(text: str) -> Iterator[Found]:
    """Handles (`@jane_doe`, `@jane.doe`), and ids as chat programs write them (`<@123456789>`)."""
    return iter(sorted([*_ids(text), *_handles(text)]))


def _ids(text: str) -> Iterator[Found]:
    if "<@" in text:
        for match in _BY_ID.finditer(text):
            yield Found(match.start(), match.end(), "MENTION", match.group(1).lstrip("!").partition("|")[0])


def _handles(text: str) -> Iterator[Found]:
    assigned: set[str] | None = None
    for match in _HANDLE.finditer(text):
        name = match.group(1)
        if not _may_be_a_person(name) or not _free(text, match.start(), match.end(), name):
            continue
        if assigned is None:
            assigned = {each.group(1) for each in _ASSIGNED.finditer(text)}
        if name not in assigned and not _in_code(text, match.start(), match.end()):
            yield Found(match.start(), match.end(), "MENTION", name.casefold())


def _may_be_a_person(name: str) -> bool:
    lower = name.lower()
    if len(name) < 2 or lower in _NO_PERSON or _NUMBER_LIKE.fullmatch(name):
        return False
    first, dot, rest = lower.partition(".")
    if not dot:
        return True
    # `@Model.Name` is code, `@pytest.mark` a decorator, `@acme.com` a whole company.
    return (
        first not in _NO_PERSON
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


def _in_code(text: str, start: int, end: int) -> bool:
    """Whether the line that the handle stands in is a program's."""
    lead = text[max(0, start - _LINE_CHARS) : start].rpartition("\n")[2]
    rest, line_break, following = text[end : end + _LINE_CHARS].partition("\n")
    quoted = lead.endswith(('"', "'"))
    if not lead.strip(" \t#/*"):
        if _NOTHING.fullmatch(rest) and line_break and _CODE_LINE.match(following):
            return True
        if "\t" in lead or _MODIFIER.match(rest):
            return True
    if _PARAMETER.match(rest) or re.match(r"\s*[+*/]\s*\w", rest):
        return True
    if quoted:
        return False
    return (
        rest.rstrip().endswith(";")
        or _SQL.search(lead) is not None
        or re.search(r"\$\w+ $|\$\w+ \($", lead) is not None
    )
