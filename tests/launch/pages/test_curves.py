from launch.pages.charts import Chart, draw
from launch.pages.correlations import correlation_table, latest_correlations
from launch.pages.curves import run_charts
from rl.roles import Metrics


def rows(**metrics: float) -> list[Metrics]:
    """Make three steps with the same values."""
    return [{"step": float(step), **metrics} for step in (1, 2, 3)]


def chart(title: str, of: list[Metrics]) -> Chart:
    (found,) = [one for one in run_charts(of, (0.0, 3.0)) if one.title == title]
    return found


def names(drawn: Chart) -> list[str]:
    return [one.name for one in drawn.series]


def test_components_are_drawn_by_their_means_alone() -> None:
    several = rows(**{"reward/box/mean": 0.5, "reward/box/std": 0.1, "reward/correlation/box_format": 0.2})
    assert names(chart("Reward components", several)) == ["box"]


def test_the_reward_on_held_out_samples_is_drawn_beside_that_of_training() -> None:
    trained = rows(**{"reward/mean": 0.5})
    assert names(chart("Reward", [*trained, *rows(**{"eval/heldout/reward": 0.7})])) == ["reward", "held-out, greedy"]
    assert names(chart("Reward", [*trained, *rows(**{"eval/heldout/reward": 0.7})[:2]])) == ["reward"]


def test_more_components_than_colours_share_them() -> None:
    many = rows(**{f"reward/r{number}/mean": 0.5 for number in range(9)})
    assert [one.color for one in chart("Reward components", many).series] == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_groups_without_contrast_are_shown_before_and_after_repair() -> None:
    repaired = {"contrastive/left": 0.1, "contrastive/repaired_all_wrong": 0.3, "contrastive/repaired_all_right": 0.2}
    drawn = chart("Groups without contrast", rows(**{"reward/zero_std_groups": 0.6, **repaired}))
    assert [(one.name, one.points[-1][1]) for one in drawn.series] == [
        ("as sampled", 0.6),
        ("after repair", 0.1),
        ("repaired by a reference text", 0.3),
        ("repaired by a teacher", 0.2),
    ]
    plain = chart("Groups without contrast", rows(**{"reward/zero_std_groups": 0.6}))
    assert names(plain) == ["as sampled"] and "no learning signal" in plain.caption


def test_agreement_has_a_line_and_dots_for_each_label_and_the_thresholds_as_levels() -> None:
    trained = rows(**{"attention/agreement_defective/mean": 0.4, "attention/agreement_normal/mean": 0.2})
    asked = rows(**{"eval/heldout/agreement_defective": 0.5})
    charts = run_charts([*trained, *asked], (0, 3), (0.3, 0.1))
    (drawn,) = [one for one in charts if one.title == "Agreement of attention"]
    present = [one for one in drawn.series if one.points]
    assert [(one.name, one.dots) for one in present] == [
        ("defective, held-out", True),
        ("defective", False),
        ("normal", False),
    ]
    assert present[0].color == present[1].color != present[2].color
    assert drawn.levels == {"δ1 = 0.3": 0.3, "δ2 = 0.1": 0.1}
    assert chart("Agreement of attention", trained).levels == {}


def test_the_maps_quality_is_drawn_with_the_other_held_out_metrics() -> None:
    asked = rows(**{"eval/heldout/accuracy": 0.5, "eval/heldout/pixel_auroc": 0.75})
    assert names(chart("Held-out samples", asked)) == ["accuracy", "pixel AUROC"]


def test_unjudged_completions_and_length_against_reward_have_their_charts() -> None:
    measured = rows(**{"reward/unjudged": 0.0, "reward/length_correlation": -0.4})
    assert "unjudged <b>0</b>" in draw(chart("Unjudged completions", measured))
    assert "correlation <b>-0.4</b>" in draw(chart("Length and reward", measured))
    assert draw(chart("Length and reward", rows())) == ""


def test_correlations_are_averaged_over_the_last_steps_that_have_them() -> None:
    means = {"reward/a/mean": 0.5, "reward/b/mean": 0.5}
    curve = [{"step": float(step), **means, "reward/correlation/a_b": step / 100} for step in range(1, 31)]
    curve += [{"step": 31.0, **means}]
    (pair,) = latest_correlations(curve).items()
    assert pair[0] == ("a", "b") and round(pair[1], 9) == 0.255


def test_a_component_that_was_judged_late_is_found_under_its_metrics_name() -> None:
    late = [{"step": 1.0, "reward/b/mean": 0.5}]
    late += [{"step": 2.0, "reward/a/mean": 0.5, "reward/b/mean": 0.5, "reward/correlation/a_b": -0.5}]
    assert latest_correlations(late) == {("b", "a"): -0.5}


def test_the_table_has_each_pair_once_with_a_dash_where_one_never_varied() -> None:
    means = {f"reward/{name}/mean": 0.5 for name in ("format", "accuracy", "<b>", "constant")}
    some = rows(**means, **{"reward/correlation/format_accuracy": 0.9, "reward/correlation/accuracy_<b>": -0.25})
    table = correlation_table(some)
    assert table.count("<td") == 3
    assert 'class="s0" style="--share:0.90">0.90</td>' in table
    assert 'class="s2" style="--share:0.25">−0.25</td>' in table
    assert "–</td>" in table and "constant" not in table and "<b>" not in table
    assert correlation_table(rows(**means)) == ""
