"""From groups to the tensors of a forward pass: each group in a line, its prompt and images once, then its completions.

Groups that fit behind one another share a row and do not see each other, which saves padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate

import numpy as np
import torch
from torch.nn.functional import pad

from rl.balancing import balanced_partitions
from rl.family import FAMILIES, text_positions
from rl.types import Group, Origin, Prompt

PADDING = -1
"""Branch and segment of the tokens that fill up a row."""


@dataclass(frozen=True, kw_only=True)
class UpdatePlan:
    """The share of one rank in one optimizer step."""

    micro_batches: list[list[Group]]
    """The same number on every rank; an empty one keeps the collectives in step."""
    num_tokens: int
    """Completion tokens that count, over all ranks."""
    num_completions: int
    """Completions that count, over all ranks."""
    num_sampled_tokens: int
    """Tokens of the counted completions that the policy sampled, over all ranks."""


@dataclass(frozen=True, kw_only=True)
class GroupBatch:
    """A micro-batch as tensors: B rows of length L, C completions of at most T tokens, N sampled tokens in all."""

    ids: torch.Tensor
    """[B, L] token ids."""
    positions: torch.Tensor
    """[3, B, L] (time, height, width) positions; every completion continues where the prompt ended."""
    branches: torch.Tensor
    """[B, L] 0 on a prompt, i + 1 on its completion i, PADDING after the last group."""
    segments: torch.Tensor
    """[B, L] index of the group that a token belongs to, PADDING after the last group of the row."""
    starts: tuple[int, ...]
    """First token of each group in the B*L tokens, in the order of the groups."""
    image_tokens: torch.Tensor
    """[B, L] bool, True on image placeholders."""
    pixels: torch.Tensor | None
    """[patches, dim] of all images in order; None without images."""
    grid: torch.Tensor | None
    """[images, 3] (t, h, w) of each image in patches; None without images."""
    sources: torch.Tensor
    """[N] index, among the B*L hidden states, of the state that predicts each sampled token."""
    labels: torch.Tensor
    """[N] the sampled tokens."""
    sampled: torch.Tensor
    """[C, T] bool, True where there is a token; these N cells are `labels` in order."""
    response_mask: torch.Tensor
    """[C, T] bool, True on tokens that count in the loss."""
    knowledge_mask: torch.Tensor
    """[C, T] bool, True on tokens that choose and state a piece of knowledge."""
    of_policy: torch.Tensor
    """[C, 1] bool, True on completions that the policy sampled."""
    engine_logprobs: torch.Tensor
    """[C, T] log-probs of the engine; 0 on completions that the policy did not sample."""
    reference_logprobs: torch.Tensor | None
    """[C, T] log-probs of the reference; None without one."""
    old_logprobs: torch.Tensor | None
    """[C, T] log-probs of the policy before the update; None where the update computes them."""
    advantages: torch.Tensor
    """[C, 1]."""

    def to(self, device: torch.device) -> "GroupBatch":
        """Return the same batch on a device."""
        held = {item.name: getattr(self, item.name) for item in fields(self)}
        moved = {name: value.to(device) for name, value in held.items() if isinstance(value, torch.Tensor)}
        return replace(self, **moved)

    def bounded_advantages(self, old: torch.Tensor) -> torch.Tensor:
        """Return [C, T] advantages; negative ones of texts by others are weighted by the tokens' probability.

        The policy would not sample such a text, so nothing else ends the push: -A log π falls without bound, and -A π
        does not. `old` holds log-probs, [C, T].
        """
        pushed_away = ~self.of_policy & (self.advantages < 0)
        return torch.where(pushed_away, self.advantages * old.exp(), self.advantages)

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Return [N] values as [C, T], 0 where there is no token."""
        return values.new_zeros(self.sampled.shape).masked_scatter(self.sampled, values)


def group_length(group: Group) -> int:
    """Return the number of tokens in the line of a group."""
    return len(group.prompt.token_ids) + sum(len(completion.token_ids) for completion in group.completions)


def counted(group: Group) -> list[bool]:
    """Return True for each completion that takes part in the loss: all but the unjudged ones."""
    if not group.scores:
        return [True] * len(group.completions)
    return [score.total is not None for score in group.scores]


def plan_updates(
    groups: Sequence[Group], *, num_updates: int, num_ranks: int, micro_batch_tokens: int
) -> list[list[UpdatePlan]]:
    """Return [rank][update]: prompts go to updates in order, to ranks by length, to micro-batches by token budget."""
    edges = [len(groups) * number // num_updates for number in range(num_updates + 1)]
    updates = [
        _plan_update(groups[start:end], num_ranks, micro_batch_tokens)
        for start, end in zip(edges, edges[1:], strict=False)
    ]
    return [[update[rank] for update in updates] for rank in range(num_ranks)]


def _plan_update(groups: Sequence[Group], num_ranks: int, budget: int) -> list[UpdatePlan]:
    kept = [
        completion
        for group in groups
        for completion, counts in zip(group.completions, counted(group), strict=True)
        if counts
    ]
    return [
        UpdatePlan(
            micro_batches=share,
            num_tokens=max(sum(len(completion.token_ids) for completion in kept), 1),
            num_completions=max(len(kept), 1),
            num_sampled_tokens=max(sum(len(one.token_ids) for one in kept if one.origin is Origin.policy), 1),
        )
        for share in deal(groups, num_ranks, budget)
    ]


def deal(groups: Sequence[Group], num_ranks: int, budget: int) -> list[list[list[Group]]]:
    """Return [rank][micro-batch], equally many on every rank; an empty one keeps the collectives in step."""
    shares = [
        split_by_budget([groups[index] for index in part], budget)
        for part in balanced_partitions([group_length(group) for group in groups], num_ranks)
    ]
    count = max(len(share) for share in shares)
    return [[*share, *([] for _ in range(count - len(share)))] for share in shares]


def split_by_budget(groups: Sequence[Group], budget: int) -> list[list[Group]]:
    """Return micro-batches of at most `budget` tokens, padding included; a longer group is a micro-batch of its own.

    The longest groups come first, and shorter ones fill up the rows, which are as long as the longest group.
    """
    parts: list[list[Group]] = []
    for group in sorted(groups, key=group_length, reverse=True):
        if parts and _size([*parts[-1], group]) <= budget:
            parts[-1].append(group)
        else:
            parts.append([group])
    return parts


def _size(groups: Sequence[Group]) -> int:
    """Return the number of tokens of a micro-batch, padding included."""
    lengths = [group_length(group) for group in groups]
    return (1 + max(row for row, _ in places_of(lengths))) * max(lengths)


def places_of(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return (row, first token) of each group: the longest first, each in the first row with room, rows as long as it.

    >>> places_of([3, 10, 6, 4])
    [(2, 0), (0, 0), (1, 0), (1, 6)]
    """
    room: list[int] = []
    places = [(0, 0)] * len(lengths)
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        row = next((row for row, left in enumerate(room) if lengths[index] <= left), len(room))
        if row == len(room):
            room.append(max(lengths))
        places[index] = row, max(lengths) - room[row]
        room[row] -= lengths[index]
    return places


def to_batch(groups: Sequence[Group]) -> GroupBatch:
    """Return the tensors of a micro-batch; an empty one becomes a row that counts for nothing."""
    rows = [_Row.of(group) for group in groups] or [_Row.empty()]
    length = max(len(row.ids) for row in rows)
    places = places_of([len(row.ids) for row in rows])
    starts = tuple(row * length + first for row, first in places)
    lines = _Lines(num_rows=1 + max(row for row, _ in places), length=length, starts=starts)
    completions = [completion for group in groups for completion in group.completions]
    lengths = torch.tensor([len(answer) for row in rows for answer in row.answers])
    sampled = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    kept = torch.tensor([flag for group in groups for flag in counted(group)] or [False])
    # The model takes image features in the order of their placeholders, row by row.
    in_line = [groups[index] for index in sorted(range(len(groups)), key=lambda index: places[index])]
    images = [group.prompt.pixels for group in in_line if group.prompt.pixels is not None]
    reference = [values for group in groups for values in group.reference_logprobs]
    old = [values for group in groups for values in group.old_logprobs]
    stated = torch.tensor([completion.knowledge for completion in completions] or [(0, 0)])
    columns = torch.arange(sampled.shape[1])[None]
    return GroupBatch(
        ids=lines.laid([row.ids for row in rows]),
        positions=lines.laid([row.positions for row in rows]),
        branches=lines.laid([row.branches for row in rows], PADDING),
        segments=lines.laid([np.full(len(row.ids), index) for index, row in enumerate(rows)], PADDING),
        starts=starts,
        image_tokens=lines.laid([row.image_tokens for row in rows]),
        pixels=torch.from_numpy(np.concatenate([image.values for image in images])) if images else None,
        grid=torch.tensor([size for image in images for size in image.grid]) if images else None,
        sources=torch.from_numpy(
            np.concatenate([row.sources() + start for row, start in zip(rows, starts, strict=True)])
        ),
        labels=torch.tensor([token for row in rows for answer in row.answers for token in answer]),
        sampled=sampled,
        response_mask=sampled & kept[:, None],
        knowledge_mask=(stated[:, :1] <= columns) & (columns < stated[:, 1:]),
        of_policy=torch.tensor([completion.origin is Origin.policy for completion in completions] or [False])[:, None],
        engine_logprobs=_cells([completion.logprobs for completion in completions] or [(0.0,)], sampled),
        reference_logprobs=_cells(reference, sampled) if reference else None,
        old_logprobs=_cells(old, sampled) if old else None,
        advantages=torch.tensor([value for group in groups for value in _advantages(group)] or [0.0])[:, None],
    )


@dataclass(frozen=True, kw_only=True)
class _Lines:
    """The places of groups in the rows of a micro-batch."""

    num_rows: int
    length: int
    starts: tuple[int, ...]
    """First token of each group in the tokens of all rows."""

    def laid(self, parts: Sequence[np.ndarray], filler: int = 0) -> torch.Tensor:
        """Return [..., num_rows, length] from the [..., tokens] of each group."""
        flat = np.full((*parts[0].shape[:-1], self.num_rows * self.length), filler, parts[0].dtype)
        for start, part in zip(self.starts, parts, strict=True):
            flat[..., start : start + part.shape[-1]] = part
        return torch.from_numpy(flat.reshape(*flat.shape[:-1], self.num_rows, self.length))


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A group in a line: the prompt, then its completions."""

    num_prompt: int
    answers: list[tuple[int, ...]]
    ids: np.ndarray
    """[length]."""
    positions: np.ndarray
    """[3, length]."""
    branches: np.ndarray
    """[length]."""
    image_tokens: np.ndarray
    """[length] bool."""

    @classmethod
    def of(cls, group: Group) -> "_Row":
        prompt, answers = group.prompt, [completion.token_ids for completion in group.completions]
        lengths = [len(answer) for answer in answers]
        before = prompt_positions(prompt)
        first = int(before.max()) + 1
        ids = np.array([*prompt.token_ids, *(token for answer in answers for token in answer)])
        image_tokens = np.zeros(len(ids), bool)
        for begin, end in prompt.image_spans:
            image_tokens[begin:end] = True
        return cls(
            num_prompt=len(prompt.token_ids),
            answers=answers,
            ids=ids,
            positions=np.concatenate([before, *(first + text_positions(n) for n in lengths)], axis=1),
            branches=np.repeat(np.arange(len(answers) + 1), [len(prompt.token_ids), *lengths]),
            image_tokens=image_tokens,
        )

    @classmethod
    def empty(cls) -> "_Row":
        return cls(
            num_prompt=1,
            answers=[(0,)],
            ids=np.zeros(2, int),
            positions=text_positions(2),
            branches=np.arange(2),
            image_tokens=np.zeros(2, bool),
        )

    def sources(self) -> np.ndarray:
        """Return the index that predicts each sampled token: the token before it, or the last one of the prompt."""
        sources = np.arange(self.num_prompt, len(self.ids)) - 1
        starts = accumulate([0, *(len(answer) for answer in self.answers[:-1])])
        sources[list(starts)] = self.num_prompt - 1
        return sources


def prompt_positions(prompt: Prompt) -> np.ndarray:
    """Return the [3, tokens] positions that the prompt's family gives it."""
    length, pixels = len(prompt.token_ids), prompt.pixels
    if pixels is None:
        return text_positions(length)
    return FAMILIES[pixels.model_type].positions(length, prompt.image_spans, pixels.token_grid)


def tree_mask(branches: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """Return [B, L, L] bool: a token sees the prompt of its group and its own completion, up to itself.

    Padding sees padding, so that its softmax is defined; nothing else sees padding.

    >>> tree_mask(torch.tensor([[0, 1, 2]]), torch.tensor([[0, 0, 0]])).int().tolist()
    [[[1, 0, 0], [1, 1, 0], [1, 0, 1]]]
    """
    query, key = branches[:, :, None], branches[:, None, :]
    same_group = segments[:, :, None] == segments[:, None, :]
    return (same_group & ((key == query) | (key == 0))).tril()


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The tokens that the model knows."""

    size: int
    image_token_id: int
    banned_token_ids: frozenset[int]
    """Tokens that are never sampled."""


def fault_of(group: Group, vocabulary: Vocabulary) -> str:
    """Return why the learner cannot take this group, in one sentence, or ""."""
    prompt, sample = group.prompt, f"sample {group.prompt.sample.id}"
    spans = [end - begin for begin, end in prompt.image_spans]
    wanted = prompt.pixels.num_tokens if prompt.pixels else []
    if spans != wanted or sum(spans) != prompt.token_ids.count(vocabulary.image_token_id):
        return (
            f"{sample}: the prompt has {prompt.token_ids.count(vocabulary.image_token_id)} image tokens in spans of "
            f"{spans}, but its pixels need {wanted}; make both with the processor of model.path"
        )
    tokens = [*prompt.token_ids, *(token for completion in group.completions for token in completion.token_ids)]
    if not 0 <= min(tokens) <= max(tokens) < vocabulary.size:
        return f"{sample}: a token is beyond the model's {vocabulary.size}; use the tokenizer of model.path"
    if any(not completion.token_ids for completion in group.completions):
        return f"{sample}: a completion has no tokens; give rollout.max_response_tokens room for one"
    if any(not vocabulary.banned_token_ids.isdisjoint(completion.token_ids) for completion in group.completions):
        return f"{sample}: a completion holds a token that must not be sampled; ban the same tokens in the engine"
    return ""


def _cells(rows: Sequence[Sequence[float]], sampled: torch.Tensor) -> torch.Tensor:
    """Return [C, T] float from rows of unequal lengths."""
    width = sampled.shape[1]
    return torch.stack([pad(torch.tensor(row, dtype=torch.float32), (0, width - len(row))) for row in rows])


def _advantages(group: Group) -> tuple[float, ...]:
    return group.advantages or (0.0,) * len(group.completions)
