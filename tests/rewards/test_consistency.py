import pytest

from rewards.consistency import consistency_reward
from rl.types import Target


def test_without_a_label_there_is_nothing_to_judge_by() -> None:
    assert consistency_reward(1.0, Target(label="")) is None


@pytest.mark.parametrize("agreement", [-0.1, 1.1, float("nan")])
def test_an_agreement_outside_0_to_1_raises(agreement: float) -> None:
    with pytest.raises(ValueError, match=r"agreement must be in \[0, 1\]"):
        consistency_reward(agreement, Target(label="normal"))
