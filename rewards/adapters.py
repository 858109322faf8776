"""Adapters of our rewards to other trainers: TRL's reward functions and verl's compute_score."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import nan
from statistics import fmean
from typing import Any

from rewards.compose import Composer, read
from rewards.config import OnError, RewardConfig
from rewards.item import UNBOUNDED, Item, read_target
from rewards.presets import PRESETS, preset
from rl.documents import json_of
from rl.faults import UserError
from rl.types import Score, Task


def as_trl(reward: str | RewardConfig, *, task: Task | None = None) -> Callable[..., list[float | None]]:
    """Return a reward function for TRL's GRPOTrainer from the name of a preset, or from a config and a task.

    The data set needs a column `target` of dicts such as {"label": "normal"}, with the fields of rl.types.Target, and
    may have `image_size`, the [width, height] of the image as the model sees it. The reward of a completion that cannot
    be judged is None, which TRL leaves out.

    >>> judge = as_trl("mmr_ad")
    >>> judge(prompts=["?"], completions=["<think>Even.</think><answer>No.</answer>"], target=[{"label": "normal"}])
    [1.0]
    """
    composer, form = _composer(reward, task)

    def judge(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        target: Sequence[Any],
        image_size: Sequence[Any] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **_: Any,
    ) -> list[float | None]:
        sizes = image_size or [None] * len(completions)
        items = [
            _item(str(number), _text(completion), truth, size, form)
            for number, (completion, truth, size) in enumerate(zip(completions, target, sizes, strict=True))
        ]
        scores = composer.score(items, read(items))
        if log_metric:
            _log(scores, log_metric)
        return [score.total for score in scores]

    judge.__name__ = reward if isinstance(reward, str) else "assay"
    return judge


def as_verl(reward: str | RewardConfig, *, task: Task | None = None) -> Callable[..., dict[str, float]]:
    """Return a compute_score for verl, whose result has the total as `score` and the value of each component.

    `ground_truth` is a target as in `as_trl`, as a dict or as JSON; `extra_info` may hold `image_size`. verl needs a
    score for every answer, so an answer that cannot be judged raises a UserError.

    >>> score = as_verl("roam")
    >>> score("mmad", "<think>The line is a scratch, so A.</think><answer>A</answer>", '{"option": "A"}')["score"]
    1.0
    """
    composer, form = _composer(reward, task)

    def compute_score(
        data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, float]:
        if isinstance(ground_truth, str):
            target = json_of(ground_truth, "ground_truth")
        else:
            target = json.loads(_from_arrays(ground_truth))
        info = extra_info or {}
        item = _item(str(info.get("index", data_source)), solution_str, target, info.get("image_size"), form)
        (score,) = composer.score([item], read([item]))
        if score.total is None:
            raise UserError(f"sample {item.id}: no score, {'; '.join(score.unjudged)}")
        # verl takes the names from the first answer of a batch, so a component without a value needs an entry too.
        return {"score": score.total, **{name: nan if v is None else v for name, v in score.components.items()}}

    return compute_score


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, *, reward: str
) -> dict[str, float]:
    """Score an answer with the preset `reward`, from verl's config.

    Set custom_reward_function.path=pkg://rewards.adapters and custom_reward_function.reward_kwargs.reward=mmr_ad.
    """
    return _of_preset(reward)(data_source, solution_str, ground_truth, extra_info)


@cache
def _of_preset(reward: str) -> Callable[..., dict[str, float]]:
    return as_verl(reward)


def _composer(reward: str | RewardConfig, task: Task | None) -> tuple[Composer, Task]:
    if isinstance(reward, str):
        chosen = preset(reward)
        reward, task = chosen.config, task or chosen.task
    if task is None:
        raise UserError(f"give task= beside a config; a preset knows its own ({', '.join(PRESETS)})")
    return Composer(replace(reward, on_error=OnError.stop)), task


def _from_arrays(target: Any) -> str:
    """Return the target as JSON; lists read from a parquet file are arrays."""
    return json.dumps(target, default=lambda array: array.tolist())


def _item(id: str, text: str, target: Mapping[str, Any], image_size: Any, task: Task) -> Item:
    size = (int(image_size[0]), int(image_size[1])) if image_size is not None else UNBOUNDED
    known = {name: value for name, value in target.items() if value is not None}
    return Item(id=id, text=text, task=task, target=read_target(known), image_size=size)


def _text(completion: Any) -> str:
    """Return the text of a completion; TRL passes a text or the messages of a chat."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])


def _log(scores: Sequence[Score], log_metric: Callable[[str, float], None]) -> None:
    for name in scores[0].components if scores else ():
        values = [score.components[name] for score in scores]
        judged = [value for value in values if value is not None]
        if judged:
            log_metric(f"reward/{name}", fmean(judged))
