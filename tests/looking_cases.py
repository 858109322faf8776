"""What the tests of looking run inside ranks, and the groups that they look at."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import rl.torchvision_ops  # noqa: F401

import numpy as np
import torch
from learner_cases import ALGO, caught, model_config, open_learner
from tiny_model import tiny_prompt
from token_groups import random_group

from actors.config import LoraConfig
from rl.batching import deal, plan_updates
from rl.types import Group
from rollout.config import LocalizeConfig

BUDGET = 100
LOOK = LocalizeConfig(percentile=80.0)


def looked_groups(folder: Path) -> list[Group]:
    """Prompts of unequal length with one image or two of different sizes, and words to look at in other places."""
    sizes = (((112, 112), (84, 56)), ((140, 84),), ((56, 56), (168, 112)), ((84, 84), (84, 84)))
    lengths = ((7, 1, 5), (3, 9), (6, 2), (12, 3, 3))
    groups = []
    for index, (size, of_group) in enumerate(zip(sizes, lengths, strict=True)):
        prompt = tiny_prompt(folder, sizes=size, text="Look! " * (index + 1), seed=index)
        end = len(prompt.token_ids)
        groups.append(random_group(replace(prompt, anomaly_tokens=(2, end - 5, end - 3)), of_group, seed=index))
    return groups


def look_and_update(rank: int, ports: list[int], folder: Path, num_ranks: int) -> dict[str, Any]:
    """Looks, then two updates on what was looked at, and the same without a look; forward passes are counted."""
    found: dict[str, Any] = {}
    for port, looks in zip(ports, (True, False), strict=True):
        learner = open_learner(port, model_config(folder, lora=LoraConfig(rank=4)), replace(ALGO, lr=1e-2))
        passes = []
        learner._policy.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))  # noqa: B023
        groups = looked_groups(folder)
        if looks:
            share = deal(groups, num_ranks, BUDGET)[rank]
            seen = learner.look(share, LOOK, with_maps=True)
            found["looks"] = [
                (group.prompt.sample.id, one_seen)
                for part, of_part in zip(share, seen, strict=True)
                for group, one_seen in zip(part, of_part, strict=True)
            ]
            gathered = [None] * num_ranks
            torch.distributed.all_gather_object(gathered, found["looks"])
            by_id = dict(item for part in gathered for item in part)
            groups = [replace(group, old_logprobs=by_id[group.prompt.sample.id][0]) for group in groups]
            mute = replace(groups[0], prompt=replace(groups[0].prompt, anomaly_tokens=()))
            mine = mute if rank == num_ranks - 1 else groups[0]
            found["refused"] = caught(lambda: learner.look([[mine]], LOOK, with_maps=False))  # noqa: B023
        plans = plan_updates(groups, num_updates=2, num_ranks=num_ranks, micro_batch_tokens=BUDGET)[rank]
        report = learner.update(plans)
        weights = {name: tensor.numpy() for name, tensor in learner.weights().items()}
        of_two = (passes.count(False), passes.count(True))
        passes.clear()
        (single,) = plan_updates(groups, num_updates=1, num_ranks=num_ranks, micro_batch_tokens=BUDGET)[rank]
        learner.update([single])
        of_one = (passes.count(False), passes.count(True))
        if looks:
            (found["of one group"],) = learner.look(deal(groups[:1], num_ranks, BUDGET)[rank], LOOK, with_maps=False)
        learner.close()
        found["with look" if looks else "without"] = {
            "report": {name: value for name, value in report.items() if not name.startswith("time/")},
            "weights": weights,
            "passes": of_two,
            "passes of a single update": of_one,
        }
    return found


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
