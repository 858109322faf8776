"""builders.talking_reward, slowly: a run with it takes minutes, and has the same rows."""

import time
from collections.abc import Sequence
from typing import Any

from builders import talking_reward

A_GROUP_S = 1.5


def talks(prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
    time.sleep(A_GROUP_S)
    return talking_reward.talks(prompts, completions, **columns)
