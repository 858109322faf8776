"""docs/wrong-inputs.md judges each message of benchmarks/wrong_inputs.py."""

import re
from pathlib import Path

from benchmarks.wrong_inputs import TABLE

PAGE = (Path(__file__).parents[1] / "docs/wrong-inputs.md").read_text()
ROWS = re.findall(r"^\| `assay (.+?)` \| (.+) \| (.+) \|$", PAGE, flags=re.MULTILINE)
JUDGEMENT = re.compile(r"clear|clear(, but|, and|:| after) .+|unclear: .+")


def test_the_page_has_a_judged_row_for_each_wrong_input():
    assert [typed for typed, _, _ in ROWS] == [wrong.typed for wrong in TABLE]
    assert [judged for _, _, judged in ROWS if not JUDGEMENT.fullmatch(judged)] == []


def test_the_page_shows_the_message_of_each_wrong_input():
    # The page has an ellipsis for the folder in which the commands are typed.
    shown = {typed: message.replace("&lt;", "<").replace("=…", "=").replace("…/", "/") for typed, message, _ in ROWS}
    lost = [
        wrong.typed for wrong in TABLE if wrong.says.replace("=…", "=").replace("…/", "/") not in shown[wrong.typed]
    ]
    assert lost == []
