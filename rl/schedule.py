"""The learning rate over the optimizer steps of a run."""

import math

from rl.algorithm import AlgoConfig, Schedule


def lr_factor(step: int, config: AlgoConfig, num_updates: int) -> float:
    """Share of the peak rate at optimizer step `step` of `num_updates`: linear warm-up, then the schedule.

    >>> lr_factor(0, AlgoConfig(warmup_steps=4), 10)
    0.25
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule is Schedule.constant:
        return 1.0
    done = (step - config.warmup_steps) / max(1, num_updates - config.warmup_steps)
    left = max(0.0, 1.0 - done)
    return left if config.schedule is Schedule.linear else 0.5 * (1 - math.cos(math.pi * left))
