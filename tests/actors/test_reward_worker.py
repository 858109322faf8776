import pickle

from actors.reward_worker import RewardWorker
from rewards.config import FunctionConfig, RewardConfig
from rewards.presets import preset
from rl.types import Box, Completion, Group, Prompt, Sample, Target


def group(*texts: str, box: Box) -> Group:
    target = Target(label="defective", boxes=(box,))
    sample = Sample(id="part/test/cut/003", images=(), question="", target=target, category="part")
    prompt = Prompt(sample=sample, token_ids=(), pixels=None, image_spans=(), image_size=(10, 10), target=target)
    completions = tuple(
        Completion(token_ids=(), text=text, logprobs=(), finish_reason="stop", policy_version=0) for text in texts
    )
    return Group(prompt=prompt, completions=completions)


def worker() -> RewardWorker:
    found = RewardWorker()
    found.start(preset("yes_no_boxes").config)
    return found


RIGHT = "<think>A line.</think><answer>Yes. {'bbox_2d': [0, 0, 4, 4], 'label': 'cut'}</answer>"


def test_scores_every_completion_of_a_group() -> None:
    found = worker().score(group(RIGHT, "<think>-</think><answer>No.</answer>", box=(0, 0, 4, 4)))
    assert [score.total for score in found.scores] == [3, 1] and found.fault == ""


def test_a_reward_that_raises_is_one_sentence_that_travels_between_processes() -> None:
    found = pickle.loads(pickle.dumps(worker().score(group(RIGHT, box=(0, 0, float("nan"), 4)))))
    assert found.fault.startswith("reward box on sample part/test/cut/003: ")
    assert found.scores == ()


def test_what_a_function_prints_travels_with_the_scores_or_the_fault() -> None:
    found = RewardWorker()
    found.start(RewardConfig(functions=[FunctionConfig(path="builders.user_rewards.counts_then_fails")]))
    two, one = (found.score(group(*["?"] * count, box=(0, 0, 4, 4))) for count in (2, 1))
    assert (two.printed, two.fault) == (("reward counts_then_fails: 2 completions",), "")
    assert one.printed == ("reward counts_then_fails: 1 completions",)
    assert one.fault.startswith("reward counts_then_fails raised ZeroDivisionError on sample part/test/cut/003: ")
