"""Config of the reward: each component's weight and options, under the name its metric has."""

from dataclasses import dataclass

from rl.config import key


@dataclass(kw_only=True)
class FormatConfig:
    weight: float = key(1.0, "Weight of the format component in the total; at 0 it is only measured.")


@dataclass(kw_only=True)
class AccuracyConfig:
    weight: float = key(1.0, "Weight of the yes/no accuracy in the total; at 0 it is only measured.")


@dataclass(kw_only=True)
class BoxConfig:
    weight: float = key(1.0, "Weight of the box overlap in the total; at 0 it is only measured.")


@dataclass(kw_only=True)
class RewardConfig:
    format: FormatConfig = key(FormatConfig, "Answer in the required form: 1 or 0.")
    accuracy: AccuracyConfig = key(AccuracyConfig, "Right yes or no: 1 or 0.")
    box: BoxConfig = key(BoxConfig, "Mean IoU of one-to-one matched boxes, in [0, 1].")
    timeout_s: float = key(30.0, "Longest scoring of one group.", gt=0)

    def __post_init__(self) -> None:
        if self.format.weight == self.accuracy.weight == self.box.weight == 0:
            raise ValueError("reward.*.weight are all 0, so no completion could earn anything; give one a weight")
