"""The sections [hooks.NAME]: what they may hold, and what is said of everything else."""

from __future__ import annotations

import pytest
from hooks_kit import Configure
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.config import load_config
from core.errors import ConfigError, FinetuneError
from core.hooks.settings import Hook, load_hooks
from core.paths import Home
from storage.outbox import EVENTS

SECRET = "hunter2-hunter2"


def test_no_file_no_section_no_hooks(home: Home, configure: Configure) -> None:
    assert load_hooks(home) == {}
    configure("[general]\nprefix = 'x'\n")
    assert load_hooks(home) == {}


def test_the_three_kinds(home: Home, configure: Configure) -> None:
    configure("""
[hooks.a]
on = "*"
command = ["notify", "--now"]
[hooks.b-2]
on = ["fine_tuning.failed", "ab_test.completed", "fine_tuning.failed"]
categories = ["erd"]
url = "https://example.org:8443/in?token=abc"
secret = "hunter2"
timeout = 3
tries = 2
[hooks.c]
on = ["*"]
callback = "my.module:Class.method"
""")
    assert load_config(home).general.prefix == "ft"
    found = load_hooks(home)
    assert found["a"] == Hook("a", EVENTS, command=("notify", "--now"))
    assert found["b-2"] == Hook(
        "b-2",
        ("fine_tuning.failed", "ab_test.completed"),
        ("erd",),
        url="https://example.org:8443/in?token=abc",
        secret="hunter2",
        timeout=3.0,
        tries=2,
    )
    assert found["c"].on == EVENTS
    assert [(one.kind, one.target) for one in found.values()] == [
        ("command", "notify …"),
        ("url", "https://example.org:8443/…"),
        ("callback", "my.module:Class.method"),
    ]
    assert not any(text in repr(found) for text in ("hunter2", "token", "--now"))


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        ("callback = 'm:f'", "hooks.x.on is missing", '"*"'),
        ("on = []\ncallback = 'm:f'", "must be a list of events", ""),
        ("on = 'fine_tuning.failed'\ncallback = 'm:f'", "must be a list of events", ""),
        ("on = [3]\ncallback = 'm:f'", "must be a list of events", ""),
        ("on = ['fine_tuning.complete']\ncallback = 'm:f'", "is no event", "fine_tuning.completed"),
        ("on = '*'", "nothing of where to deliver", "exactly one"),
        ("on = '*'\ncommand = ['a']\nurl = 'https://h'", "both command and url", "exactly one"),
        ("on = '*'\ncomand = ['a']", "hooks.x.comand is no setting", "command"),
        ("on = '*'\ncommand = 'a b'", "no shell", '["program"'),
        ("on = '*'\ncommand = []", "must be a list", ""),
        ("on = '*'\ncommand = [' ']", "must be a list", ""),
        ("on = '*'\ncommand = ['./a']", "a whole path", ""),
        ("on = '*'\ncommand = ['a', \"\\u0000\"]", "NUL", ""),
        ("on = '*'\ncategories = ['erdd']\ncommand = ['a']", "no category `erdd`", "erd"),
        ("on = '*'\ncategories = 'erd'\ncommand = ['a']", "list of categories", ""),
        ("on = '*'\ncallback = 'os.system'", "must name a function", "module:function"),
        ("on = '*'\ncallback = 'm:f()'", "must name a function", ""),
        ("on = '*'\ncommand = ['a']\ntimeout = 0", "from 0.1 to 600", ""),
        ("on = '*'\ncommand = ['a']\ntimeout = true", "a number", ""),
        ("on = '*'\ncommand = ['a']\ntimeout = nan", "a number", ""),
        ("on = '*'\ncommand = ['a']\ntries = 1.5", "a whole number from 1 to 100", ""),
        ("on = '*'\ncommand = ['a']\nsecret = 's'", "belongs to a url", ""),
        ("on = '*'\ncommand = ['a']\ninsecure = true", "belongs to a url", ""),
        ("on = '*'\nurl = 'https://h'\nsecret = ' '", "not empty", ""),
        ("on = '*'\nurl = 'https://h'\ninsecure = 'yes'", "true or false", ""),
        ("on = '*'\nurl = 'ftp://h/x'", "an http or https url", ""),
        ("on = '*'\nurl = 'https:///x'", "an http or https url", ""),
        ("on = '*'\nurl = 'https://h h/x'", "an http or https url", ""),
        ("on = '*'\nurl = \"https://h/\\r\\nX-Evil: 1\"", "an http or https url", ""),
        ("on = '*'\nurl = 'https://h:99999/'", "no url", ""),
        ("on = '*'\nurl = 'https://[::1'", "no url", ""),
        ("on = '*'\nurl = 'https://me:pw@h/'", "user and password", "secret"),
        ("on = '*'\nurl = 'http://example.org/'", "without encryption", "insecure = true"),
        ("on = '*'\nurl = 'http://127.0.0.1.example.org/'", "without encryption", ""),
        ("on = '*'\nurl = 'http://localhost.example.org/'", "without encryption", ""),
    ],
)
def test_faults_are_named(home: Home, configure: Configure, lines: str, message: str, hint: str) -> None:
    configure(f"[hooks.x]\n{lines}\n")
    with pytest.raises(ConfigError) as raised:
        load_hooks(home)
    assert str(home.config) in raised.value.message and message in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize("text", ["hooks = 3", "[[hooks]]\non = '*'", "[hooks]\nx = 3", "[hooks.'a b']\non = '*'"])
def test_what_is_no_section_is_said(home: Home, configure: Configure, text: str) -> None:
    configure(text)
    with pytest.raises(ConfigError):
        load_hooks(home)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9:80", "[::1]:8080"])
def test_the_loopback_needs_no_encryption(home: Home, configure: Configure, host: str) -> None:
    configure(f"[hooks.x]\non = '*'\nurl = 'http://{host}/in'\n")
    assert load_hooks(home)["x"].url == f"http://{host}/in"


def test_another_machine_needs_a_word_of_the_user(home: Home, configure: Configure) -> None:
    configure("[hooks.x]\non = '*'\nurl = 'http://10.0.0.7/in'\ninsecure = true\n")
    assert load_hooks(home)["x"].insecure


@pytest.mark.parametrize("url", [f"https://h/{SECRET}\u00e9", f"http://example.org/{SECRET}", f"https://u:{SECRET}@h/"])
def test_no_error_repeats_what_may_be_secret(home: Home, configure: Configure, url: str) -> None:
    configure(f"[hooks.x]\non = '*'\nurl = '{url}'\nsecret = '{SECRET}'\n")
    with pytest.raises(ConfigError) as raised:
        load_hooks(home)
    assert SECRET not in f"{raised.value} {raised.value.title}"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["*", *EVENTS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["on", "categories", "command", "url", "callback", "secret", "timeout", "tries", "insecure", "other"]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.dictionaries(st.text(max_size=8), st.dictionaries(KEYS, VALUES, max_size=6) | VALUES, max_size=3))
def test_any_table_is_read_or_refused_in_words(
    home: Home, monkeypatch: pytest.MonkeyPatch, table: dict[str, object]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("core.hooks.settings.read_toml", lambda _: {"hooks": table})
        try:
            found = load_hooks(home)
        except FinetuneError as error:
            assert error.message
        else:
            assert set(found) == set(table)
