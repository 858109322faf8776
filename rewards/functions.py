"""The user's reward functions, with TRL's or verl's signature; only this file imports a name from a config."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from rewards.config import FunctionConfig, Signature
from rewards.item import Item, target_fields
from rl.faults import UserError, named

BatchReward = Callable[[Sequence[Item]], list[float | None]]


def load_function(config: FunctionConfig) -> BatchReward:
    """Import the user's function and return it as one that judges a batch of items."""
    module, _, name = config.path.rpartition(".")
    if os.getcwd() not in sys.path:
        # Users start a run where their functions lie; the console command does not search that folder by itself.
        sys.path.append(os.getcwd())
    try:
        function = getattr(import_module(module), name)
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises, it is the user who mends it
        raise UserError(
            f"reward.functions: cannot import {config.path} ({named(error)}); start in the folder of {module}.py"
        ) from error
    return _as_trl_calls(function, config) if config.signature is Signature.trl else _as_verl_calls(function)


def _as_trl_calls(function: Callable[..., Any], config: FunctionConfig) -> BatchReward:
    def judge(items: Sequence[Item]) -> list[float | None]:
        columns = {
            "id": [item.id for item in items],
            "task": [item.task.value for item in items],
            "target": [target_fields(item.target) for item in items],
        }
        values = list(
            function(prompts=[item.question for item in items], completions=[item.text for item in items], **columns)
        )
        if len(values) != len(items):
            raise UserError(f"{config.path} gave {len(values)} values for {len(items)} completions")
        return [None if value is None else float(value) for value in values]

    return judge


def _as_verl_calls(function: Callable[..., Any]) -> BatchReward:
    def judge(items: Sequence[Item]) -> list[float | None]:
        return [
            _score_of(
                function(
                    data_source=item.task.value,
                    solution_str=item.text,
                    ground_truth=target_fields(item.target),
                    extra_info={"id": item.id},
                )
            )
            for item in items
        ]

    return judge


def _score_of(value: Any) -> float | None:
    """Return the score from the result of a verl function, which may be a dict with more than the score."""
    if isinstance(value, dict):
        value = value["score"]
    return None if value is None else float(value)
