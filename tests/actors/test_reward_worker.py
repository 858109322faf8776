import pickle

import pytest

from actors.reward_worker import RewardWorker
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
    scores = worker().score(group(RIGHT, "<think>-</think><answer>No.</answer>", box=(0, 0, 4, 4)))
    assert [score.total for score in scores] == [3, 1]


def test_a_reward_that_raises_is_one_sentence_that_travels_between_processes() -> None:
    with pytest.raises(ValueError, match="reward box raised") as caught:
        worker().score(group(RIGHT, box=(0, 0, float("nan"), 4)))
    message = str(pickle.loads(pickle.dumps(caught.value)))
    assert message.startswith("reward box raised UserError on sample part/test/cut/003: ")
