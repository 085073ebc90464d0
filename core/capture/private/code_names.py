"""Names that stand after an @ without being anybody's.

Tags of documentation comments, at-rules of style sheets, decorators, annotations and directives of common languages
and frameworks, shell commands in make files, kinds of BibTeX entries, release tags, and calls to everybody in a chat.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = (
    "-webkit-keyframes abc abstract abstractmethod access addtaghelper admin after afterclass aftereach alias all "
    "allargsconstructor alpha api app apply arg args argument article assert async asynccontextmanager at-root attr "
    "attribute attrs augments auth author authors autoclosure autoreleasepool autowired available await backoff "
    "bash bean before beforeclass beforeeach behavior behaviour benchmark beta bind binding binds blueprint body "
    "book borrows bp brief btime builder cache cachecontrol cached_property callback canary case catch category cd "
    "celery cfg channel charset class classmethod click client code column comment component composable config "
    "configuration connection constant constructor container content contentchild context contextlib contextmanager "
    "controller copyright counter-style cp csrf csrf_exempt ctx custom-media custom-selector data dataclass "
    "dataclasses date debug default defgroup delete deletemapping deprecated derive description details directive "
    "discardableresult django doc docker docs document dynamic each echo elapsed else elseif emit emits empty "
    "encode end endfor endforeach endgantt endif endjson endmindmap endsalt endsection enduml endyaml enforce_keys "
    "entity enum environment environmentobject error escaping event everyone example exception exit exports extend "
    "extends external false field_validator file fileoverview final finally fires fixture flask flow font-face for "
    "foreach formatter forward frozen function functionalinterface functions functools generated generatedvalue "
    "generator get getmapping getter given global go graph guest head here hidden hideconstructor hilt hookimpl "
    "hostbinding hostlistener html hypothesis ibaction iboutlet id if ignore immutable impl implementation "
    "implements import inaccessible inbounds include incollection index info inheritdoc inherits inject injectable "
    "inlinable inner inproceedings input instance interface internal isset jax jest-environment jit jsonignore "
    "jsonproperty jsx jsxruntime jvmfield jvmname jvmoverloads jvmstatic key keyframes kind language latest layer "
    "layout lends license link list listens livewire login_required lru_cache lts macroexpand main mainactor make "
    "makeatletter makeatother mastersthesis max media memberof method min misc mixes mixin mkdir mock model "
    "model_validator module moduledoc mutation mv name named namespace next ngmodule nightly njit nn "
    "noargsconstructor node noinspection nonnull notblank note notnull npm nsmanaged nullable numba objc "
    "observedobject once onclick online opaque optional options output overload override package page param "
    "parameter parametrize params patch pathvariable pattern phdthesis php pip pipe plugin position-try post "
    "postmapping pre preamble preview printf private prop property propertywrapper props protected protocol "
    "provides public published push put putmapping pytest python python3 qualifier query readonly receiver ref "
    "register relation remarks renderbody rendersection repository req requestbody requestmapping requestparam "
    "require_http_methods required requiredargsconstructor requires res resolver responsive restcontroller "
    "retention retry return returns reverse rm root_validator router runtime_checkable safevarargs scope screen "
    "section see selector service set setter settings sh shareable shared_task show simd since singledispatch "
    "singleton size skip slf4j source spec springbootapplication stable stack startgantt starting-style startjson "
    "startmindmap startsalt startuml startyaml state stateobject static staticmethod strawberry string subscription "
    "summary supports suppress suppresswarnings switch symbol synchronized synthesize table tag tailwind target "
    "task techreport template test testable tf theme this threads throw throws time timestamp todo tool torch "
    "total_ordering touch transaction transactional true try ts-expect-error ts-ignore ts-nocheck tutorial type "
    "typedef typep typeparam typing unique unittest unless use using utility valid validator value var variant "
    "variants variation verbatim version view-transition viewbuilder viewchild viewport views virtual vite vitest- "
    "environment vocab warn warning watch webkit-keyframes while wraps yield yields "
)
CODE_NAMES: Final = frozenset(_NAMES.split())
