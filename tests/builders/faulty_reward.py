"""A reward function of a user's that works, hangs or leaves, as the file says whose path is in $REWARD_FAULT."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FAULT = "REWARD_FAULT"


def brevity(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
    fault = Path(os.environ[FAULT]).read_text()
    if fault == "regex":
        re.match("(a+)+$", "a" * 40 + "b")
    if fault == "exit":
        os._exit(3)
    return [1.0 / (1 + len(text)) for text in completions]
