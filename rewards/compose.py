"""One score from named components; weighting happens here and nowhere else."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rewards.accuracy import accuracy_reward
from rewards.box import box_reward
from rewards.config import RewardConfig
from rewards.format import format_reward
from rewards.parse import Answer, parse_answer
from rl.types import Completion, Group, Prompt, Score, Target

Judgement = Callable[[], float | None]


def weights(config: RewardConfig) -> dict[str, float]:
    """Weight of each component by name; a component of weight 0 is measured and does not count."""
    return {"format": config.format.weight, "accuracy": config.accuracy.weight, "box": config.box.weight}


def reward_range(config: RewardConfig) -> tuple[float, float]:
    """Lowest and highest total that the weights allow, each component being in [0, 1]."""
    values = weights(config).values()
    return sum(min(weight, 0.0) for weight in values), sum(max(weight, 0.0) for weight in values)


def score_group(group: Group, config: RewardConfig) -> Group:
    """The group with a score for each completion."""
    scores = tuple(score_completion(completion, group.prompt, config) for completion in group.completions)
    return replace(group, scores=scores)


def score_completion(completion: Completion, prompt: Prompt, config: RewardConfig) -> Score:
    """total = Σ weight · component, not normalised; a weighted component without a value (None) leaves no total."""
    answer = parse_answer(completion.text, prompt.image_size)
    judgements = _judgements(answer, prompt.target)
    components = {name: judged(name, judgement, prompt.sample.id) for name, judgement in judgements.items()}
    return Score(total=total(components, weights(config)), components=components, malformed=answer.malformed)


def _judgements(answer: Answer, target: Target) -> dict[str, Judgement]:
    """The one list of rewards: a name here is the metric's name."""
    return {
        "format": partial(format_reward, answer),
        "accuracy": partial(accuracy_reward, answer, target),
        "box": partial(box_reward, answer, target),
    }


def judged(name: str, judgement: Judgement, sample_id: str) -> float | None:
    """The component's value; whatever goes wrong stops the run with a sentence, it never becomes a silent 0."""
    try:
        value = judgement()
    except Exception as error:
        raise ValueError(f"reward {name} raised {type(error).__name__} on sample {sample_id}: {error}") from error
    if value is not None and not math.isfinite(value):
        raise ValueError(f"reward {name} gave {value} on sample {sample_id}; it must be a finite number or None")
    return value


def total(components: dict[str, float | None], weight_of: dict[str, float]) -> float | None:
    """Weighted sum, or None when a component that counts could not be judged."""
    counting = {name: value for name, value in components.items() if weight_of[name] != 0}
    judged_values = {name: value for name, value in counting.items() if value is not None}
    if len(judged_values) < len(counting):
        return None
    return sum(weight_of[name] * value for name, value in judged_values.items())
