"""Taking a version out of Ollama again, and what was never finished there."""

from __future__ import annotations

from contextlib import suppress

from core.backends.ollama_answers import with_tag
from core.backends.ollama_api import OllamaApi
from core.errors import BackendError, ConflictError
from core.paths import Home
from core.release.ollama_names import UNCHECKED_TAG, Ownership, name_in_ollama
from core.release.ollama_turns import turn
from storage import deployments
from storage.db import Store
from storage.rows import VersionRow


def unpublish(store: Store, home: Home, version: VersionRow, api: OllamaApi) -> bool:
    """Takes a version out of Ollama and forgets that it was there; whether Ollama held it.

    What somebody else has put under its name since stays. Raises BackendError.
    """
    row = deployments.get(store, version.id, api.url)
    name = row.name if row is not None else name_in_ollama(version.name)
    owner, gone = Ownership(store, home, api), False
    for each in (name + UNCHECKED_TAG, name):
        if api.digest_of(each) is not None and owner.is_ours(each):
            with suppress(BackendError):
                api.unload(each)  # some systems cannot remove a file that is in memory
            gone = api.delete(each)
    deployments.remove(store, version.id, api.url)
    return gone


def tidy(store: Store, home: Home, api: OllamaApi) -> None:
    """Removes what a giving that was killed has left on a server; nothing while a process is giving something.

    Raises BackendError.
    """
    owner = Ownership(store, home, api)
    with suppress(ConflictError), turn(home, "giving", patient=False):
        held = {with_tag(model.name) for model in api.models()}
        for row in deployments.list_deployments(store, api.url):
            making = row.name + UNCHECKED_TAG
            if making in held and owner.is_ours(making):
                api.delete(making)
            if not row.digest and with_tag(row.name) not in held:
                deployments.remove(store, row.version_id, api.url)
