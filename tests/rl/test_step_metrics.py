from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.groups_with_looks import look, looked
from builders.scored_groups import completion, group, score
from rl.metrics import component_correlations, meaning, staleness, step_metrics
from rl.types import Origin, Score

TIMINGS = {"time/step": 2.0, "time/rollout": 1.5}


def test_rewards_are_averaged_over_completions_by_component() -> None:
    groups = [group([score(1, 1, 0.5), score(1, 0, 0)]), group([score(0, 0, 0), score(1, 1, 1)])]
    metrics = step_metrics(groups, {}, TIMINGS)
    assert metrics["reward/mean"] == (2.5 + 1 + 0 + 3) / 4
    assert metrics["reward/format/mean"] == 0.75
    assert metrics["reward/accuracy/mean"] == 0.5
    assert metrics["reward/box/mean"] == 0.375


def test_groups_without_contrast_are_reported_as_a_share() -> None:
    groups = [group([score(), score()]), group([score(), score(box=0)]), group([score(box=None), score()])]
    assert step_metrics(groups, {}, TIMINGS)["reward/zero_std_groups"] == pytest.approx(2 / 3)


def test_unjudged_completions_are_counted_and_not_taken_as_zero() -> None:
    metrics = step_metrics([group([score(box=None), score(box=0.5)])], {}, TIMINGS)
    assert metrics["fault/unjudged"] == 1
    assert metrics["reward/mean"] == 2.5
    assert metrics["reward/box/mean"] == 0.5


def test_a_step_without_any_judgement_has_no_reward() -> None:
    assert "reward/mean" not in step_metrics([group([score(box=None)])], {}, TIMINGS)


def test_unjudged_completions_are_reported_as_a_share_too() -> None:
    metrics = step_metrics([group([score(box=None), score(), score(), score()])], {}, TIMINGS)
    assert metrics["reward/unjudged"] == 0.25


def test_the_share_of_well_formed_completions_counts_those_of_the_policy() -> None:
    broken = replace(score(), malformed=("no answer",))
    taught = replace(completion(), origin=Origin.reference_text)
    groups = [group([broken, score()]), group([broken, score()], [completion(), taught])]
    assert step_metrics(groups, {}, TIMINGS)["response/well_formed"] == pytest.approx(1 / 3)
    assert "response/well_formed" not in step_metrics([group([score()], [taught])], {}, TIMINGS)


def test_the_spread_of_a_component_is_over_all_completions_of_the_step() -> None:
    groups = [group([score(accuracy=0), score(accuracy=0)]), group([score(accuracy=1), score(accuracy=1)])]
    metrics = step_metrics(groups, {}, TIMINGS)
    assert (metrics["reward/accuracy/std"], metrics["reward/format/std"]) == (0.5, 0)


def test_components_are_correlated_in_the_order_of_their_names() -> None:
    # format 1 0 0 1, accuracy 1 0 0 0, box 0 1 1 0: r(format, accuracy) = 0.25 / (0.5 * sqrt(3) / 4) = 1 / sqrt(3)
    scores = [score(1, 1, 0), score(0, 0, 1), score(0, 0, 1), score(1, 0, 0)]
    metrics = step_metrics([group(scores[:2]), group(scores[2:])], {}, TIMINGS)
    found = {name.split("/")[2]: value for name, value in metrics.items() if name.startswith("reward/correlation/")}
    assert found == pytest.approx({"format_accuracy": 3**-0.5, "format_box": -1, "accuracy_box": -(3**-0.5)})


def test_a_correlation_with_a_constant_or_over_two_completions_is_left_out() -> None:
    constant = step_metrics([group([score(1, 1), score(1, 0), score(1, 1)])], {}, TIMINGS)
    assert not [name for name in constant if "correlation/format" in name]
    two = step_metrics([group([score(1, 1, 0), score(0, 0, 1)])], {}, TIMINGS)
    assert not [name for name in two if "correlation" in name]


def test_unjudged_values_are_left_out_of_correlations() -> None:
    scores = [score(0, 0, None), score(1, 1, 0.5), score(1, 0, 0.25), score(0, 1, 0.0)]
    metrics = step_metrics([group(scores)], {}, TIMINGS)
    # box 0.5 0.25 0 against format 1 1 0
    assert metrics["reward/correlation/format_box"] == pytest.approx(3**0.5 / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=30))
def test_correlations_are_those_of_numpy(values: list[tuple[float, float]]) -> None:
    found = component_correlations([Score(total=1.0, components={"a": a, "b": b}) for a, b in values])
    spread = np.std(np.array(values), axis=0)
    if min(spread) > 1e-3:
        assert found["a_b"] == pytest.approx(np.corrcoef(np.array(values).T)[0, 1], abs=1e-9)


def test_length_is_correlated_with_reward() -> None:
    completions = [completion(length=length) for length in (10, 20, 30)]
    pays = step_metrics([group([score(box=0), score(box=0.5), score(box=1)], completions)], {}, TIMINGS)
    costs = step_metrics([group([score(box=1), score(box=0.5), score(box=0)], completions)], {}, TIMINGS)
    flat = step_metrics([group([score()] * 3, completions)], {}, TIMINGS)
    assert pays["reward/length_correlation"] == pytest.approx(1)
    assert costs["reward/length_correlation"] == pytest.approx(-1)
    assert "reward/length_correlation" not in flat


def test_attention_metrics_are_by_label_or_over_all_tokens() -> None:
    box = ((2.0, 2.0, 6.0, 6.0),)
    defective = looked(group([score()] * 2, boxes=box), look(0.25, (0, 0, 1)), look(0.75, (2,), entropy=(1.5,)))
    normal = looked(group([score()]), look(0.125, (0.5, 0, 0, 0.5)))
    found = step_metrics([defective, normal, group([score()])], {}, TIMINGS)
    assert {name: value for name, value in found.items() if name.startswith("attention/")} == pytest.approx(
        {
            "attention/agreement_defective/mean": 0.5,
            "attention/agreement_normal/mean": 0.125,
            "attention/selected/mean": 4 / 8,
            "attention/lone/mean": 2 / 3,
            "attention/entropy/mean": (7 * 0.5 + 1.5) / 8,
        }
    )


def test_a_label_without_looks_has_no_attention_metrics() -> None:
    only_normal = step_metrics([looked(group([score()]), look())], {}, TIMINGS)
    assert "attention/agreement_defective/mean" not in only_normal and only_normal["attention/agreement_normal/mean"]
    assert not [name for name in step_metrics([group([score()])], {}, TIMINGS) if name.startswith("attention/")]


def test_lengths_and_speed_count_completion_tokens() -> None:
    completions = [completion(length=10), completion(length=20, finish_reason="length")]
    metrics = step_metrics([group([score(), score()], completions)], {}, TIMINGS)
    assert metrics["response/length/mean"] == 15
    assert metrics["response/length/max"] == 20
    assert metrics["response/length/clipped"] == 0.5
    assert metrics["perf/samples_per_s"] == 1
    assert metrics["perf/tokens_per_s"] == 15


def test_the_policy_report_and_the_timings_pass_through() -> None:
    metrics = step_metrics([group([score()])], {"actor/loss": 0.25, "parity/logprob_abs_mean": 1e-6}, TIMINGS)
    assert metrics["actor/loss"] == 0.25
    assert metrics["parity/logprob_abs_mean"] == 1e-6
    assert metrics["time/rollout"] == 1.5


def test_every_recorded_name_is_explained() -> None:
    report = {"actor/loss": 0.0, "actor/kl": 0.0, "actor/entropy": 0.0, "actor/clip_ratio": 0.0, "actor/lr": 0.0}
    several = group([score(1, 1, 0), score(0, 1, 1), score(1, 0, 0)], [completion(length=n) for n in (1, 2, 3)])
    metrics = step_metrics([looked(several, look(), look(), look())], report, TIMINGS)
    assert {"reward/correlation/format_box", "reward/length_correlation", "reward/box/std"} <= metrics.keys()
    assert "attention/selected/mean" in metrics
    assert [name for name in metrics if meaning(name) is None] == []
    assert meaning("somebody/elses") is None
    names = ("agreement_normal", "knowledge", "pixel_auroc", "accuracy")
    meanings = [meaning(f"eval/heldout/{name}") for name in names]
    assert len({explained.text for explained in meanings if explained}) == 4


def test_staleness_counts_the_updates_since_a_completion_was_sampled() -> None:
    assert staleness(3, [group([score(), score()])]) == {"staleness/mean": 2, "staleness/max": 2}


def test_staleness_is_the_mean_and_the_maximum_and_0_without_lag() -> None:
    current, old = replace(completion(), policy_version=4), replace(completion(), policy_version=2)
    mixed = [group([score()] * 2, [current, current]), group([score()] * 2, [current, old])]
    assert staleness(5, mixed) == {"staleness/mean": 0.5, "staleness/max": 2}
    assert staleness(5, mixed[:1]) == {"staleness/mean": 0, "staleness/max": 0}


def test_overhead_is_the_share_without_generation_and_gradients() -> None:
    timings = {"time/step": 10.0, "time/generate": 5.0, "time/gradient": 3.0, "time/reward": 4.0, "time/update": 3.5}
    assert step_metrics([group([score()])], {}, timings)["perf/overhead"] == pytest.approx(0.2)
