from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.token_groups import bare_prompt, token_group
from rl.batching import (
    PADDING,
    Vocabulary,
    fault_of,
    group_length,
    places_of,
    plan_updates,
    prompt_positions,
    split_by_budget,
    to_batch,
    tree_mask,
)
from rl.types import Group, Origin

IMAGE = 9
VOCABULARY = Vocabulary(size=100, image_token_id=IMAGE, banned_token_ids=frozenset({IMAGE, 50}))


def text_group(num_prompt: int, *lengths: int) -> Group:
    return token_group(bare_prompt(range(10, 10 + num_prompt)), [[1] * length for length in lengths])


def test_a_line_is_the_prompt_once_and_then_each_completion():
    group = token_group(bare_prompt([10, 11]), [[20, 21], [30, 31, 32]])
    batch = to_batch([group])
    assert batch.ids.tolist() == [[10, 11, 20, 21, 30, 31, 32]]
    assert batch.branches.tolist() == [[0, 0, 1, 1, 2, 2, 2]]
    assert batch.positions.tolist() == [[[0, 1, 2, 3, 2, 3, 4]]] * 3
    assert batch.labels.tolist() == [20, 21, 30, 31, 32]
    # The prompt's last token predicts the first of every completion.
    assert batch.sources.tolist() == [1, 2, 1, 4, 5]
    assert batch.has_token.tolist() == [[True, True, False], [True, True, True]]


def test_a_token_sees_the_prompt_and_its_own_completion_up_to_itself():
    segments = torch.tensor([[0, 0, 0, 0, 0, PADDING]])
    mask = tree_mask(torch.tensor([[0, 0, 1, 1, 2, PADDING]]), segments)[0].int().tolist()
    assert mask == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def test_groups_that_fit_share_a_row_and_do_not_see_each_other():
    batch = to_batch([text_group(2, 1), text_group(4, 2, 3), text_group(3, 2)])
    assert batch.ids.shape == (2, 9)
    assert batch.starts == (9 + 5, 0, 9)
    assert batch.segments[1].tolist() == [2] * 5 + [0] * 3 + [PADDING]
    assert batch.positions[:, 1].tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 0]] * 3
    assert batch.sources.tolist() == [15, 3, 4, 3, 6, 7, 11, 12]
    mask = tree_mask(batch.branches, batch.segments)
    assert mask[1, 5:8, :5].sum() == mask[1, :5, 5:].sum() == mask[1, :8, 8].sum() == 0
    assert mask[1, 7].int().tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 0]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_groups_in_a_row_do_not_overlap_and_no_row_is_longer_than_the_longest(lengths):
    taken = set()
    for length, (row, first) in zip(lengths, places_of(lengths), strict=True):
        assert first + length <= max(lengths)
        taken |= {(row, first + offset) for offset in range(length)}
    assert len(taken) == sum(lengths)


def test_sources_of_a_second_row_count_from_its_start_in_the_flattened_batch():
    batch = to_batch([text_group(2, 3), text_group(1, 1)])
    assert batch.ids.shape == (2, 5)
    assert batch.sources.tolist() == [1, 2, 3, 5]


def test_values_go_back_to_the_cells_of_their_tokens():
    batch = to_batch([text_group(2, 1, 3)])
    assert batch.spread(torch.tensor([1.0, 2, 3, 4])).tolist() == [[1, 0, 0], [2, 3, 4]]


def test_an_image_spans_a_plane_of_positions_and_text_goes_on_after_its_longer_side():
    # Two words, an image of 2 x 3 tokens, one word.
    prompt = bare_prompt([1, 2, *[IMAGE] * 6, 3], grid=((1, 4, 6),), image_spans=((2, 8),))
    assert prompt_positions(prompt).tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5],
        [0, 1, 2, 2, 2, 3, 3, 3, 5],
        [0, 1, 2, 3, 4, 2, 3, 4, 5],
    ]


def test_images_of_all_rows_are_one_array_and_nothing_is_repeated_for_completions():
    one = bare_prompt([1, IMAGE, 2], grid=((1, 2, 2),), image_spans=((1, 2),))
    two = bare_prompt([1, IMAGE, IMAGE], grid=((1, 4, 2),), image_spans=((1, 3),))
    batch = to_batch([token_group(one, [[5]] * 8), text_group(3, 1), token_group(two, [[5]] * 8)])
    assert batch.pixels.shape == (4 + 8, 6)
    assert batch.grid.tolist() == [[1, 2, 2], [1, 4, 2]]
    # The longest row first, so the group without an image stands last.
    assert batch.image_tokens.sum(1).tolist() == [1, 2, 0]


def test_an_unjudged_completion_is_run_but_does_not_count():
    group = token_group(bare_prompt([1]), [[2, 3], [4]], totals=[1.0, None], advantages=[1.0, 0.0])
    batch = to_batch([group])
    assert batch.has_token.tolist() == [[True, True], [True, False]]
    assert batch.response_mask.tolist() == [[True, True], [False, False]]
    ((plan,),) = plan_updates([group], num_updates=1, num_ranks=1, micro_batch_tokens=100)
    assert (plan.num_tokens, plan.num_completions) == (2, 1)


def test_completions_of_others_count_in_the_loss_and_not_for_parity():
    group = token_group(bare_prompt([1]), [[2, 3], [4, 5, 6]], logprobs=[[-1.0, -2.0], []], totals=[0.0, 1.0])
    first, second = group.completions
    group = replace(group, completions=(first, replace(second, origin=Origin.teacher)))
    batch = to_batch([group])
    assert batch.response_mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.of_policy.tolist() == [[True], [False]]
    assert batch.engine_logprobs.tolist() == [[-1.0, -2.0, 0.0], [0.0, 0.0, 0.0]]
    ((plan,),) = plan_updates([group], num_updates=1, num_ranks=1, micro_batch_tokens=100)
    assert (plan.num_tokens, plan.num_sampled_tokens) == (5, 2)


def test_bounded_advantages_shrink_for_unlikely_negatives_of_others():
    group = token_group(bare_prompt([1]), [[2, 3]] * 4, totals=[0.0, 0.0, 1.0, 1.0], advantages=[-1.0, -1.0, 1.0, 1.0])
    origins = (Origin.policy, Origin.teacher, Origin.policy, Origin.reference_text)
    foreign = (replace(answer, origin=origin) for answer, origin in zip(group.completions, origins, strict=True))
    batch = to_batch([replace(group, completions=tuple(foreign))])
    old = torch.tensor([[0.5, 0.1]]).log().expand(4, 2)
    expected = [[-1.0, -1.0], [-0.5, -0.1], [1.0, 1.0], [1.0, 1.0]]
    assert torch.allclose(batch.bounded_advantages(old), torch.tensor(expected))


def test_an_empty_micro_batch_becomes_a_row_that_counts_for_nothing():
    batch = to_batch([])
    assert batch.has_token.sum() == 1
    assert not batch.response_mask.any()


def test_a_group_without_advantages_or_reference_has_none():
    batch = to_batch([text_group(2, 2, 1)])
    assert batch.advantages.tolist() == [[0.0], [0.0]]
    assert batch.reference_logprobs is None


lengths = st.lists(st.tuples(st.integers(1, 30), st.lists(st.integers(1, 9), min_size=1, max_size=4)), max_size=14)


@settings(deadline=None)
@given(lengths, st.integers(1, 4), st.integers(1, 4), st.integers(8, 120))
def test_a_plan_deals_every_group_once_and_keeps_the_ranks_in_step(sizes, num_updates, num_ranks, budget):
    groups = [text_group(prompt, *answers) for prompt, answers in sizes]
    plans = plan_updates(groups, num_updates=num_updates, num_ranks=num_ranks, micro_batch_tokens=budget)
    assert [len(plan) for plan in plans] == [num_updates] * num_ranks
    dealt = []
    for update in zip(*plans, strict=True):
        assert len({(len(plan.micro_batches), plan.num_tokens, plan.num_completions) for plan in update}) == 1
        of_update = [group for plan in update for part in plan.micro_batches for group in part]
        assert update[0].num_completions == max(1, sum(len(group.completions) for group in of_update))
        dealt += of_update
        for part in (part for plan in update for part in plan.micro_batches):
            assert len(part) <= 1 or to_batch(part).ids.numel() <= budget
    assert sorted(map(id, dealt)) == sorted(map(id, groups))


def test_updates_take_the_prompts_in_order():
    groups = [text_group(length, 1) for length in (3, 9, 4, 8, 5, 7)]
    (plan,) = plan_updates(groups, num_updates=3, num_ranks=1, micro_batch_tokens=10)
    assert [sorted(group_length(g) - 1 for part in update.micro_batches for g in part) for update in plan] == [
        [3, 9],
        [4, 8],
        [5, 7],
    ]


def test_ranks_get_about_equally_many_tokens():
    rng = np.random.default_rng(0)
    groups = [text_group(int(length), 5) for length in rng.integers(50, 500, 32)]
    plans = plan_updates(groups, num_updates=1, num_ranks=4, micro_batch_tokens=1000)
    totals = [sum(group_length(g) for part in plan.micro_batches for g in part) for (plan,) in plans]
    assert max(totals) / min(totals) < 1.05


def test_rows_of_similar_length_share_a_micro_batch():
    groups = [text_group(length, 1) for length in (9, 99, 9, 99)]
    lengths = {index: group_length(group) for index, group in enumerate(groups)}
    assert split_by_budget(lengths, 200) == [[1, 3], [0, 2]]


IMAGE_PROMPT = {"token_ids": [1, IMAGE, 2], "grid": ((1, 2, 2),), "image_spans": ((1, 2),)}


def test_a_group_that_fits_the_model_has_no_fault():
    assert fault_of(token_group(bare_prompt(**IMAGE_PROMPT), [[5, 6]]), VOCABULARY) == ""
    assert fault_of(text_group(2, 3), VOCABULARY) == ""


@pytest.mark.parametrize(
    ("prompt", "answer", "words"),
    [
        ({**IMAGE_PROMPT, "grid": ((1, 4, 2),)}, [5], "its pixels need [2]"),
        ({**IMAGE_PROMPT, "token_ids": [IMAGE, IMAGE, 2]}, [5], "the prompt has 2 image tokens"),
        ({**IMAGE_PROMPT, "token_ids": [1, 1, 2]}, [5], "the prompt has 0 image tokens"),
        ({"token_ids": [1, IMAGE]}, [5], "the prompt has 1 image tokens"),
        ({"token_ids": [1, 100]}, [5], "beyond the model's 100"),
        ({"token_ids": [1, 2]}, [5, 100], "beyond the model's 100"),
        ({"token_ids": [1, 2]}, [5, 50], "must not be sampled"),
        ({"token_ids": [1, 2]}, [], "has no tokens"),
    ],
)
def test_a_group_that_does_not_fit_the_model_is_named_with_its_fault(prompt, answer, words):
    fault = fault_of(token_group(bare_prompt(**prompt, sample_id="steel/test/cut/007"), [answer]), VOCABULARY)
    assert fault.startswith("sample steel/test/cut/007: ")
    assert words in fault
