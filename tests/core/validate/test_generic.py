from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.validate.generic import is_generic
from core.validate.plain import PlainValidator

PROMPT = "Draw an ER diagram of a shop with orders and customers."
DIAGRAM = """erDiagram
    shop ||--o{ order : takes
    customer ||--o{ order : places
    shop {
        int id PK
        string name
    }
    order {
        int id PK
        int shop_id FK
        int customer_id FK
    }
    customer {
        int id PK
        string name
    }"""


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("I'm sorry, but I can't do that.", "refusal"),
        ("As an AI language model, I have no opinion.", "refusal"),
        ("I cannot help with that request at all.", "refusal"),
        ("erDiagram\n    shop {\n        int id PK\n        %% TODO: add the rest\n    }", "placeholder"),
        ("Lorem ipsum dolor sit amet.", "placeholder"),
        ("erDiagram\n    Entity1 ||--o{ Entity2 : has", "placeholder"),
        ("Dear [Your Name], welcome.", "placeholder"),
        (PROMPT, "echo"),
        (PROMPT.upper() + "!", "echo"),
        ("string name of it\n" * 9, "repeats"),
        (
            "It is important to note that this may vary. Please note that results differ. Feel free to ask. "
            "I hope this helps. Let me know if you need more.",
            "boilerplate",
        ),
    ],
)
def test_generic_content_has_a_reason(response: str, why: str) -> None:
    assert why in str(is_generic(PROMPT, response))


@pytest.mark.parametrize(
    ("prompt", "response"),
    [
        (PROMPT, DIAGRAM),
        ("An ER diagram for a TODO app", "erDiagram\n    TODO {\n        int id PK\n    }"),
        ("todo app", "erDiagram\n    todo {\n        int id PK\n    }"),
        ("relate Entity1 and Entity2", "erDiagram\n    Entity1 ||--o{ Entity2 : owns"),
        ("Is this a scam? yes or no", "yes"),
        ("What does he say?", "He says: I'm sorry for the delay."),
        (PROMPT, "Feel free to ask. " + DIAGRAM * 3),
    ],
)
def test_what_answers_the_question_is_not_generic(prompt: str, response: str) -> None:
    assert is_generic(prompt, response) is None


def test_a_near_copy_of_a_common_output() -> None:
    assert "common" in str(is_generic("a zoo", DIAGRAM.replace("takes", "takes in"), [DIAGRAM]))
    assert is_generic("a zoo", "SAFE", ["SAFE"]) is None


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_judged(prompt: str, response: str) -> None:
    why = is_generic(prompt, response)
    assert (why == "empty") == (not response.strip())


PHRASES = {
    "refusal": [
        "I'm sorry, but that is too much",
        "i am very sorry but no",
        "I'm not able to draw it",
        "I am unable to answer",
        "I can't help",
        "I cannot provide that",
        "I won’t do that",
        "As an AI, I have no view",
        "as a large language model",
    ],
    "placeholder": [
        "TODO",
        "FIXME",
        "TBD",
        "XXX",
        "Lorem Ipsum",
        "placeholder name",
        "Entity1",
        "TABLE_A",
        "class_x",
        "attribute2",
        "Column_n",
        "fieldB",
        "relation_1",
        "Service1",
        "component_a",
        "item2",
        "[Your Company]",
        "<insert date>",
        "{add_more here}",
        "[Put it here]",
        "<enter name>",
    ],
    "boilerplate": [
        "In conclusion",
        "it is important to note",
        "It’s worth noting",
        "Feel free to",
        "I hope this helps",
        "Let me know if you",
        "please note that",
        "in today's fast-paced world",
        "As mentioned above",
        "here is a basic",
        "this is just an example",
    ],
}


@given(
    case=st.sampled_from([(kind, phrase) for kind, phrases in PHRASES.items() for phrase in phrases]),
    before=st.text("abc ,.\nßÄ", max_size=60),
    after=st.text("abc ,.\nßÄ", max_size=60),
)
def test_a_phrase_is_found_wherever_it_stands(case: tuple[str, str], before: str, after: str) -> None:
    kind, phrase = case
    times = 3 if kind == "boilerplate" else 1
    text = f"{before} {' '.join([phrase] * times)} {after}"
    assert kind in str(is_generic("", text))


def test_a_refusal_counts_at_the_beginning_only() -> None:
    filler = "ß words and more words. " * 20
    assert is_generic("", filler[:390] + "I'm sorry, but no") is None
    assert is_generic("", filler[:370] + " I'm sorry, but no") == "refusal"


@pytest.mark.parametrize("extra", ["", "and more"])
def test_a_copy_is_told_by_length_and_likeness(extra: str) -> None:
    longer = DIAGRAM + extra * 40
    assert (is_generic(DIAGRAM, longer) == "echo of the prompt") == (not extra)
    assert (is_generic("", longer, [DIAGRAM]) == "near-copy of a common output") == (not extra)


def test_one_line_over_and_over_among_others() -> None:
    same, other = ["the very same line"], [f"another line, number {number}" for number in range(40)]
    assert is_generic("", "\n".join(same * 5 + other[:4])) == "repeats itself"
    assert is_generic("", "\n".join(same * 5 + other[:5])) is None
    assert is_generic("", "\n".join(same * 4)) is None
    assert is_generic("", "\r".join(same * 5)) == "repeats itself"


@pytest.mark.parametrize("piece", ["a", "TODO ", "i am ", "[your ", "entity", "in conclusion ", "\n", "{put "])
@pytest.mark.usefixtures("no_collection")
def test_long_text_takes_no_longer_than_its_length(piece: str) -> None:
    started = time.process_time()
    is_generic(piece * 30_000, piece * 30_001, [piece * 30_002])
    assert time.process_time() - started < 1.0


def test_the_plain_validator_looks_at_length_alone() -> None:
    plain = PlainValidator(min_chars=5, max_chars=10)
    assert [plain.validate(text).valid for text in ("", "    x", "12345", "x" * 10, "x" * 11)] == [
        False, False, True, True, False,
    ]  # fmt: skip
    assert [finding.kind for finding in plain.validate("x").findings] == ["too_short"]
