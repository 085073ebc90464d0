"""Small word lists by which the rules and the proof tell what a word does in a request."""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION: Final = _words(
    """a about also an and any are as at be been being both but by can could did do does each every for from had has
    have having he hello her here hey hi him his how i if in into is it its just kindly let like me my need of off on
    one or our out over per please she so some than thank thanks that the their them then there these they this those
    to under up us via want was we were what when where which while who whose will with would you your"""
)
"""Words that carry grammar and politeness. They never count as names, even where the target uses them."""

DETERMINERS: Final = _words("a an the my our your his her their its this that these those some")
OBJECTS: Final = DETERMINERS | _words("me us it them all how what which")
"""What may follow a verb that asks for something."""
ASKING: Final = _words("please kindly to you")
"""What may stand before a verb that asks for something; the beginning of a sentence is the other place."""
PERSONS: Final = _words("i we")

NEGATIONS: Final = _words(
    """not no never none nor neither nobody nothing nowhere without except excluding exclude excludes excluded unless
    avoid avoids avoiding omit omits omitted omitting skip skips lack lacks lacking instead rather cannot
    dont doesnt didnt cant wont isnt arent shouldnt"""
)
AMOUNTS: Final = _words(
    """zero one two three four five six seven eight nine ten eleven twelve hundred thousand million dozen half double
    twice once first second third last all each every any some many few several most more less least fewer both either
    only exactly maximum minimum max min optional optionally required mandatory always often sometimes before after
    until if than over under above below between may might must should"""
)
"""Words that set a number, a limit, a condition or a duty."""
SAME_AMOUNT: Final = {"every": "each"}

LOOSE: Final = _words("a an the and or with for in plus as well both also")
"""Words that state nothing between two names."""

TEXT_MATTERS: Final = (
    "translat", "rewrit", "rephras", "paraphras", "proofread", "spell", "grammar", "typo", "verbatim", "word for word",
    "repeat", "count the", "how many words", "how many letters", "rhyme", "anagram", "backwards", "uppercase",
    "lowercase", "synonym", "reword", "letters", "syllable", "palindrome", "quote", "punctuat", "correct the",
    "haiku", "poem", "same words", "wording",
)  # fmt: skip
"""Tasks whose answer hangs on the very words of the prompt."""
SYSTEM_MATTERS: Final = ("translat", "rewrit", "rephras", "paraphras", "proofread", "verbatim", "grammar")
