"""Synonyms, paraphrases and the proof that a reworded prompt says the same, checked by hand."""

from __future__ import annotations

import random
from itertools import islice

import pytest

from core.select.augment.clauses import facts_swapped, last_two_joined
from core.select.augment.paraphrase import paraphrases
from core.select.augment.proof import changed, target_names
from core.select.augment.spans import pieces, request_end, words_matter
from core.select.augment.synonyms import groups, starts_with_vowel_sound, synonyms

TARGET = "erDiagram\n    book ||--o{ loan : has\n    book {\n        int id PK\n    }"
NAMES = target_names(TARGET)


def replaced(prompt: str, target: str = TARGET) -> set[str]:
    return set(islice(synonyms(prompt, target_names(target), random.Random(1)), 40))


def reworded(prompt: str, target: str = TARGET, *, ordered: bool = False) -> set[str]:
    names = target_names(target)
    return {text for seed in range(12) for text in paraphrases(prompt, names, random.Random(seed), ordered=ordered)} - {
        prompt
    }


def test_a_word_stands_in_one_group_of_its_part_and_the_map_is_large() -> None:
    assert sum(len(table) for table in groups().values()) > 300
    for table in groups().values():
        for word, others in table.items():
            assert word == word.lower()
            assert word not in others
            assert all(word in table[other] for other in others)


def test_words_of_a_request_are_replaced() -> None:
    assert replaced("Please draw a quick ER diagram.") == {
        "Please sketch a quick ER diagram.",
        "Please draw a speedy ER diagram.",
        "Please sketch a speedy ER diagram.",
    }
    assert "We operate a library and keep a record of book and loan." in replaced(
        "We run a library and keep track of book and loan."
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "The book needs a draw",  # a noun
        "I draw",  # nothing is asked for
        "make it bigger",
        "Can you show me how?",
        'Explain `please draw a book` and "draw a book"',
        "draw_a_book(1)",
        "https://host/draw a",
        "[EMAIL_1] simple",
        "Facts: please draw a quick diagram",  # behind the colon stands material
        "```\nplease draw a cat\n```",
    ],
)
def test_what_is_no_word_of_the_request_stays(prompt: str) -> None:
    assert replaced(prompt) == set()


def test_a_word_that_the_target_uses_stays() -> None:
    assert replaced("Please draw a cat.", "you draw") == set()


def test_an_article_fits_what_follows() -> None:
    assert all(" a uncomplicated" not in text for text in replaced("Give me a simple overview."))
    assert starts_with_vowel_sound("ER diagram")
    assert not starts_with_vowel_sound("UML diagram")
    assert not starts_with_vowel_sound("user")
    assert starts_with_vowel_sound("hour")


def test_a_request_gets_another_frame() -> None:
    found = reworded("Draw an ER diagram for a library with book and loan.")
    assert "Please draw an ER diagram for a library with book and loan." in found
    assert "I need an ER diagram for a library with book and loan." in found
    assert "Could you draw an ER diagram for a library with book and loan?" in found
    assert "For a library, draw an ER diagram with book and loan." in found


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("Can you show me how book and loan relate?", "Please show me how book and loan relate."),
        ("I need a diagram of book.", "Please draw a diagram of book."),
        ("ER diagram for a shop: book, loan.", "I need an ER diagram for a shop: book, loan."),
        ("hey, need a diagram for my shop", "hey, could you draw a diagram for my shop?"),
        ("At work we must model book.", "At work we have to model book."),
        ("It is late. Sketch a model of book.", "It is late. Sketch a model of book, please."),
        ("Model book, loan: a book has loan.", "I need you to model book, loan: a book has loan."),
    ],
)
def test_frames(prompt: str, wanted: str) -> None:
    assert wanted in reworded(prompt)


@pytest.mark.parametrize(
    "prompt",
    ["Design patterns in Java are useful.", "Show times vary.", "The tax is high.", "", "?!", "Draw"],
)
def test_what_asks_for_nothing_has_no_frame(prompt: str) -> None:
    assert reworded(prompt, "x") == set()


def test_facts_change_places_only_whole_and_where_nothing_follows_from_another() -> None:
    prompt = "Relations: book has loan; loan needs book; book lists loan."
    found = {facts_swapped(prompt, NAMES, random.Random(seed)) for seed in range(40)}
    assert len(found) == 6
    assert "Relations: book lists loan; book has loan; loan needs book." in found
    swapped = "Relations: loan needs book; book has loan; book lists loan."
    assert changed(prompt, swapped, NAMES, ordered=False) is None
    assert changed(prompt, swapped, NAMES, ordered=True) == "fact changed"
    assert not any(swapped == text for text in reworded(prompt, ordered=True))


def test_openers_keep_their_places() -> None:
    prompt = "Each book has loan; each loan needs book."
    found = {facts_swapped(prompt, NAMES, random.Random(seed)) for seed in range(9)}
    assert found == {prompt, "Each loan needs book; each book has loan."}


def test_the_last_two_of_a_list() -> None:
    found = {last_two_joined("It has id, book and loan.", NAMES, random.Random(seed)) for seed in range(9)}
    assert found == {"It has id, book as well as loan.", "It has id, book, and loan."}
    for kept in ("A loan between book and loan.", "It has salt and pepper."):
        assert last_two_joined(kept, NAMES, random.Random(1)) == kept


@pytest.mark.parametrize(
    ("prompt", "variant", "reason"),
    [
        ("Draw book.", "Please draw book.", None),
        ("Draw book.", "Draw it.", "names changed"),
        ("Draw it.", "Draw book.", "names changed"),
        ("Draw book_item.", "Draw book item.", "names changed"),
        ("Use 5 rows.", "Use 50 rows.", "names changed"),
        ("Use -5 rows.", "Use 5 rows.", "names changed"),
        ("Pay $5.", "Pay €5.", "names changed"),
        ('Say "hi there".', 'Say "hi you".', "names changed"),
        ("Write to [EMAIL_1].", "Write to [EMAIL_2].", "names changed"),
        ("Ask Stripe for it.", "Ask them for it.", "names changed"),
        ("Ask them for it.", "Ask Stripe for it.", "names changed"),
        ("Draw it without colours.", "Draw it with colours.", "negation changed"),
        ("I don't want it.", "I do not want it.", None),
        ("You can use it.", "You cannot use it.", "negation changed"),
        ("Draw two of it.", "Draw three of it.", "amount changed"),
        ("It may be red.", "It must be red.", "amount changed"),
        ("I must draw it.", "I have to draw it.", None),
        ("Draw each of it.", "Draw every one of it.", "amount changed"),
        ("A book has loan.", "A loan has book.", "fact changed"),
        ("A book has loan.", "A book lists loan.", "fact changed"),
        ("Draw book and loan.", "Draw loan and book.", None),
    ],
)
def test_the_proof(prompt: str, variant: str, reason: str | None) -> None:
    assert changed(prompt, variant, NAMES, ordered=True) == reason


def test_what_stays_to_the_letter_is_one_piece() -> None:
    text = 'Fix `a b` in "c d", e_f, https://x.y/z, a@b.co, [EMAIL_1], {name}, <b>, v1.2 and co-op.'
    kept = [each.text for each in pieces(text) if not each.plain]
    assert kept == ["`a b`", '"c d"', "e_f", "https://x.y/z,", "a@b.co", "[EMAIL_1]", "{name}", "<b>", "v1.2", "co-op"]


def test_where_the_request_ends() -> None:
    assert request_end("Do it: now") == 5
    assert request_end("at 10:30 do it") == 14
    assert request_end("Do it\n\nHere is text") == 5
    assert request_end("x" * 5_000) == 600


def test_tasks_about_the_words_themselves_are_told() -> None:
    assert words_matter("Translate this into French", "")
    assert words_matter("hello", "You proofread texts.")
    assert not words_matter("Draw a diagram", "You draw diagrams.")
