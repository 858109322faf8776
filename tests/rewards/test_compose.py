import pytest

from rewards.compose import judged, reward_range, score_completion, score_group
from rewards.config import AccuracyConfig, BoxConfig, FormatConfig, RewardConfig
from rl.types import Box, Completion, Group, Prompt, Sample, Score, Target

HALF_RIGHT = "<think>A line.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'cut'}</answer>"


def prompt(target: Target) -> Prompt:
    sample = Sample(id="part/test/cut/003", images=(), question="", target=target, category="part")
    return Prompt(sample=sample, token_ids=(), pixels=None, image_spans=(), image_size=(10, 10), target=target)


def defective(*boxes: Box) -> Prompt:
    return prompt(Target(label="defective", boxes=boxes))


def completion(text: str) -> Completion:
    return Completion(token_ids=(), text=text, logprobs=(), finish_reason="stop", policy_version=0)


def rewards(form: float = 1, accuracy: float = 1, box: float = 1) -> RewardConfig:
    return RewardConfig(
        format=FormatConfig(weight=form), accuracy=AccuracyConfig(weight=accuracy), box=BoxConfig(weight=box)
    )


def test_the_total_is_the_weighted_sum() -> None:
    score = score_completion(completion(HALF_RIGHT), defective((0, 0, 4, 8)), rewards(0.5, 2, 4))
    assert score == Score(total=0.5 + 2 + 4 * 0.5, components={"format": 1, "accuracy": 1, "box": 0.5})


def test_a_malformed_answer_is_a_zero_with_reasons() -> None:
    score = score_completion(completion("Yes"), defective((0, 0, 4, 8)), rewards())
    assert score.total == 0
    assert score.components == {"format": 0, "accuracy": 0, "box": 0}
    assert "<answer> occurs 0 times instead of once" in score.malformed


def test_a_group_gets_one_score_a_completion_in_order() -> None:
    group = Group(prompt=defective((0, 0, 4, 4)), completions=(completion(HALF_RIGHT), completion("?")))
    assert [score.total for score in score_group(group, rewards()).scores] == [3, 0]


def test_a_component_of_weight_zero_is_measured_and_does_not_count() -> None:
    score = score_completion(completion(HALF_RIGHT), defective((0, 0, 4, 8)), rewards(box=0))
    assert (score.total, score.components["box"]) == (2, 0.5)


def test_a_component_that_cannot_be_judged_leaves_a_total_only_when_it_does_not_count() -> None:
    unknown_boxes = defective()
    assert score_completion(completion(HALF_RIGHT), unknown_boxes, rewards()).total is None
    assert score_completion(completion(HALF_RIGHT), unknown_boxes, rewards(box=0)).total == 2


def test_the_range_follows_the_signs_of_the_weights() -> None:
    assert reward_range(rewards(1, 2, 0.5)) == (0, 3.5)
    assert reward_range(rewards(1, 2, -0.5)) == (-0.5, 3)


def test_a_reward_that_raises_names_itself_and_the_sample() -> None:
    with pytest.raises(
        ValueError, match="reward accuracy raised ValueError on sample part/test/cut/003: the label must"
    ):
        score_completion(completion(HALF_RIGHT), prompt(Target(label="broken", boxes=((0, 0, 1, 1),))), rewards())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_not_a_number_names_itself_and_the_sample(value: float) -> None:
    with pytest.raises(ValueError, match=f"reward box gave {value} on sample part/test/cut/003; it must be"):
        judged("box", lambda: value, "part/test/cut/003")


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(ValueError, match=r"reward\.\*\.weight are all 0"):
        rewards(0, 0, 0)
