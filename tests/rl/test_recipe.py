"""The table of objectives is whole, and agrees with the other tables."""

import pytest

from rl.advantage import BASELINES, BATCH_NORMS
from rl.algorithm import AlgoConfig, Baseline, BatchNorm, Objective
from rl.loss import POLICY_LOSSES, PolicyLoss
from rl.preference_config import LossSpan, PairLoss
from rl.recipe import RECIPES, Material
from rl.taught.lesson_loss import LESSON_LOSSES
from rl.taught.preference import PAIR_LOSSES


def test_every_name_is_in_its_table():
    assert list(RECIPES) == list(Objective)
    assert list(POLICY_LOSSES) == list(PolicyLoss)
    assert list(PAIR_LOSSES) == list(PairLoss)
    assert list(BASELINES) == list(Baseline)
    assert list(BATCH_NORMS) == list(BatchNorm)


def test_the_objectives_that_teach_have_a_loss_of_lessons():
    assert [objective for objective, recipe in RECIPES.items() if recipe.teaches] == list(LESSON_LOSSES)


@pytest.mark.parametrize("objective", [objective for objective in Objective if RECIPES[objective].teaches])
def test_a_group_has_room_for_the_answers_of_its_lesson_and_of_another_prompts(objective):
    recipe = RECIPES[objective]
    answers = {Material.lessons: 1, Material.pairs: 2}[recipe.draws]
    assert recipe.group_size == answers * (2 if recipe.compares_prompts else 1)


def test_only_grpo_can_do_with_or_without_a_reference():
    without, with_kl = AlgoConfig(), AlgoConfig(kl_weight=0.1)
    needed = {
        objective.value: (recipe.needs_reference(without), recipe.needs_reference(with_kl))
        for objective, recipe in RECIPES.items()
    }
    assert needed == {"grpo": (False, True), "sft": (False, False), "dpo": (True, True), "kto": (True, True)}


def test_the_span_is_chosen_where_the_loss_can_follow_it():
    chosen = {objective.value for objective, recipe in RECIPES.items() if LossSpan.knowledge in recipe.spans}
    assert chosen == {"sft", "dpo"}
    assert all(LossSpan.response in recipe.spans for recipe in RECIPES.values())


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (Objective.grpo, "KL weight 0.02"),
        (Objective.sft, "loss of the response"),
        (Objective.dpo, "sigmoid of the response, β 0.1"),
        (Objective.kto, "β 0.1"),
    ],
)
def test_the_report_names_the_options_of_the_loss(objective, words):
    assert RECIPES[objective].options(AlgoConfig(objective=objective, kl_weight=0.02)) == words
