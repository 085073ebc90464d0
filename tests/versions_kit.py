"""Versions with small files in place of models, for tests of what is done with versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.config import Config
from core.paths import Home, sha256_of
from core.release.export import Export
from core.release.quantize import GgufFile
from core.release.registry import Origin, register, staging, version_name
from storage import versions
from storage.db import Store
from storage.rows import VersionRow

CHECK: Mapping[str, Any] = {
    "name": "q8_0: stops",
    "kind": "q8_0",
    "passed": True,
    "figure": 1.0,
    "bound": 1.0,
    "detail": "all",
}


def add_version(
    store: Store,
    home: Home,
    number: int | None = None,
    *,
    category: str = "erd",
    base: str = "demo",
    passed: bool = True,
    run_id: int | None = None,
    dataset_id: int | None = None,
    content: bytes = b"GGUF",
) -> VersionRow:
    """Registers a version whose two files hold `content`; without `number` the next one."""
    config = Config()
    if number is None:
        number = versions.next_number(store, category, base)
    name = version_name("ft", base, category, number)
    with staging(home, base, category) as staged:
        files = []
        for kind, repeat in (("f16", 8), ("q8_0", 4)):
            path = staged / f"{name}.{kind}.gguf"
            path.write_bytes(content * repeat + str(number).encode())
            files.append(GgufFile(path, sha256_of(path), path.stat().st_size, kind))
        export = Export(tuple(files), ({**CHECK, "passed": passed},))
        origin = Origin(category, base, 'Answer with a """diagram""".', run_id=run_id, dataset_id=dataset_id)
        return register(store, home, config, origin, staged=staged, export=export, number=number)
