"""Reward of the right piece of knowledge (DCR²-AD)."""

from rewards.answers.parse import Answer
from rewards.component import Component
from rl.data.knowledge.routing import named_knowledge
from rl.types import Target, Task


def knowledge_reward(answer: Answer, target: Target) -> float | None:
    """Return 1 if the answer names the right piece of knowledge, else 0; None if the question offers none.

    R = 1[k = k_w], where k is the first of the offered names in the knowledge tags and k_w that of the right piece.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> target = Target(label="defective", offered=("Scratch", "Hole"))
    >>> said = ("Scratch: a thin line, not a hole.", "Hole: not a scratch.", "A thin line.")
    >>> texts = [f"<knowledge>{piece}</knowledge><think>A line.</think><answer>B</answer>" for piece in said]
    >>> [knowledge_reward(parse_answer(text, Task.routed, (10, 10)), target) for text in texts]
    [1.0, 0.0, 0.0]
    """
    if not target.offered:
        return None
    return float(named_knowledge(answer.knowledge, target.offered) == target.offered[0])


COMPONENT = Component(
    help="Right piece of the knowledge offered: 1 or 0 (DCR²-AD).",
    judge=lambda item, answer, options: knowledge_reward(answer, item.target),
    tasks=(Task.routed,),
    needs=("target.offered",),
)
