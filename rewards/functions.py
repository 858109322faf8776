"""The user's reward functions, with TRL's or verl's signature; only this file imports a name from a config."""

import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any

from rewards.config import FunctionConfig, Signature
from rewards.item import Item, target_fields
from rl.faults import UserError, named

BatchReward = Callable[[Sequence[Item]], list[float | None]]
Hear = Callable[[str], None]
"""Listener to the lines that functions of the user's print."""


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
            f"reward.functions: cannot import {config.path} ({named(error)}{place_of(error)}); start in the folder of "
            f"{module}.py"
        ) from error
    calls = _as_trl_calls if config.signature is Signature.trl else _as_verl_calls
    return calls(function, config.path)


def place_of(error: BaseException) -> str:
    """Return the file and line of the user's code that raised an error, " (my_rewards.py:7)"; "" if none did."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [index for index, frame in enumerate(frames) if frame.filename == __file__]
    below = [frame for frame in frames[ours[-1] + 1 :] if "importlib" not in frame.filename] if ours else []
    own = [frame for frame in below if "site-packages" not in frame.filename] or below
    return next((f" ({frame.filename}:{frame.lineno})" for frame in reversed(own)), "")


@contextmanager
def heard(name: str, hear: Hear) -> Iterator[None]:
    """Tell `hear` each line that is printed within the block, by whichever thread, with the name of the reward.

    The block belongs around a call with a time limit, not inside it: a call that hangs would never give the streams
    back.
    """
    with _Lines(lambda line: hear(f"reward {name}: {line}")) as lines, redirect_stdout(lines), redirect_stderr(lines):
        yield


class _Lines(io.TextIOBase):
    """A stream that hands on each line once it is whole, and the rest when it is closed."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            # A progress bar writes its line anew and anew.
            self._hear(line.rpartition("\r")[2])
        return len(text)

    def close(self) -> None:
        # It stays writable: what the function set up, such as a logger, may still hold it.
        if self._rest:
            self.write("\n")


def _as_trl_calls(function: Callable[..., Any], path: str) -> BatchReward:
    def judge(items: Sequence[Item]) -> list[float | None]:
        columns = {
            "id": [item.id for item in items],
            "task": [item.task.value for item in items],
            "target": [target_fields(item.target) for item in items],
        }
        found = function(
            prompts=[item.question for item in items], completions=[item.text for item in items], **columns
        )
        try:
            values = list(found)
        except TypeError as error:
            raise UserError(
                f"{path} gave {found!r:.60}; it must give a list with a value for each completion"
            ) from error
        if len(values) != len(items):
            raise UserError(f"{path} gave {len(values)} values for {len(items)} completions")
        return [_number(value, path) for value in values]

    return judge


def _as_verl_calls(function: Callable[..., Any], path: str) -> BatchReward:
    def judge(items: Sequence[Item]) -> list[float | None]:
        return [
            _score_of(
                function(
                    data_source=item.task.value,
                    solution_str=item.text,
                    ground_truth=target_fields(item.target),
                    extra_info={"id": item.id},
                ),
                path,
            )
            for item in items
        ]

    return judge


def _score_of(value: Any, path: str) -> float | None:
    """Return the score from the result of a verl function, which may be a dict with more than the score."""
    if not isinstance(value, dict):
        return _number(value, path)
    if "score" not in value:
        raise UserError(f"{path} gave a dict without 'score'; it must give a number, None or a dict with one")
    return _number(value["score"], path)


def _number(value: Any, path: str) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} gave {value!r:.60}; it must give a number or None for each completion") from error
