"""The lists of models: what the upstream holds, and beside it the names that applications call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.errors import BackendError
from core.serve.exchange import Api
from core.serve.relay import leave
from core.serve.route import Routes, plain
from core.serve.upstream import Upstream

_LARGEST = 16 * 1024 * 1024


async def listed(upstream: Upstream, routes: Routes, api: Api, headers: Mapping[str, str]) -> dict[str, Any]:
    """The upstream's list with every alias that it can answer, described like the model that stands behind it.

    Raises BackendError where the upstream gives none.
    """
    path = "/v1/models" if api == "openai" else "/api/tags"
    reply = await upstream.request("GET", path, b"", headers)
    pieces: list[bytes] = []
    try:
        async for piece in reply.body:
            pieces.append(piece)
            if sum(map(len, pieces)) > _LARGEST:
                break
    finally:
        await leave(reply)
    try:
        found = json.loads(b"".join(pieces))
    except (ValueError, RecursionError):
        found = None
    if reply.status != 200 or not isinstance(found, dict):
        raise BackendError(
            f"The model server answered {path} with status {reply.status} and no list.",
            hint="Look at its log; `finetune-tui doctor` checks it.",
        )
    return _with_aliases(found, routes, api)


def _with_aliases(found: dict[str, Any], routes: Routes, api: Api) -> dict[str, Any]:
    key, name = ("data", "id") if api == "openai" else ("models", "name")
    entries = found.get(key)
    models = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    known = {plain(str(one.get(name, ""))): one for one in models}
    for alias, model in sorted(routes.aliases().items()):
        behind = known.get(plain(model))
        if behind is None or alias in known:
            continue
        if api == "openai":
            models.append({**behind, "id": alias})
        else:
            models.append({**behind, "name": f"{alias}:latest", "model": f"{alias}:latest"})
    return {**found, key: models}
