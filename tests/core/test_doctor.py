"""Doctor finds what is wrong, and says what to do."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from versions_kit import add_version

from core.config import Config
from core.doctor import Check, examine
from core.paths import Home
from core.release.promote import promote
from core.search.places import FILE
from core.search.study import Spec, create, open_storage
from core.train.config import configured
from storage import datasets, runs
from storage.db import Store, open_store


@pytest.fixture(autouse=True)
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")


def found(home: Home) -> dict[str, Check]:
    return {check.name: check for check in examine(home)}


def test_a_fresh_home_has_no_problem(home: Home) -> None:
    checks = found(home)
    assert [check for check in checks.values() if check.state == "problem"] == []
    assert checks["store"].state == "info"
    assert checks["configuration"].state == "ok"
    assert "torch" in checks["packages"].detail
    assert checks["ollama"].state == "info" and "does not answer" in checks["ollama"].detail
    assert not home.store.exists()


def test_a_damaged_store_is_a_problem(home: Home) -> None:
    open_store(home.store).close()
    home.store.write_bytes(b"no database" * 500)
    check = found(home)["store"]
    assert check.state == "problem" and check.hint


def test_a_wrong_configuration_is_a_problem(home: Home) -> None:
    home.config.write_text("[ab]\nmin_tests = 'many'\n", encoding="utf-8")
    check = found(home)["configuration"]
    assert check.state == "problem" and "min_tests" in check.detail


def test_an_altered_file_that_serves_is_a_problem(store: Store, home: Home) -> None:
    version = add_version(store, home, 1)
    promote(store, home, Config(), version.id, who="", why="", evidence={}, now=1.0)
    assert found(home)["ft-erd"].state == "ok"
    file = home.resolve(version.gguf["q8_0"]["path"])
    file.write_bytes(b"X" + file.read_bytes()[1:])
    check = found(home)["ft-erd"]
    assert check.state == "problem" and "altered" in check.detail and "rollback erd" in check.hint


def test_a_run_whose_process_is_gone_is_a_warning(store: Store, home: Home) -> None:
    dataset = datasets.add(store, created_at=1.0, category="erd", hash="h", seed=0, settings={}, counts={}, items=[])
    run = runs.enqueue(
        store,
        created_at=1.0,
        category="erd",
        base_model="demo",
        method="sft",
        settings={},
        dataset_id=dataset,
        parent_version=None,
    )
    runs.claim(store, run, pid=1, pid_started=-1.0, now=time.time())
    check = found(home)["runs"]
    assert check.state == "warning" and f"resume {run}" in check.hint


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"version": "0.13.0"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def test_searches_are_looked_at_and_what_trials_left(home: Home) -> None:
    home.ensure()
    with open_storage(home) as storage:
        study = create(storage, Spec("erd", "demo", 1, 0, None, configured(Config(), "demo")))
        study.ask().set_user_attr("folder", "search-1-0")
    for name in ("search-1-0", "search-1-7", "search-sabc-1", "search-1-8"):
        (home.runs / name).mkdir()
        (home.runs / name / "lock").write_bytes(b"")
        (home.runs / name / "weights").write_bytes(b"0" * 1_000_000)
    with (home.runs / "search-1-8" / "lock").open("a") as lock:  # a trial at work
        fcntl.flock(lock, fcntl.LOCK_EX)
        checks = found(home)
    assert checks["searches"].state == "ok" and "1 searches" in checks["searches"].detail
    assert checks["trials"].state == "warning" and checks["trials"].detail.startswith("2 folders")
    assert "2.0 MB" in checks["trials"].detail
    assert "search-1-7" in checks["trials"].hint and "search-sabc-1" in checks["trials"].hint
    (home.root / FILE).write_bytes(b"SQLite format 3\x00" + b"\x01" * 8000)
    damaged = found(home)["searches"]
    assert damaged.state == "problem" and "backup" in damaged.hint


def test_tables_of_another_optuna_are_a_problem(home: Home) -> None:
    home.ensure()
    with open_storage(home) as storage, storage.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    check = found(home)["searches"]
    assert check.state == "problem" and "another version of Optuna" in check.detail


def test_a_shared_place_is_told_without_its_password(home: Home) -> None:
    home.ensure()
    home.config.write_text('[search]\nstorage = "postgresql://me:s3cret@db.example/x"\n', encoding="utf-8")
    check = found(home)["shared searches"]
    assert check.state == "info" and "db.example" in check.detail and "s3cret" not in check.detail
    home.config.write_text('[search]\nstorage = "journal:near.log"\n', encoding="utf-8")
    assert found(home)["shared searches"].state == "problem"


def test_what_a_gpu_needs_is_told(home: Home) -> None:
    checks = found(home)
    assert all(checks[name].state == "info" for name in ("bitsandbytes", "nvidia-ml-py", "accelerate"))


@pytest.mark.usefixtures("ollama")
def test_an_ollama_that_answers_is_told(home: Home) -> None:
    assert "0.13.0 answers" in found(home)["ollama"].detail
