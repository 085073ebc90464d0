from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.capture.sanitize import Seen, sanitize

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc+/=\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jane.doe+x@mail.example.co.uk", "email"),
        ("jörg@müller.de", "email"),
        ("+49 170 1234567", "phone"),
        ("(555) 123-4567", "phone"),
        ("555-123-4567", "phone"),
        ("192.168.1.17", "ip"),
        ("2001:db8:85a3::8a2e:370:7334", "ip"),
        ("4111 1111 1111 1111", "card"),
        ("5500005555555559", "card"),
        ("378282246310005", "card"),
        ("GB82 WEST 1234 5698 7654 32", "iban"),
        ("DE89370400440532013000", "iban"),
        ("sk-abcdefghijklmnop1234567890", "api_key"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "api_key"),
        ("AKIAIOSFODNN7EXAMPLE", "api_key"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3.SflKxwRJSMeKKF2QT4", "api_key"),
        (KEY, "private_key"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "wallet"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "wallet"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "wallet"),
        ("@jane_doe", "mention"),
        ("<@123456789012345678>", "mention"),
    ],
)
def test_each_kind_is_found_in_the_middle_of_a_sentence(text: str, kind: str) -> None:
    clean, counts = sanitize(f"Ask {text} about it, please.")
    assert clean == f"Ask [{kind.upper()}_1] about it, please."
    assert counts == {kind: 1}


def test_the_value_of_a_named_secret_goes_and_its_name_stays() -> None:
    assert sanitize('password = "hunter2hunter2"')[0] == 'password = "[API_KEY_1]"'
    assert sanitize("api_key: aB3dE5fG7hJ9kL")[0] == "api_key: [API_KEY_1]"


@pytest.mark.parametrize(
    "text",
    [
        "erDiagram\n    user ||--o{ order : places\n    user {\n        int id PK\n        string email\n    }",
        "4111 1111 1111 1112",
        "GB82 WEST 1234 5698 7654 33",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "2024-01-15 10:30:45",
        "version 1.2.3.4",
        "127.0.0.1 and 0.0.0.0 and ::1",
        "std::vector<int> a::b",
        "@property\ndef name(self): ...\n@app.route('/x')",
        "import x from '@angular/core'",
        "@media (max-width: 80px)",
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "order 12345678901234567890",
        "secret: string",
        "token = get_token()",
        "the token: abcdefghijklmnop",
        "a @ b, 3@4",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert sanitize(text) == (text, {})


def test_the_same_person_is_the_same_placeholder_within_one_event() -> None:
    seen: Seen = {}
    first, _ = sanitize("from a@x.org to b@x.org", seen=seen)
    second, counts = sanitize("B@x.org answers A@X.ORG and c@x.org", seen=seen)
    assert first == "from [EMAIL_1] to [EMAIL_2]"
    assert second == "[EMAIL_2] answers [EMAIL_1] and [EMAIL_3]"
    assert counts == {"email": 3}


def test_values_that_touch_are_all_found() -> None:
    assert sanitize("+49 170 1234567+49 170 7654321")[0] == "[PHONE_1][PHONE_2]"


def test_a_placeholder_in_the_text_is_given_to_nobody_else() -> None:
    assert sanitize("[EMAIL_2] wrote to a@x.org")[0] == "[EMAIL_2] wrote to [EMAIL_3]"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["a@x.org", "+49 170 1234567", "10.1.2.3", "@bob", "[EMAIL_1]", KEY, "x", " ", "\n", "4", "-", ":"]
        )
        | st.text(max_size=8),
        max_size=12,
    ).map(" ".join)
)
def test_sanitising_twice_changes_nothing_more(text: str) -> None:
    once, _ = sanitize(text)
    assert sanitize(once) == (once, {})


@pytest.mark.parametrize(
    "piece",
    ["a", "a@", "a.", "1", "1 ", "1.", ":", "a:", "@a", "GB82 ", "+1", "sk-", "eyJ", "eyJaaaaaaaa.", "token=", "<@",
     "-", "-----BEGIN PRIVATE KEY-----", "a@b.c", "password"],
)  # fmt: skip
def test_time_is_linear_whatever_the_text(piece: str) -> None:
    text = (piece * 200_000)[:200_000]
    started = time.process_time()
    sanitize(text)
    assert time.process_time() - started < 1.5
