import math
import random
from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.alarms import FORM_STEPS, SILENT_STEPS, WINDOW, Standing, Watch, fell, rose, sides
from rl.roles import Metrics

SHARE = {"accuracy": (0.0, 1.0)}


def row(step: int, zero_std: float = 0.3, reward: float = 0.5, **components: tuple[float, float]) -> Metrics:
    """Return the metrics of a training step; `components` are (mean, standard deviation) by name."""
    metrics = {"step": step, "reward/mean": reward, "reward/zero_std_groups": zero_std}
    for name, (mean, std) in components.items():
        metrics |= {f"reward/{name}/mean": mean, f"reward/{name}/std": std}
    return metrics


def evaluation(step: int, accuracy: float, samples: int = 200) -> Metrics:
    return {"step": step, "eval/heldout/accuracy": accuracy, "eval/heldout/samples": samples}


def warned(rows: Sequence[Metrics], ranges: dict = SHARE) -> list[tuple[float, str]]:
    """Return (step, sentence) of each warning."""
    watch = Watch(ranges)
    return [(metrics["step"], sentence) for metrics in rows for sentence in watch.see(metrics)]


def steps(values: Sequence[float], std: float = 0.4) -> list[Metrics]:
    return [row(step, accuracy=(value, std)) for step, value in enumerate(values, start=1)]


def noisy(first: float, last: float, count: int, noise: float = 0.03, seed: int = 0) -> list[float]:
    rng = random.Random(seed)
    return [first + (last - first) * step / (count - 1) + rng.gauss(0, noise) for step in range(count)]


def test_a_run_that_learns_gives_no_warning():
    rows = [evaluation(0, 0.6)]
    for start, accuracy in ((0, 0.7), (50, 0.85), (100, 0.84), (150, 0.9)):
        learned = noisy(0.5 + start / 500, 0.6 + start / 500, 50)
        rows += [row(start + at, reward=value, accuracy=(value, 0.4)) for at, value in enumerate(learned, start=1)]
        rows.append(evaluation(start + 50, accuracy))
    assert warned(rows) == []


def examined(step: int, accuracy: float, reward: float, samples: int = 200) -> Metrics:
    return evaluation(step, accuracy, samples) | {"eval/heldout/reward": reward}


def test_accuracy_and_reward_that_fall_far_together_give_a_warning():
    ((step, sentence),) = warned([examined(0, 0.6, 1.2), examined(50, 1.0, 2.9), examined(60, 0.0, 0.1)])
    assert step == 60
    assert sentence == (
        "held-out accuracy fell from 1.000 after 50 steps to 0.000 after 60, and the reward of these answers from 2.9 "
        "to 0.1: the policy broke, by damaged weights or by steps that are too large (algo.lr); look at samples/, and "
        "resume from before"
    )


def test_a_fall_that_chance_or_another_reward_explains_is_no_collapse():
    few = [examined(0, 1.0, 2.9, samples=4), examined(10, 0.7, 2.0, samples=4)]
    little = [examined(0, 0.9, 2.9), examined(10, 0.7, 2.0)]
    assert warned(few) == warned(little) == []


def test_ten_steps_without_contrast_give_one_warning():
    quiet = [row(step, zero_std=1.0) for step in range(1, 31)]
    ((step, sentence),) = warned(quiet, {})
    assert step == SILENT_STEPS
    assert sentence == "no group had two different rewards in steps 1 to 10: the model learns nothing any more"
    assert warned(quiet[:9], {}) == []
    assert warned([*quiet[:9], row(10, zero_std=0.99), *quiet[:9]], {}) == []


def formed(shares: Sequence[float], clipped: float = 0.0) -> list[Metrics]:
    form = [{"response/well_formed": share, "response/length/clipped": clipped} for share in shares]
    return [row(step) | metrics for step, metrics in enumerate(form, start=1)]


def test_a_form_that_stays_broken_gives_one_warning_with_advice():
    ((step, sentence),) = warned(formed([0.0, 0.1] * 20), {})
    assert step == FORM_STEPS
    assert sentence.startswith("5% of the answers in steps 1 to 10 have the form that is asked for, ")
    assert "data.instructions" in sentence and "algo=sft" in sentence and "max_response_tokens" not in sentence


def test_a_form_that_is_broken_because_answers_are_cut_off_needs_more_tokens():
    ((_, sentence),) = warned(formed([0.0] * 10, clipped=0.75), {})
    assert sentence.endswith("; 75% were cut off, so raise rollout.max_response_tokens")


def test_a_form_that_is_found_within_the_first_steps_gives_no_warning():
    assert warned(formed([0.0] * 9 + [0.2] + [0.0] * 30), {}) == []
    assert warned(formed([0.0] * 9), {}) == []
    assert warned([row(step) for step in range(1, 20)], {}) == []


def test_what_is_known_before_the_run_comes_first_and_once():
    watch = Watch(SHARE, ["all samples are normal", "all samples are normal"])
    assert watch.warnings == ["all samples are normal"]
    assert watch.see(row(1)) == []
    fresh = [sentence for metrics in steps([1.0] * WINDOW, std=0.0) for sentence in watch.see(metrics)]
    assert watch.warnings == ["all samples are normal", *fresh] and len(fresh) == 1


def test_a_run_whose_groups_are_repaired_has_contrast():
    rows = [row(step, zero_std=1.0) | {"contrastive/left": 0.2} for step in range(1, 31)]
    assert warned(rows, {}) == []
    assert len(warned([metrics | {"contrastive/left": 1.0} for metrics in rows], {})) == 1


def test_a_component_at_its_top_has_saturated():
    values = [0.9] * 30 + [0.999] * 40
    ((step, sentence),) = warned(steps(values, std=0.03))
    assert step == 30 + WINDOW
    assert sentence.startswith("reward accuracy has saturated: 0.999 of at most 1 in steps 31 to 50")


def test_a_component_near_its_top_still_tells_answers_apart():
    assert warned(steps([0.99] * 100, std=0.1)) == []
    assert warned(steps([0.999] * (WINDOW - 1), std=0.03)) == []


def test_saturation_depends_on_the_components_own_range():
    rows = [row(step, iad_r1=(0.999, 0.03)) for step in range(1, 41)]
    assert warned(rows, {"iad_r1": (0.0, 2.0)}) == []
    assert "0.999 of at most 1" in warned(rows, {"iad_r1": (0.0, 1.0)})[0][1]


def test_only_a_penalty_that_every_completion_incurs_is_warned_of():
    never = [row(step, overlong=(0.0, 0.0)) for step in range(1, 41)]
    always = [row(step, overlong=(-1.0, 0.0)) for step in range(1, 41)]
    assert warned(never, {"overlong": (-1.0, 0.0)}) == []
    ((_, sentence),) = warned(always, {"overlong": (-1.0, 0.0)})
    assert sentence.startswith("reward overlong was -1 for every completion")


def test_a_component_without_spread_has_saturated_below_its_top():
    rows = [row(step, domain=(0.61, 0.2 if step <= 10 else 0.004)) for step in range(1, 61)]
    ((step, sentence),) = warned(rows, {"domain": (0.0, 1.0)})
    assert step == 10 + WINDOW
    assert sentence.startswith("reward domain has saturated at 0.610: completions differ by 0.004 at most")


@pytest.mark.parametrize("ends", [(0.0, 1.0), None])
def test_a_component_of_equal_values_is_constant(ends):
    rows = [row(step, shininess=(0.1 + step * 1e-17, 1e-17)) for step in range(1, 41)]
    ((step, sentence),) = warned(rows, {"shininess": ends})
    assert step == WINDOW
    assert sentence.startswith("reward shininess was 0.1 for every completion in steps 1 to 20")


def test_a_component_that_varies_between_steps_or_within_one_is_not_constant():
    between = [row(step, shininess=(0.1 * (step % 2), 0.0)) for step in range(1, 41)]
    within = [row(step, shininess=(0.1, 0.05 if step % WINDOW == 0 else 0.0)) for step in range(1, 81)]
    assert warned(between, {"shininess": None}) == []
    assert warned(within, {"shininess": None}) == []


def test_the_top_of_a_users_function_is_not_guessed():
    assert warned([row(step, shininess=(5.0, 0.1)) for step in range(1, 41)], {"shininess": None}) == []


def test_a_component_judged_in_only_some_steps_gives_no_warning():
    rows = [row(step, **({"accuracy": (0.0, 0.0)} if step % 2 else {})) for step in range(1, 81)]
    assert warned(rows) == []
    assert warned(steps([float("nan")] * 40)) == []


def hacked(accuracies: Sequence[float], rewards: Sequence[float], samples: int = 200, seed: int = 0) -> list[Metrics]:
    """Return evaluations and, between each two, forty training steps whose total moves from one reward to the next."""
    rows = [evaluation(0, accuracies[0], samples)]
    for place, (first, last) in enumerate(zip(rewards, rewards[1:], strict=False)):
        values = noisy(first, last, 40, seed=seed + place)
        rows += [row(40 * place + at, reward=value, accuracy=(0.5, 0.4)) for at, value in enumerate(values, start=1)]
        rows.append(evaluation(40 * (place + 1), accuracies[place + 1], samples))
    return rows


def test_a_reward_that_rises_while_accuracy_falls_gives_one_warning():
    rows = hacked((0.7, 0.85, 0.6, 0.5), (1.0, 1.5, 2.0, 2.5))
    ((step, sentence),) = warned(rows)
    assert step == 80
    assert sentence.startswith("held-out accuracy fell from 0.850 after 40 steps to 0.600 after 80, while reward rose ")
    assert "accuracy rose" not in sentence


def test_two_evaluations_are_enough_to_see_a_fall():
    ((_, sentence),) = warned(hacked((0.8, 0.5), (1.0, 2.0)))
    assert "fell from 0.800 after 0 steps to 0.500 after 40" in sentence


def test_a_slow_fall_is_measured_from_the_best_evaluation():
    rows = hacked((0.8, 0.77, 0.74, 0.71, 0.68), (1.0, 1.2, 1.4, 1.6, 1.8))
    ((step, sentence),) = warned(rows)
    assert "fell from 0.800 after 0 steps" in sentence and step > 80


def test_each_component_that_rose_is_named_once():
    values = list(zip(noisy(1.0, 2.0, 40), noisy(0.2, 0.9, 40, seed=1), strict=True))
    rows = [evaluation(0, 0.9)]
    rows += [row(step, reward=a, format=(b, 0.4), box=(0.5, 0.2)) for step, (a, b) in enumerate(values, start=1)]
    rows += [evaluation(40, 0.6), evaluation(41, 0.5)]
    ((_, sentence),) = warned(rows, {"format": (0.0, 1.0), "box": (0.0, 1.0)})
    assert "reward rose from 1.1" in sentence and ", reward format rose from 0." in sentence and "box" not in sentence


@pytest.mark.parametrize(
    ("accuracies", "rewards", "samples"),
    [
        ((0.7, 0.85, 0.9), (1.0, 2.0, 3.0), 200),  # both rise
        ((0.7, 0.5, 0.3), (3.0, 2.0, 1.0), 200),  # both fall
        ((0.8, 0.6), (1.5, 1.5), 200),  # the reward stays
        ((0.80, 0.77), (1.0, 2.0), 100),  # two standard errors are 0.12
        ((0.75, 0.5), (1.0, 2.0), 8),  # two answers of eight
        ((1.0, 0.985), (1.0, 2.0), 1000),  # real, but below LEAST_FALL
    ],
)
def test_without_both_a_fall_and_a_rise_there_is_no_warning(accuracies, rewards, samples):
    assert warned(hacked(accuracies, rewards, samples)) == []


def test_chance_alone_hardly_ever_looks_like_hacking():
    """60 runs with eleven evaluations each of a policy that does not change, on 100 new samples every time."""
    alarms = 0
    for seed in range(60):
        rng = random.Random(seed)
        accuracies = [sum(rng.random() < 0.8 for _ in range(100)) / 100 for _ in range(11)]
        alarms += bool(warned(hacked(accuracies, (1.5,) * 11, samples=100, seed=100 * seed)))
    assert alarms == 0


def test_a_fall_must_exceed_chance_and_a_minimum():
    def standing(accuracy: float, samples: int) -> Standing:
        return Standing(step=0, accuracy=accuracy, reward=math.nan, num_samples=samples, num_rows=0)

    # sqrt(0.8 * 0.2 / 100 + 0.7 * 0.3 / 100) = 0.0608
    assert not fell(standing(0.8, 100), standing(0.7, 100))
    assert fell(standing(0.8, 400), standing(0.7, 400))
    assert not fell(standing(1.0, 10_000), standing(0.99, 10_000))


def test_a_rise_needs_enough_steps_and_must_exceed_their_scatter():
    assert rose([1.0, 1.1, 0.9], [2.0, 2.1, 1.9])
    assert not rose([1.0, 2.0, 0.0], [1.5, 2.5, 0.5])
    assert not rose([1.0, 1.0], [2.0, 2.0])
    assert not rose([1.0, 1.0, 1.0], [1.005, 1.005, 1.005])


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sides_of_two_evaluations_never_overlap(start: int, length: int):
    rows = [{"step": float(step)} for step in range(start + length)]
    earlier, later = sides(start, start + length, rows)
    assert not {metrics["step"] for metrics in earlier} & {metrics["step"] for metrics in later}
    assert all(metrics["step"] >= start for metrics in later) or start < 3


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), max_size=60))
def test_warnings_depend_on_the_rows_alone(values):
    """A resumed run, which reads its rows again, gives the same warnings as an uninterrupted one."""
    numbers = accumulate((1 for _ in values), initial=1)
    rows = [
        evaluation(step, value) if is_evaluation else row(step, reward=value, accuracy=(value, std))
        for step, (value, std, is_evaluation) in zip(numbers, values, strict=False)
    ]
    first, second = Watch(SHARE), Watch(SHARE)
    for metrics in rows:
        first.see(metrics)
    sentences = [sentence for metrics in rows for sentence in second.see(metrics)]
    assert sentences == first.warnings == second.warnings
