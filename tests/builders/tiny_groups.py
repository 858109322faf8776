"""Groups of the tiny model with images of several sizes, for the tests of learners."""

from dataclasses import replace
from pathlib import Path

from builders.tiny_model import tiny_prompt
from builders.token_groups import random_group
from rl.types import Group


def mixed_groups(folder: Path) -> list[Group]:
    """Make groups with prompts of unequal length, no to two images of several sizes, and one unjudged completion."""
    sizes = (((112, 112), (84, 56)), ((140, 84),), (), ((56, 56),), ((84, 84), (84, 84)))
    lengths = ((7, 1, 5), (3, 9), (4, 4, 2, 8), (6, 2), (12, 3, 3))
    return [
        random_group(
            tiny_prompt(folder, sizes=size, text="Look! " * (index + 1), seed=index),
            of_group,
            seed=index,
            unjudged=(1,) if index == 1 else (),
        )
        for index, (size, of_group) in enumerate(zip(sizes, lengths, strict=True))
    ]


def groups_with_words(folder: Path) -> list[Group]:
    """Make groups with prompts of unequal length, one or two images of several sizes, and anomaly words."""
    sizes = (((112, 112), (84, 56)), ((140, 84),), ((56, 56), (168, 112)), ((84, 84), (84, 84)))
    lengths = ((7, 1, 5), (3, 9), (6, 2), (12, 3, 3))
    groups = []
    for index, (size, of_group) in enumerate(zip(sizes, lengths, strict=True)):
        prompt = tiny_prompt(folder, sizes=size, text="Look! " * (index + 1), seed=index)
        end = len(prompt.token_ids)
        groups.append(random_group(replace(prompt, anomaly_tokens=(2, end - 5, end - 3)), of_group, seed=index))
    return groups
