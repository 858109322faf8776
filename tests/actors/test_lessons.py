"""What is taught, learnt under FSDP2 by one rank and by two, packed and with a pair's prompt shared."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lesson_cases import OBJECTIVES, learnt, plainly_learnt
from ranks import run_ranks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tiny_model: Path) -> dict[int, dict[str, Any]]:
    """What rank 0 of one and of two ranks found."""
    return {
        count: run_ranks(learnt, count, tiny_model, count, num_groups=len(OBJECTIVES) + 1, timeout_s=240)[0]
        for count in (1, 2)
    }


@pytest.mark.parametrize("num_ranks", [1, 2])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_packed_lessons_with_shared_prompts_give_the_loss_and_gradient_of_answers_one_by_one(
    found, tiny_model, objective, num_ranks
):
    plain, report = plainly_learnt(tiny_model, OBJECTIVES[objective]), found[num_ranks][objective]["report"]
    apart = {
        "loss": abs(report["actor/loss"] / plain["loss"] - 1),
        "gradient norm": abs(report["actor/grad_norm"] / plain["norm"] - 1),
    }
    told = ", ".join(f"{name} {gap:.0e}" for name, gap in apart.items())
    print(f"figure: {objective}, {num_ranks} ranks, relative: {told}")
    assert max(apart.values()) <= 1e-5
    for name, weight in found[num_ranks][objective]["weights"].items():
        # Adam turns the rounding of a near-zero gradient into a visible step.
        assert np.abs(weight - plain["weights"][name]).max() < 3e-4, name


def test_pairs_report_margins_of_the_answer_its_knowledge_and_its_reasoning(found):
    report = found[1]["dpo"]["report"]
    whole, *parts = (report[f"preference/{part}margin/mean"] for part in ("", "knowledge_", "reasoning_"))
    assert whole == pytest.approx(sum(parts), rel=1e-4)


def test_both_ranks_report_the_same_as_one(found):
    for objective in OBJECTIVES:
        one, two = (found[count][objective]["report"] for count in (1, 2))
        names = [name for name in one if not name.startswith("time/")]
        assert {name: two[name] for name in names} == pytest.approx({name: one[name] for name in names}, rel=1e-4)


def test_an_adapter_that_has_learnt_nothing_prefers_nothing_to_the_model_without_it(found):
    report = found[1]["adapter off"]
    assert report["actor/loss"] == pytest.approx(np.log(2) + 0.2 * report["preference/sft_loss/mean"], rel=1e-5)
    assert report["preference/margin/mean"] == 0
