from dataclasses import replace

import pytest

from rewards.component import ComponentConfig
from rewards.compose import Composer, check_boxes, read, reward_range
from rewards.config import COMPONENTS, FunctionConfig, OnError, RewardConfig, Signature, check_reward, weights
from rewards.item import Item
from rewards.presets import PRESETS, preset
from rl.faults import AssayError
from rl.types import Box, Completion, Group, Prompt, Sample, Score, Target, Task

HALF_RIGHT = "<think>A line.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'cut'}</answer>"


def item(text: str, target: Target) -> Item:
    return Item(id="part/test/cut/003", text=text, task=Task.boxes, target=target, image_size=(10, 10))


def defective(*boxes: Box) -> Target:
    return Target(label="defective", boxes=boxes)


def rewards(form: float | None = 1, accuracy: float = 1, box: float | None = 1) -> RewardConfig:
    return RewardConfig(
        format=ComponentConfig(weight=form), accuracy=ComponentConfig(weight=accuracy), box=ComponentConfig(weight=box)
    )


def scored(text: str, target: Target, config: RewardConfig) -> Score:
    (score,) = Composer(config).score([item(text, target)], read([item(text, target)]))
    return score


def test_the_total_is_the_weighted_sum():
    score = scored(HALF_RIGHT, defective((0, 0, 4, 8)), rewards(0.5, 2, 4))
    assert score == Score(total=0.5 + 2 + 4 * 0.5, components={"format": 1, "accuracy": 1, "box": 0.5})


def test_a_component_without_a_weight_is_left_out():
    score = scored(HALF_RIGHT, defective((0, 0, 4, 8)), rewards(None, 1, None))
    assert (score.total, score.components) == (1, {"accuracy": 1})


def test_a_malformed_answer_is_a_zero_with_reasons():
    score = scored("Yes", defective((0, 0, 4, 8)), rewards())
    assert score.total == 0
    assert score.components == {"format": 0, "accuracy": 0, "box": 0}
    assert "<answer> occurs 0 times instead of once" in score.malformed


def test_a_group_gets_one_score_per_completion_in_order():
    target = defective((0, 0, 4, 4))
    sample = Sample(id="part/1", images=(), question="", target=target, category="part")
    prompt = Prompt(sample=sample, token_ids=(), pixels=None, image_spans=(), image_size=(10, 10), target=target)
    completions = tuple(
        Completion(token_ids=(), text=text, logprobs=(), finish_reason="stop", policy_version=0)
        for text in (HALF_RIGHT, "?")
    )
    group = Composer(rewards()).score_group(Group(prompt=prompt, completions=completions))
    assert [score.total for score in group.scores] == [3, 0]


def test_a_component_of_weight_zero_is_measured_and_does_not_count():
    score = scored(HALF_RIGHT, defective((0, 0, 4, 8)), rewards(box=0))
    assert (score.total, score.components["box"]) == (2, 0.5)


def test_an_unjudged_component_with_weight_removes_the_total():
    counting = scored(HALF_RIGHT, defective(), rewards())
    assert counting.total is None
    assert counting.unjudged == ("reward box has nothing to judge by in this sample; it needs target.boxes",)
    assert scored(HALF_RIGHT, defective(), rewards(box=0)).total == 2


UNKNOWN = Item(id="x", text="", task=Task.boxes, target=Target(label=""))
LACKING = {
    "accuracy": "target.label",
    "box": "target.label and target.boxes",
    "choice": "target.option",
    "consistency": "target.label and agreement",
    "domain": "target.rationale",
    "grounding": "target.boxes",
    "knowledge": "target.offered",
    "overlong": "num_tokens",
    "segmentation": "target.cells",
}


@pytest.mark.parametrize("name", LACKING)
def test_a_component_names_the_fields_that_keep_it_from_judging(name: str):
    assert not COMPONENTS[name].can_judge(UNKNOWN, COMPONENTS[name].options())
    assert COMPONENTS[name].lacking(UNKNOWN) == LACKING[name]


def test_every_component_that_may_leave_an_answer_unjudged_knows_what_it_needs():
    unsure = [name for name, each in COMPONENTS.items() if not each.can_judge(UNKNOWN, each.options())]
    assert len(unsure) > 10 and [name for name in unsure if not COMPONENTS[name].needs] == []


def test_the_range_follows_the_signs_of_the_weights():
    assert reward_range(rewards(1, 2, 0.5)) == (0, 3.5)
    assert reward_range(rewards(1, 2, -0.5)) == (-0.5, 3)
    assert reward_range(preset("mmr_ad").config) == (-0.2, 1)


def test_a_reward_that_raises_names_itself_and_the_sample():
    with pytest.raises(ValueError, match="reward accuracy on sample part/test/cut/003: the label must"):
        scored(HALF_RIGHT, Target(label="broken"), rewards())


def test_a_bug_in_a_reward_of_ours_is_no_fault_of_the_user():
    with pytest.raises(RuntimeError, match="reward box raised TypeError on sample part/test/cut/003") as caught:
        scored(HALF_RIGHT, defective((0, "0", 4, 8)), rewards())
    assert not isinstance(caught.value, AssayError) and isinstance(caught.value.__cause__, TypeError)


def test_on_error_unjudged_affects_only_the_answer_that_raised():
    items = [item(HALF_RIGHT, Target(label="broken")), item(HALF_RIGHT, Target(label="defective"))]
    first, second = Composer(replace(rewards(box=None), on_error=OnError.unjudged)).score(items, read(items))
    assert (first.total, first.components) == (None, {"format": 1, "accuracy": None})
    assert first.unjudged[0].startswith("reward accuracy on sample part/test/cut/003")
    assert first.faults == first.unjudged
    assert second.total == 2 and second.unjudged == second.faults == ()


def test_a_sample_without_what_a_reward_judges_by_is_no_fault_of_the_reward():
    score = scored(HALF_RIGHT, Target(label="defective"), rewards())
    assert len(score.unjudged) == 1 and score.faults == ()


# The user's own functions, found by their dotted path.


def of_user(name: str, signature: Signature = Signature.trl, **options) -> RewardConfig:
    function = FunctionConfig(path=f"builders.user_rewards.{name}", signature=signature, weight=2.0)
    return RewardConfig(functions=[function], **options)


def test_functions_of_either_signature_are_components_by_their_name():
    functions = [*of_user("length_over_100").functions, *of_user("is_defective", Signature.verl).functions]
    score = scored("x" * 50, defective(), RewardConfig(functions=functions))
    assert score.components == {"length_over_100": 0.5, "is_defective": 1.0}
    assert score.total == 2 * 0.5 + 2 * 1.0


def test_a_function_that_cannot_judge_says_none():
    assert scored("", defective(), of_user("length_over_100")).total is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("not_a_number", "reward not_a_number gave nan on sample part/test/cut/003; it must be a finite number"),
        ("too_few", "too_few gave 0 values for 1 completions"),
        ("absent", "cannot import"),
    ],
)
def test_a_faulty_function_is_named(name: str, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        scored("x", defective(), of_user(name))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (RewardConfig(), r"reward\.\*\.weight are all 0 or null"),
        (rewards(0, 0, 0), r"reward\.\*\.weight are all 0 or null"),
        (RewardConfig(functions=[FunctionConfig(path="nodots")]), "'nodots' is no dotted path"),
        (RewardConfig(functions=[FunctionConfig(path="mine.box")]), "another component called box"),
        (RewardConfig(functions=[FunctionConfig(path="a.x"), FunctionConfig(path="b.x")]), "component called x"),
    ],
)
def test_a_reward_that_makes_no_sense_is_refused(config: RewardConfig, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        check_reward(config)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_scores_an_empty_answer(name: str):
    chosen = preset(name)
    boxed = Target(label="defective", boxes=((0, 0, 4, 4),), box_labels=("cut",), option="B", rationale="A cut.")
    target = replace(boxed, cells=frozenset({(0, 0)}), options={"A": "none", "B": "cut"})
    (score,) = Composer(chosen.config).score(
        [Item(id="x", text="", task=chosen.task, target=target)],
        read([Item(id="x", text="", task=chosen.task, target=target)]),
    )
    assert score.components.keys() == weights(chosen.config).keys()
    if name != "cgro":
        assert score.total is not None and score.total <= 0


def test_an_unknown_preset_raises_with_the_names_of_all():
    with pytest.raises(ValueError, match="there is no reward preset 'room'; there are yes_no"):
        preset("room")


def test_a_reward_of_boxes_needs_boxes():
    def sample(target: Target) -> Sample:
        return Sample(id="screw/test/bent tip/000", images=(), question="", target=target, category="screw")

    normal, boxed, unknown = sample(Target(label="normal")), sample(defective((0, 0, 4, 4))), sample(defective())
    check_boxes([normal, boxed], {"box": 1.0})
    check_boxes([normal, unknown], {"box": 0.0, "accuracy": 1.0})
    with pytest.raises(ValueError) as raised:
        check_boxes([normal, unknown], {"accuracy": 1.0, "box": 0.5})
    with pytest.raises(ValueError, match="which reward.box_penalty.weight=1.0 has to know"):
        check_boxes([normal, unknown], {"box": 0.0, "box_penalty": 1.0})
    assert str(raised.value).startswith("sample screw/test/bent tip/000: nothing says where its defect is")
    assert "reward.box.weight=0.5" in str(raised.value) and str(raised.value).endswith("or choose reward=yes_no")
