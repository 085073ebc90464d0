from __future__ import annotations

import random
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
        ("@jane@mastodon.social", "mention"),
        ("<@U012AB3CD>", "mention"),
        ("jane [at] acme [dot] io", "email"),
        ("0049 170 1234567", "phone"),
        ("06 12 34 56 78", "phone"),
        ("::ffff:192.0.2.128", "ip"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "wallet"),
    ],
)
def test_each_kind_is_found_in_the_middle_of_a_sentence(text: str, kind: str) -> None:
    clean, counts = sanitize(f"Ask {text} about it, please.")
    assert clean == f"Ask [{kind.upper()}_1] about it, please."
    assert counts == {kind: 1}


def test_the_value_of_a_named_secret_goes_and_its_name_stays() -> None:
    assert sanitize('password = "hunter2hunter2"')[0] == 'password = "[API_KEY_1]"'
    assert sanitize("api_key: aB3dE5fG7hJ9kL")[0] == "api_key: [API_KEY_1]"
    assert sanitize("login?token=aB3dE5fG7hJ9kL&x=1")[0] == "login?token=[API_KEY_1]&x=1"
    assert sanitize("Authorization: Bearer aB3dE5fG7hJ9kL")[0] == "Authorization: Bearer [API_KEY_1]"
    assert sanitize("postgres://shop:pa55w0rd@db/shop")[0] == "postgres://shop:[API_KEY_1]@db/shop"


def test_capitals_that_grow_in_lower_case_do_not_shift_what_is_cut_out() -> None:
    assert sanitize('İİİ password="hunter2hunter2"!')[0] == 'İİİ password="[API_KEY_1]"!'


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+49 170 1234567", "0049-170-1234567"),
        ("4111 1111 1111 1111", "4111111111111111"),
        ("GB82 WEST 1234 5698 7654 32", "GB82WEST12345698765432"),
        ("2001:db8:0:0:0:0:0:17", "2001:db8::17"),
        ("jane@acme.io", "Jane (at) acme (dot) io"),
        ("@Jane_Doe", "@jane_doe"),
        ("<@123456789012345678>", "<@!123456789012345678>"),
        ("0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886e0f7030069857d2e4169ee7"),
    ],
)
def test_one_value_written_in_two_ways_is_one_placeholder(one: str, other: str) -> None:
    clean, counts = sanitize(f"either {one} or {other} it is")
    name = next(iter(counts)).upper()
    assert clean == f"either [{name}_1] or [{name}_1] it is"


def test_values_that_touch_are_all_found() -> None:
    assert sanitize("+49 170 1234567+49 170 7654321")[0] == "[PHONE_1][PHONE_2]"
    chain = "".join(f"+49 170 123456{digit}" for digit in range(10))
    assert sanitize(chain)[0] == "".join(f"[PHONE_{number}]" for number in range(1, 11))


def test_numbering_goes_on_over_texts_and_stays_quick_for_many_values() -> None:
    seen: Seen = {}
    clean, counts = sanitize(" ".join(f"u{number}@x.org" for number in range(20_000)), seen=seen)
    assert counts == {"email": 20_000}
    assert clean.endswith("[EMAIL_20000]")
    assert sanitize("new@x.org u7@x.org", seen=seen)[0] == "[EMAIL_20001] [EMAIL_8]"


def test_a_placeholder_in_the_text_is_given_to_nobody_else() -> None:
    assert sanitize("[EMAIL_2] wrote to a@x.org")[0] == "[EMAIL_2] wrote to [EMAIL_3]"


def test_a_placeholder_where_a_secret_would_stand_stays() -> None:
    for text in (
        "password=[API_KEY_1]",
        'token: "[API_KEY_2]"',
        "x://u:[API_KEY_1]@h/",
        "phone: [PHONE_1]",
        "[IP_1]:80",
    ):
        assert sanitize(text) == (text, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("メールはjane@acme.ioまで", "メールは[EMAIL_1]まで"),
        ("電話は090-1234-5678です", "電話は[PHONE_1]です"),
        ("mail jane@acme.io.Then wait", "mail [EMAIL_1].Then wait"),
        ("ssh git@github.com:a/b.git", "ssh git@github.com:a/b.git"),
        ("y = x @ W @x.transpose(1)", "y = x @ W @x.transpose(1)"),
        ("a@b.transpose", "a@b.transpose"),
        ("thanks @bob.", "thanks [MENTION_1]."),
        ("@user = 1\nrender @user", "@user = 1\nrender @user"),
        ("@cached\ndef size(self):", "@cached\ndef size(self):"),
        ("@cached\nplease help", "[MENTION_1]\nplease help"),
        ("@cached\n@kept(3)\ndef size(self):", "@cached\n@kept(3)\ndef size(self):"),
        ("@jane\n@bob\nplease help", "[MENTION_1]\n[MENTION_2]\nplease help"),
        ("0x5aAeb6053f3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053f3E94C9b9A09f33669435E7Ef1BeAed"),
        ("Natick, MA 01760-2098", "Natick, MA 01760-2098"),
    ],
)
def test_what_stands_around_a_value_decides(text: str, expected: str) -> None:
    assert sanitize(text)[0] == expected


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            ["a@x.org", "+49 170 1234567", "10.1.2.3", "@bob", "[EMAIL_1]", KEY, "x", " ", "\n", "4", "-", ":",
             "fe80::1a", "030 1234567", "token=", "aB3dE5fG7hJ9kL", "://u:", "pw1", "@", "h", "4111111111111111",
             "tel. ", "GB82", "DE89370400440532013000",
             "@jane = 1", "(at)", " is ", "&sig=", "0x", "[API_KEY_7]", '"', "SELECT "]
        )
        | st.text(max_size=8),
        max_size=12,
    ).flatmap(lambda parts: st.sampled_from(["", " "]).map(lambda gap: gap.join(parts)))
)  # fmt: skip
def test_sanitising_twice_changes_nothing_more(text: str) -> None:
    once, _ = sanitize(text)
    assert sanitize(once) == (once, {})


@pytest.mark.parametrize(
    "piece",
    ["a", "a@", "a.", "1", "1 ", "1.", ":", "a:", "@a", "@ab ", "\t@ab", "GB82 ", "GB82WEST1234", "+1", "sk-", "eyJ",
     "eyJaaaaaaaa.", "token=", "token=a1", "<@", "-", "-----BEGIN PRIVATE KEY-----", "a@b.c", "a@b.co", "password",
     "://a:", "://a:b@", "4111", "01 ", "0170 1234567 ", "(0", "1.2.3.4 ", "fe80::1 ", "tel: 1", "[at]", "a[at]b[dot]",
     "curl -u ", "bearer ", "0x", "bc1q", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa ", "+1 415 555 2671 ", "İtoken="],
)  # fmt: skip
def test_time_is_linear_whatever_the_text(piece: str) -> None:
    # Processor time, with twenty times what it takes: only growth with the square of the length comes near it.
    text = (piece * 100_000)[:100_000]
    started = time.process_time()
    sanitize(text)
    assert time.process_time() - started < 4


def test_so_many_numbers_that_most_go_unchecked_still_end_soon() -> None:
    chance = random.Random(5)
    text = " ".join(f"0{chance.randrange(10, 9999)} {chance.randrange(10**5, 10**8)}," for _ in range(8_000))
    once, _ = sanitize(text)
    assert sanitize(once) == (once, {})
