"""Endpoints of a web API, `GET /users/{id}`, as documents and people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from core.validate.scorecard import clipped, named
from core.validate.validator import Finding

METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
PARAMETER: Final = re.compile(r"\{([^{}/]+)\}|:([A-Za-z_]\w*)|<(?:\w+:)?([^<>/]+)>")
_HOST = re.compile(r"\A(?:https?://[^/\s]*|\{\{?\w+\}?\})(?=/)")
_PREFIX = re.compile(r"\A(?:/api(?=/))?(?:/v\d+(?:\.\d+)?(?=/))?(?=/)")


class Endpoint(NamedTuple):
    """`method` in capitals, and the path with its parameters named as they are written."""

    method: str
    path: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes two spellings one endpoint: parameters without their names, no host, query or last slash."""
        path = _HOST.sub("", self.path).partition("?")[0].partition("#")[0]
        return self.method, PARAMETER.sub("{}", path).rstrip("/") or "/"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters in the path, in order."""
        return tuple(next(filter(None, found)) for found in PARAMETER.findall(self.path.partition("?")[0]))


def asked_share(
    present: Iterable[Endpoint], expected: Mapping[str, object] | None, findings: list[Finding]
) -> float | None:
    """The share of `expected["endpoints"]` that is present, 0-1, None when none is asked for.

    A prefix such as `/api/v1` may stand on either side. An entry without a method asks for its path alone.
    """
    asked = named(expected, "endpoints")
    if not asked:
        return None
    known = {_plain(endpoint) for endpoint in present}
    paths = {path for _, path in known}
    missing = []
    for text in asked:
        method, _, path = text.strip().rpartition(" ")
        wanted = _plain(Endpoint(method.strip().upper(), path))
        if wanted not in known and (method or wanted[1] not in paths):
            missing.append(text)
    findings.extend(
        Finding("missing_endpoint", f"the endpoint `{clipped(text)}` that was asked for is missing") for text in missing
    )
    return 1.0 - len(missing) / len(asked)


def _plain(endpoint: Endpoint) -> tuple[str, str]:
    method, path = endpoint.key
    return method, _PREFIX.sub("", path)
