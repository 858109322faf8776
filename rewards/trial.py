"""The trial of the user's reward functions on two answers, before a run starts."""

from dataclasses import replace

from rewards.compose import Composer, read
from rewards.config import RewardConfig
from rewards.item import item_of
from rewards.process import Hear
from rl.data.prompts import answer_text
from rl.faults import UserError
from rl.types import Sample

MALFORMED = "I cannot tell."


def try_functions(config: RewardConfig, sample: Sample, hear: Hear) -> None:
    """Have each function judge a right and a malformed answer to the sample; raise the error that would end the run.

    `hear` is told what the functions print, and which of the answers they leave unjudged.
    """
    if not config.functions:
        return
    # Whatever they weigh in the run, a fault here is a fault there.
    functions = [replace(function, weight=1.0) for function in config.functions]
    alone = RewardConfig(
        functions=functions, on_error=config.on_error, timeout_s=config.timeout_s, memory_mb=config.memory_mb
    )
    composer = Composer(alone, hear=hear)
    items = [replace(item_of(sample), text=text) for text in (right_answer(sample), MALFORMED)]
    for answer, score in zip(("a right", "a malformed"), composer.score(items, read(items)), strict=True):
        for reason in score.unjudged:
            hear(f"warning: {answer} answer would be unjudged: {reason}")


def right_answer(sample: Sample) -> str:
    """Return the right answer to a sample; a malformed one if its target says too little for a right one."""
    try:
        return answer_text(sample.target, sample.task)
    except UserError:
        return MALFORMED
