"""The learning-rate schedule over the optimizer steps of a run."""

import math

from rl.algorithm import AlgoConfig, Schedule


def lr_factor(step: int, config: AlgoConfig, num_updates: int) -> float:
    """Return the share of the peak rate at optimizer step `step` of `num_updates`: warm-up, then `config.schedule`.

    >>> lr_factor(0, AlgoConfig(warmup_steps=4), 10)
    0.25
    """
    warmup = max(config.warmup_steps, math.ceil(config.warmup_share * num_updates))
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule is Schedule.constant:
        return 1.0
    done = min(1.0, (step - warmup) / max(1, num_updates - warmup))
    if config.schedule is Schedule.linear:
        return 1 - done
    if config.schedule is Schedule.cosine_restarts and done < 1:
        done = done * config.num_cycles % 1
    return 0.5 * (1 + math.cos(math.pi * done))
