"""Scored groups for the tests of metrics, tracking and the report."""

from collections.abc import Sequence
from pathlib import Path

from rl.types import Box, Completion, Group, Prompt, Sample, Score, Target

YES = "<think>A dark line.</think><answer>Yes. {'bbox_2d': [2, 2, 6, 6], 'label': 'cut'}</answer>"
NO = "<think>Even all over.</think><answer>No.</answer>"


def completion(text: str = NO, length: int = 4, finish_reason: str = "stop") -> Completion:
    return Completion(
        token_ids=(7,) * length, text=text, logprobs=(0.0,) * length, finish_reason=finish_reason, policy_version=0
    )


def score(form: float = 1, accuracy: float = 1, box: float | None = 1) -> Score:
    components = {"format": form, "accuracy": accuracy, "box": box}
    return Score(total=None if box is None else form + accuracy + box, components=components)


def group(
    scores: Sequence[Score],
    completions: Sequence[Completion] = (),
    boxes: tuple[Box, ...] = (),
    category: str = "steel",
    number: int = 0,
    images: tuple[Path, ...] = (),
) -> Group:
    """Make a group about a part that is defective if it has boxes, else normal; the model sees 10 x 10 pixels."""
    target = Target(label="defective" if boxes else "normal", boxes=boxes, box_labels=("cut",) * len(boxes))
    sample = Sample(
        id=f"{category}/test/{number:03d}", images=images, question="Any defect?", target=target, category=category
    )
    prompt = Prompt(sample=sample, token_ids=(1, 2), pixels=None, image_spans=(), image_size=(10, 10), target=target)
    return Group(prompt=prompt, completions=tuple(completions) or (completion(),) * len(scores), scores=tuple(scores))
