"""From groups to the tensors of a forward pass: each group in a line, its prompt and images once, then its completions.

Groups that fit behind one another share a row and do not see each other, which saves padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate

import numpy as np
import torch
from torch.nn.functional import pad

from rl.balancing import balanced_partitions
from rl.family import FAMILIES, text_positions
from rl.types import Completion, Group, Origin, Pixels, Prompt, Sample, Score, Target

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
    """A micro-batch as tensors: B rows of length L, C completions of at most T tokens, N tokens in all completions."""

    ids: torch.Tensor
    """[B, L] token ids."""
    positions: torch.Tensor
    """[3, B, L] (time, height, width) positions; every completion continues where the prompt ended."""
    branches: torch.Tensor
    """[B, L] 0 on a prompt, i + 1 on its completion i, PADDING after the last group of the row."""
    segments: torch.Tensor
    """[B, L] index of the group that a token belongs to, PADDING after the last group of the row."""
    starts: tuple[int, ...]
    """First token of each group in the B*L tokens, in the order of the groups."""
    image_tokens: torch.Tensor
    """[B, L] bool, True on image placeholders."""
    pixels: torch.Tensor | None
    """[patches, dim] of all images, in the order of their placeholders, row by row; None without images."""
    grid: torch.Tensor | None
    """[images, 3] (t, h, w) of each image in patches; None without images."""
    sources: torch.Tensor
    """[N] index, among the B*L hidden states, of the state that predicts each token of the completions."""
    labels: torch.Tensor
    """[N] the completions' tokens."""
    has_token: torch.Tensor
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
        return values.new_zeros(self.has_token.shape).masked_scatter(self.has_token, values)


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
            micro_batches=[[groups[index] for index in part] for part in share],
            num_tokens=max(sum(len(completion.token_ids) for completion in kept), 1),
            num_completions=max(len(kept), 1),
            num_sampled_tokens=max(sum(len(one.token_ids) for one in kept if one.origin is Origin.policy), 1),
        )
        for share in deal(groups, num_ranks, budget)
    ]


def deal(groups: Sequence[Group], num_ranks: int, budget: int) -> list[list[list[int]]]:
    """Return [rank][micro-batch][group] indices of `groups`.

    Every rank has equally many micro-batches; an empty one keeps the collectives in step.
    """
    lengths = [group_length(group) for group in groups]
    shares = [
        split_by_budget({index: lengths[index] for index in part}, budget)
        for part in balanced_partitions(lengths, num_ranks)
    ]
    count = max(len(share) for share in shares)
    return [[*share, *([] for _ in range(count - len(share)))] for share in shares]


def split_by_budget(lengths: Mapping[int, int], budget: int) -> list[list[int]]:
    """Return the groups, given as index → length, in micro-batches of at most `budget` tokens, padding included.

    The longest groups come first, and shorter ones fill up the rows, which are as long as the longest group. A group
    longer than the budget is a micro-batch of its own.
    """
    parts: list[list[int]] = []
    for index in sorted(lengths, key=lambda index: -lengths[index]):
        if parts and _size([lengths[i] for i in (*parts[-1], index)]) <= budget:
            parts[-1].append(index)
        else:
            parts.append([index])
    return parts


def _size(lengths: Sequence[int]) -> int:
    """Return the number of tokens of a micro-batch of groups of these lengths, padding included."""
    return (1 + max(row for row, _ in places_of(lengths))) * max(lengths)


def places_of(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Return (row, first token) of each group: the longest first, each in the first row with room.

    Rows are as long as the longest group.

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


_NO_TRUTH = Target(label="")
_BLANK = Group(
    prompt=Prompt(
        sample=Sample(id="", images=(), question="", target=_NO_TRUTH, category=""),
        token_ids=(0,),
        pixels=None,
        image_spans=(),
        image_size=(0, 0),
        target=_NO_TRUTH,
    ),
    completions=(
        Completion(
            token_ids=(0,), text="", logprobs=(), finish_reason="stop", policy_version=0, origin=Origin.reference_text
        ),
    ),
    scores=(Score(total=None, components={}),),
)
"""Content of an empty micro-batch: its token is not judged and not the policy's, so it counts for nothing."""


def to_batch(groups: Sequence[Group]) -> GroupBatch:
    """Return the tensors of a micro-batch; an empty one becomes a row that counts for nothing."""
    groups = groups or [_BLANK]
    lines = [_Line.of(group) for group in groups]
    layout = _Layout.of([len(line.ids) for line in lines])
    images = _images(groups, layout.starts)
    completions = [completion for group in groups for completion in group.completions]
    has_token = _has_token([len(completion.token_ids) for completion in completions])
    kept = torch.tensor([counts for group in groups for counts in counted(group)])
    reference = [values for group in groups for values in group.reference_logprobs]
    old = [values for group in groups for values in group.old_logprobs]
    return GroupBatch(
        ids=layout.laid([line.ids for line in lines]),
        positions=layout.laid([line.positions for line in lines]),
        branches=layout.laid([line.branches for line in lines], PADDING),
        segments=layout.laid([np.full(len(line.ids), index) for index, line in enumerate(lines)], PADDING),
        starts=layout.starts,
        image_tokens=layout.laid([line.image_tokens for line in lines]),
        pixels=torch.from_numpy(np.concatenate([image.values for image in images])) if images else None,
        grid=torch.tensor([size for image in images for size in image.grid]) if images else None,
        sources=layout.in_rows([line.sources for line in lines]),
        labels=torch.tensor([token for completion in completions for token in completion.token_ids]),
        has_token=has_token,
        response_mask=has_token & kept[:, None],
        knowledge_mask=_knowledge_mask(completions, has_token.shape[1]),
        of_policy=torch.tensor([completion.origin is Origin.policy for completion in completions])[:, None],
        engine_logprobs=_cells([completion.logprobs for completion in completions], has_token.shape[1]),
        reference_logprobs=_cells(reference, has_token.shape[1]) if reference else None,
        old_logprobs=_cells(old, has_token.shape[1]) if old else None,
        advantages=torch.tensor([value for group in groups for value in _advantages(group)])[:, None],
    )


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The places of lines in the rows of a micro-batch."""

    num_rows: int
    length: int
    """Tokens of a row."""
    starts: tuple[int, ...]
    """First token of each line in the tokens of all rows."""

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "_Layout":
        places, length = places_of(lengths), max(lengths)
        starts = tuple(row * length + first for row, first in places)
        return cls(num_rows=1 + max(row for row, _ in places), length=length, starts=starts)

    def laid(self, parts: Sequence[np.ndarray], filler: int = 0) -> torch.Tensor:
        """Return [..., num_rows, length] from the [..., tokens] of each line."""
        flat = np.full((*parts[0].shape[:-1], self.num_rows * self.length), filler, parts[0].dtype)
        for start, part in zip(self.starts, parts, strict=True):
            flat[..., start : start + part.shape[-1]] = part
        return torch.from_numpy(flat.reshape(*flat.shape[:-1], self.num_rows, self.length))

    def in_rows(self, parts: Sequence[np.ndarray]) -> torch.Tensor:
        """Return the indices of all lines, each counted within its line, as indices in the tokens of all rows."""
        return torch.from_numpy(np.concatenate([part + start for part, start in zip(parts, self.starts, strict=True)]))


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A group in a line: the prompt, then its completions."""

    ids: np.ndarray
    """[length]."""
    positions: np.ndarray
    """[3, length]."""
    branches: np.ndarray
    """[length]."""
    image_tokens: np.ndarray
    """[length] bool."""
    sources: np.ndarray
    """[length - prompt] index of the token that predicts each token of the completions."""

    @classmethod
    def of(cls, group: Group) -> "_Line":
        prompt, answers = group.prompt, [completion.token_ids for completion in group.completions]
        num_prompt, lengths = len(prompt.token_ids), [len(answer) for answer in answers]
        before = prompt_positions(prompt)
        first = int(before.max()) + 1
        ids = np.array([*prompt.token_ids, *(token for answer in answers for token in answer)])
        image_tokens = np.zeros(len(ids), bool)
        for begin, end in prompt.image_spans:
            image_tokens[begin:end] = True
        return cls(
            ids=ids,
            positions=np.concatenate([before, *(first + text_positions(n) for n in lengths)], axis=1),
            branches=np.repeat(np.arange(len(answers) + 1), [num_prompt, *lengths]),
            image_tokens=image_tokens,
            sources=_sources(num_prompt, lengths),
        )


def _sources(num_prompt: int, lengths: Sequence[int]) -> np.ndarray:
    """Return the index that predicts each token of the completions: the token before it, or the prompt's last one."""
    sources = np.arange(num_prompt, num_prompt + sum(lengths)) - 1
    first_tokens = list(accumulate(lengths[:-1], initial=0))
    sources[first_tokens] = num_prompt - 1
    return sources


def _images(groups: Sequence[Group], starts: Sequence[int]) -> list[Pixels]:
    """Return the images row by row: the model takes their features in the order of their placeholders."""
    in_order = sorted(range(len(groups)), key=lambda index: starts[index])
    return [groups[index].prompt.pixels for index in in_order if groups[index].prompt.pixels is not None]


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


def _has_token(lengths: Sequence[int]) -> torch.Tensor:
    """Return [C, T] bool, True on the first `lengths[c]` of each completion c."""
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]


def _knowledge_mask(completions: Sequence[Completion], width: int) -> torch.Tensor:
    spans = torch.tensor([completion.knowledge for completion in completions])
    columns = torch.arange(width)[None]
    return (spans[:, :1] <= columns) & (columns < spans[:, 1:])


def _cells(rows: Sequence[Sequence[float]], width: int) -> torch.Tensor:
    """Return [C, T] float from rows of unequal lengths, T being `width`."""
    return torch.stack([pad(torch.tensor(row, dtype=torch.float32), (0, width - len(row))) for row in rows])


def _advantages(group: Group) -> tuple[float, ...]:
    return group.advantages or (0.0,) * len(group.completions)
