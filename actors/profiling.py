"""A torch profile of a learner during some training steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from actors.setups import ProfilePlan


class StepProfiler:
    """Records a rank from the first step of the plan to the end of the last, then writes a Chrome trace."""

    def __init__(self, plan: ProfilePlan, rank: int, on: torch.device) -> None:
        devices = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on.type == "cuda" else [])]
        self._steps = plan.steps
        self._file = Path(plan.folder) / f"rank_{rank}.json"
        self._profile = profile(activities=devices)
        self._runs = False

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Record the block if it is a step of the plan; what the rank does between two steps is recorded too."""
        if number not in self._steps:
            yield
            return
        if not self._runs:
            self._profile.start()
            self._runs = True
        with record_function(f"training step {number}"):
            yield
        if number == self._steps[-1]:
            self._profile.stop()
            self._file.parent.mkdir(exist_ok=True)
            self._profile.export_chrome_trace(str(self._file))
