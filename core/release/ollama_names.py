"""Names in Ollama: how a version is called there, whose a name is, and letting one name mean what another means."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Final

from core.backends.ollama_api import OllamaApi, OllamaError
from core.errors import ExportError
from core.paths import Home
from core.release.files import file_hashes
from storage import deployments, versions
from storage.db import Store

UNCHECKED_TAG: Final = ":unchecked"
"""Behind a version's name: what was made of it and is still looked at."""
KEPT_TAG: Final = ":before"
"""Behind an alias: what it meant before, while it is changed."""
_LONGEST_NAME: Final = 80
_TRIES: Final = 4
_PAUSE_SECONDS: Final = 0.1


def name_in_ollama(version_name: str) -> str:
    """The name under which Ollama knows a version: lower case, and nothing that it does not take in a name."""
    name = re.sub(r"[^a-z0-9_.-]", "-", version_name.lower()).lstrip(".-") or "version"
    if name == version_name and len(name) <= _LONGEST_NAME:
        return name
    mark = hashlib.blake2b(version_name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{name[: _LONGEST_NAME - len(mark) - 1]}-{mark}"


class Ownership:
    """Tells which names on one server came from this store. No other is ever written over or removed.

    A name is ours when its manifest is one that was stored, when it was begun here and never finished, or when the
    file behind it is that of a version: so a store that was put back from a copy finds its own again.
    """

    def __init__(self, store: Store, home: Home, api: OllamaApi) -> None:
        self._store = store
        self._home = home
        self._api = api

    def is_ours(self, name: str) -> bool:
        """Whether a name came from here; also where the server holds none of that name. Raises BackendError."""
        held = self._api.digest_of(name)
        if held is None:
            return True
        rows = deployments.list_deployments(self._store, self._api.url)
        own = name.removesuffix(UNCHECKED_TAG)
        if any(row.digest == held or (row.name == own and not row.digest) for row in rows):
            return True
        try:
            file = self._api.show(name).modelfile_file_sha256
        except OllamaError as error:
            if error.status == 404:  # gone meanwhile
                return True
            raise
        return file in {row.file_sha256 for row in rows} or file in self._files()

    def require(self, name: str) -> None:
        """Raises ExportError where a name is somebody else's, BackendError where that cannot be found out."""
        if not self.is_ours(name):
            raise ExportError(
                f"Ollama at {self._api.url} holds a model called {name} that did not come from here, and it is not "
                "written over.",
                title="The name is taken in Ollama",
                hint=f"Keep it under another name (`ollama cp {name} NAME`, then `ollama rm {name}`), or set another "
                "`prefix` in [general] before the next training.",
            )

    def _files(self) -> set[str]:
        known = versions.list_versions(self._store)
        return {sha256 for version in known for sha256 in file_hashes(self._home, version).values()}


def copy_name(api: OllamaApi, source: str, target: str, digest: str) -> None:
    """Copies a name until the server tells that the copy is there: it may miss a name for a moment while it writes.

    `digest` is that of `source`. Raises BackendError.
    """
    failed: OllamaError | None = None
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        try:
            api.copy(source, target)
            if api.digest_of(target) == digest:
                return
        except OllamaError as error:
            if error.status not in (404, 500, 503):
                raise
            failed = error
    raise failed or OllamaError(
        f"Ollama says that {target} was made a copy of {source}, and shows something else.",
        hint="Ollama's log says more; `finetune-tui doctor` tries again.",
    )
