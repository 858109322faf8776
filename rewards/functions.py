"""The user's reward functions, with TRL's or verl's signature, in a process of their own: rewards/calling.py."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from rewards.component import Values
from rewards.config import FunctionConfig, RewardConfig, Signature
from rewards.item import Item, target_fields
from rewards.process import Ended, Hear, Process
from rl.faults import UserError, one_line

PROGRAM = Path(__file__).with_name("calling.py")
CALLS_PER_IMPORT = 20
"""An import may take this many times reward.timeout_s: ten minutes by default, for large packages on slow disks."""


class Lost(Exception):
    """A call that gave no values and after which the process was killed; the message says why."""


class Raised(Exception):
    """An exception in a function of the user's."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        """Name of its class."""


class Functions:
    """The functions, loaded in a process that stays warm.

    A call that takes too long or too much memory, or ends the process, costs the functions what they keep in memory:
    the next call finds them loaded anew.
    """

    def __init__(self, config: RewardConfig, hear: Hear | None) -> None:
        """Load them; `hear` is told each line that they print, None leaves their output alone."""
        self._config = config
        self._hear = hear
        # Trainers may judge in several threads; requests go one by one.
        self._lock = Lock()
        self._process = self._started()

    def judge(self, function: FunctionConfig, items: Sequence[Item]) -> Values | Exception:
        """Return a value for each item; Lost if the process had to go, another exception if the function raised it."""
        arguments = (_columns if function.signature is Signature.trl else _calls)(items)
        with self._lock:
            if not self._process.is_usable:
                try:
                    self._process = self._started()
                except UserError as error:
                    # What worked at the start of the run must not end it now.
                    return Lost(str(error))
            request = {"call": function.name, "arguments": arguments}
            try:
                answer = self._process.ask(request, self._listener(function), self._config.timeout_s)
            except TimeoutError:
                return Lost(f"no answer in reward.timeout_s={self._config.timeout_s:g} s")
            except Ended as error:
                return Lost(f"its process {error}; a function of reward.functions has to return")
            if "values" in answer:
                values: Values = answer["values"]
                return values
            if answer["lacks_memory"]:
                self._process.kill()
                return Lost(f"it takes more than {self._memory}{answer['place']}")
        return _error(answer)

    @property
    def _memory(self) -> str:
        return f"reward.memory_mb={self._config.memory_mb} MB"

    def _started(self) -> Process:
        # Users start a run where their functions lie; the console command does not search that folder by itself.
        setup = {"sys_path": [*map(str, sys.path), os.getcwd()], "memory_mb": self._config.memory_mb}
        try:
            process = Process(PROGRAM, setup, is_heard=self._hear is not None)
        except OSError as error:
            raise UserError(
                f"reward.functions: their process cannot be started ({error}); give this machine room for another one"
            ) from error
        try:
            for function in self._config.functions:
                self._load(function, process)
        except UserError:
            # The traceback would keep it alive.
            process.kill()
            raise
        return process

    def _load(self, function: FunctionConfig, process: Process) -> None:
        request = {"load": function.name, "path": function.path, "signature": function.signature.value}
        limit = CALLS_PER_IMPORT * self._config.timeout_s
        try:
            answer = process.ask(request, self._listener(function), limit)
        except TimeoutError as error:
            raise UserError(
                f"reward.functions: cannot import {function.path}: it takes more than {limit:g} s, {CALLS_PER_IMPORT} "
                f"times reward.timeout_s={self._config.timeout_s:g}; remove what its module waits for, or give more"
            ) from error
        except Ended as error:
            raise UserError(f"reward.functions: cannot import {function.path}: its process {error}") from error
        if not answer:
            return
        if answer["lacks_memory"]:
            raise UserError(
                f"reward.functions: cannot import {function.path}: it takes more than {self._memory}{answer['place']}"
            )
        reason = one_line(": ".join(filter(None, (answer["raised"], answer["message"]))))
        raise UserError(
            f"reward.functions: cannot import {function.path} ({reason}{answer['place']}); start in the folder of "
            f"{function.path.rpartition('.')[0]}.py"
        )

    def _listener(self, function: FunctionConfig) -> Hear:
        """Return the listener to what is printed during a request about a function."""
        hear = self._hear
        return (lambda line: hear(f"reward {function.name}: {line}")) if hear else lambda _: None


def _error(answer: dict[str, Any]) -> Exception:
    """Return the exception of an answer; one whose message says itself what is wrong is a UserError."""
    told = answer["message"] + answer["place"]
    return Raised(answer["raised"], told) if answer["raised"] else UserError(told)


def _columns(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return the arguments of the one call of a TRL function."""
    return [
        {
            "prompts": [item.question for item in items],
            "completions": [item.text for item in items],
            "id": [item.id for item in items],
            "task": [item.task.value for item in items],
            "target": [target_fields(item.target) for item in items],
        }
    ]


def _calls(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return the arguments of each call of a verl function."""
    return [
        {
            "data_source": item.task.value,
            "solution_str": item.text,
            "ground_truth": target_fields(item.target),
            "extra_info": {"id": item.id},
        }
        for item in items
    ]
