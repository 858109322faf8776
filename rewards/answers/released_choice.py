"""Parser of the option that a text chooses, by the rules of AnomalyR1's code, to reproduce its scores."""

import re

LETTER = re.compile(r"(?<![a-z])[A-D](?![a-z])")
KEYWORDS = (
    *("答案", "选择", "正确", "是", "对", "认为", "应该", "觉得"),
    # AnomalyR1's code looks for its English words in capitals.
    *("ANSWER", "CORRECT", "CHOOSE", "SELECT", "RIGHT", "THINK", "BELIEVE", "SHOULD"),
)
NEAR_CHARACTERS = 20
ENDING_SHARE = 0.7
PUNCTUATION = "。.!！,，"


def released_choice(text: str) -> str | None:
    """Return the letter A to D with the highest score, the first of equal ones; None if there is no such letter.

    Only capitals beside no lower-case letter count; the "A" that begins a sentence does. A letter scores by its last
    occurrence, even inside a word: 1 for each keyword within 20 characters, 2 in the last 30 % of the text, 1 before
    punctuation. Of a text of fewer than three characters the first that is no punctuation counts, whatever it is.

    >>> released_choice("A line is seen, which is typical of D."), released_choice("b."), released_choice("A hole.")
    ('D', 'b', 'A')
    """
    text = re.sub(r"\s+", " ", text)
    if len(text) < 3:
        return re.sub(r"[^\w\s]", "", text)[:1] or None
    letters = dict.fromkeys(LETTER.findall(text))
    return max(letters, key=lambda letter: _score(text, text.rfind(letter)), default=None)


def _score(text: str, place: int) -> int:
    near = text[max(0, place - NEAR_CHARACTERS) : place + NEAR_CHARACTERS]
    num_keywords = sum(keyword in near for keyword in KEYWORDS)
    return num_keywords + 2 * (place > ENDING_SHARE * len(text)) + (text[place + 1 : place + 2] in tuple(PUNCTUATION))
