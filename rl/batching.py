"""From groups to the tensors of a forward pass: one row a group, its prompt and images once, then its completions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from rl.types import Group, Prompt
from rl.verl_core import balanced_partitions

MERGE = 2
"""Vision patches a side behind one image token."""


@dataclass(frozen=True, kw_only=True)
class UpdatePlan:
    """One rank's share of one optimizer step."""

    micro_batches: list[list[Group]]
    """The same number on every rank; an empty one keeps the collectives in step."""
    num_tokens: int
    """Completion tokens that count, over all ranks."""
    num_completions: int
    """Completions that count, over all ranks."""


@dataclass(frozen=True, kw_only=True)
class GroupBatch:
    """A micro-batch as tensors: B rows of length L, C completions of at most T tokens."""

    ids: torch.Tensor
    """[B, L] token ids."""
    positions: torch.Tensor
    """[3, B, L] M-RoPE positions; every completion goes on where the prompt ended."""
    mask: torch.Tensor
    """[B, 1, L, L] bool: a token sees the prompt and its own completion up to itself."""
    image_tokens: torch.Tensor
    """[B, L] bool, True on image placeholders."""
    pixels: torch.Tensor | None
    """[patches, dim] of all images in order; None without images."""
    grid: torch.Tensor | None
    """[images, 3]."""
    sources: torch.Tensor
    """[C, T] index into the B*L hidden states of the one that predicts each token."""
    labels: torch.Tensor
    """[C, T] the tokens."""
    response_mask: torch.Tensor
    """[C, T] 1.0 on tokens that count in the loss."""
    sampled: torch.Tensor
    """[C, T] bool, True on every token that was sampled."""
    engine_logprobs: torch.Tensor
    """[C, T]."""
    reference_logprobs: torch.Tensor | None
    """[C, T]; None without a reference."""
    advantages: torch.Tensor
    """[C, 1]."""

    def to(self, device: torch.device) -> "GroupBatch":
        """The same batch on a device."""
        moved = {item.name: getattr(self, item.name) for item in fields(self)}
        return GroupBatch(**{name: value if value is None else value.to(device) for name, value in moved.items()})


def group_length(group: Group) -> int:
    """Tokens of the group's row."""
    return len(group.prompt.token_ids) + sum(len(completion.token_ids) for completion in group.completions)


def counted(group: Group) -> list[bool]:
    """Which completions take part in the loss: all but the unjudged ones."""
    if not group.scores:
        return [True] * len(group.completions)
    return [score.total is not None for score in group.scores]


def plan_updates(
    groups: Sequence[Group], *, num_updates: int, num_ranks: int, micro_batch_tokens: int
) -> list[list[UpdatePlan]]:
    """[rank][update]: prompts go to updates in order, to ranks by balanced length, to micro-batches by token budget."""
    size = len(groups) // num_updates
    updates = [
        _plan_update(groups[start : start + size], num_ranks, micro_batch_tokens)
        for start in range(0, len(groups), size)
    ]
    return [[update[rank] for update in updates] for rank in range(num_ranks)]


def _plan_update(groups: Sequence[Group], num_ranks: int, budget: int) -> list[UpdatePlan]:
    ranks = [
        [groups[index] for index in part]
        for part in balanced_partitions([group_length(group) for group in groups], num_ranks)
    ]
    count = max(_num_micro_batches(mine, budget) for mine in ranks)
    flags = [(group, counted(group)) for group in groups]
    num_tokens = sum(
        len(completion.token_ids)
        for group, keep in flags
        for completion, kept in zip(group.completions, keep, strict=True)
        if kept
    )
    num_completions = sum(sum(keep) for _, keep in flags)
    return [
        UpdatePlan(
            micro_batches=micro_batches(mine, count),
            num_tokens=max(num_tokens, 1),
            num_completions=max(num_completions, 1),
        )
        for mine in ranks
    ]


def _num_micro_batches(groups: Sequence[Group], budget: int) -> int:
    """The fewest micro-batches whose padded rows stay within the budget; a longer row is a micro-batch of its own."""
    return next(
        count
        for count in range(1, max(len(groups), 1) + 1)
        if count >= len(groups) or all(_padded(part) <= budget for part in micro_batches(groups, count))
    )


def _padded(groups: Sequence[Group]) -> int:
    return len(groups) * max((group_length(group) for group in groups), default=0)


def micro_batches(groups: Sequence[Group], count: int) -> list[list[Group]]:
    """`count` micro-batches of about equal length."""
    parts = balanced_partitions([group_length(group) for group in groups], count)
    return [[groups[index] for index in part] for part in parts]


def split_by_budget(groups: Sequence[Group], budget: int) -> list[list[Group]]:
    """Micro-batches of one rank alone."""
    return micro_batches(groups, _num_micro_batches(groups, budget))


def to_batch(groups: Sequence[Group]) -> GroupBatch:
    """The tensors of a micro-batch; an empty one becomes a row that counts for nothing."""
    rows = [_Row.of(group) for group in groups] or [_Row.empty()]
    length = max(len(row.ids) for row in rows)
    width = max(len(labels) for row in rows for labels in row.labels)
    images = [group.prompt.pixels for group in groups if group.prompt.pixels is not None]
    completions = [completion for group in groups for completion in group.completions]
    return GroupBatch(
        ids=torch.stack([_padded_to(torch.tensor(row.ids), length) for row in rows]),
        positions=torch.stack([_padded_to(torch.from_numpy(row.positions), length) for row in rows], dim=1),
        mask=torch.stack([_tree_mask(row.branches, length) for row in rows])[:, None],
        image_tokens=torch.stack([_padded_to(torch.from_numpy(row.image_tokens), length) for row in rows]),
        pixels=torch.from_numpy(np.concatenate([image.values for image in images])) if images else None,
        grid=torch.tensor([size for image in images for size in image.grid]) if images else None,
        sources=_stack([source + number * length for number, row in enumerate(rows) for source in row.sources], width),
        labels=_stack([torch.tensor(labels) for row in rows for labels in row.labels], width),
        response_mask=_stack([mask for row in rows for mask in row.masks], width),
        sampled=_stack(
            [torch.ones(len(c.token_ids), dtype=torch.bool) for c in completions] or [torch.zeros(1, dtype=torch.bool)],
            width,
        ),
        engine_logprobs=_stack([torch.tensor(c.logprobs) for c in completions] or [torch.zeros(1)], width),
        reference_logprobs=_reference_logprobs(groups, width),
        advantages=torch.tensor([value for group in groups for value in _advantages(group)] or [0.0])[:, None],
    )


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One group laid out in a line."""

    ids: list[int]
    branches: np.ndarray
    """[length] 0 on the prompt, i + 1 on completion i."""
    positions: np.ndarray
    """[3, length]."""
    image_tokens: np.ndarray
    """[length] bool."""
    sources: list[torch.Tensor]
    """Per completion, the index in this row that predicts each of its tokens."""
    labels: list[tuple[int, ...]]
    masks: list[torch.Tensor]

    @classmethod
    def of(cls, group: Group) -> "_Row":
        prompt, answers = group.prompt, [completion.token_ids for completion in group.completions]
        start, lengths = len(prompt.token_ids), [len(answer) for answer in answers]
        prompt_positions = mrope_positions(prompt)
        first = int(prompt_positions.max()) + 1
        starts = np.cumsum([start, *lengths])[:-1]
        image_tokens = np.zeros(start + sum(lengths), bool)
        for begin, end in prompt.image_spans:
            image_tokens[begin:end] = True
        return cls(
            ids=[*prompt.token_ids, *(token for answer in answers for token in answer)],
            branches=np.repeat(np.arange(len(answers) + 1), [start, *lengths]),
            positions=np.concatenate(
                [prompt_positions, *(np.tile(first + np.arange(n), (3, 1)) for n in lengths)], axis=1
            ),
            image_tokens=image_tokens,
            # The first token is predicted by the prompt's last, every other by the one before it.
            sources=[
                torch.tensor([start - 1, *range(begin, begin + n - 1)])
                for begin, n in zip(starts, lengths, strict=True)
            ],
            labels=answers,
            masks=[torch.full((n,), float(kept)) for n, kept in zip(lengths, counted(group), strict=True)],
        )

    @classmethod
    def empty(cls) -> "_Row":
        return cls(
            ids=[0, 0],
            branches=np.zeros(2, int),
            positions=np.tile(np.arange(2), (3, 1)),
            image_tokens=np.zeros(2, bool),
            sources=[torch.tensor([0])],
            labels=[(0,)],
            masks=[torch.zeros(1)],
        )


def mrope_positions(prompt: Prompt) -> np.ndarray:
    """[3, tokens] (time, height, width) positions of Qwen2.5-VL: text counts on, an image spans a plane of positions."""
    pieces, position, done = [], 0, 0
    grids = prompt.pixels.grid if prompt.pixels else ()
    for (begin, end), (_, height, width) in zip(prompt.image_spans, grids, strict=True):
        pieces.append(np.tile(position + np.arange(begin - done), (3, 1)))
        position += begin - done
        rows, columns = height // MERGE, width // MERGE
        plane = np.indices((1, rows, columns)).reshape(3, -1)
        pieces.append(position + plane)
        position, done = position + max(rows, columns), end
    pieces.append(np.tile(position + np.arange(len(prompt.token_ids) - done), (3, 1)))
    return np.concatenate(pieces, axis=1)


def _tree_mask(branches: np.ndarray, length: int) -> torch.Tensor:
    """[L, L] bool; padding sees itself alone, so that its softmax is defined."""
    size = len(branches)
    mask = np.eye(length, dtype=bool)
    same = branches[:, None] == branches[None, :]
    mask[:size, :size] = np.tril(same | (branches == 0)[None, :])
    return torch.from_numpy(mask)


def _padded_to(values: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(values, (0, length - values.shape[-1]))


def _stack(rows: Sequence[torch.Tensor], width: int) -> torch.Tensor:
    return torch.stack([_padded_to(row, width) for row in rows])


def _reference_logprobs(groups: Sequence[Group], width: int) -> torch.Tensor | None:
    rows = [torch.tensor(values) for group in groups for values in group.reference_logprobs]
    return _stack(rows, width) if rows else None


def _advantages(group: Group) -> tuple[float, ...]:
    return group.advantages or (0.0,) * len(group.completions)
