"""The data of a training: read, checked against the config, and named by a hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from actors.model_folder import check_folder, check_localize
from conf.schema import TrainConfig
from launch.run.samples import read_split, with_absolute_path
from rewards.compose import check_boxes, check_truth
from rewards.config import is_computed, weights
from rewards.item import item_of
from rl.algorithm import Objective
from rl.data.lessons import Lesson, check_spans, own_lesson, read_lessons, with_lessons
from rl.data.prompts import PromptBuilder, check_looks, check_prompts
from rl.data.stream import SampleStream
from rl.faults import UserError
from rl.preference_config import LossSpan
from rl.types import Sample
from rollout.config import reads_words
from rollout.repairer import check_contrast, check_lessons, response_tokens


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run learns from and what it is judged on."""

    training: list[Sample]
    heldout: list[Sample]
    lessons: Mapping[str, Lesson]
    """Of the training samples, by their ids; {} where none are given."""

    @property
    def hash(self) -> str:
        """Tells the samples and their truth apart from others."""
        truth: list[Any] = [
            (sample.id, sample.question, asdict(sample.target)) for sample in self.training + self.heldout
        ]
        truth += [(name, asdict(lesson)) for name, lesson in self.lessons.items()]
        return hashlib.sha256(json.dumps(truth, default=str).encode()).hexdigest()[:16]


def read_data(config: TrainConfig) -> Data:
    """Every file has been opened once; a bad one is named before an actor starts."""
    check_folder(config.model.path)
    check_localize(config.model.path, config.localize)
    training, heldout = read_split(config.data, config.seed)
    builder = PromptBuilder(config.model.path, config.data)
    lessons = {}
    if config.data.lessons:
        path, in_pairs = Path(config.data.lessons), config.algo.objective in (Objective.dpo, Objective.kto)
        lessons = read_lessons(path, with_rejected=in_pairs)
        training = with_lessons(training, heldout, lessons, path)
    check_prompts(training + heldout, builder, config.rollout.max_prompt_tokens, config.rollout.max_images)
    if config.algo.objective is not Objective.grpo:
        taught = {sample.id: lessons.get(sample.id) or own_lesson(sample) for sample in training}
        if config.algo.objective is Objective.kto and len(taught) < 2:
            raise UserError(
                "algo.objective=kto compares with answers to other prompts; give data.lessons of two or more"
            )
        check_lessons(taught, response_tokens(builder, config.model.path, config.rollout))
        if config.algo.span is not LossSpan.response:
            check_spans(taught)
    if config.algo.contrastive:
        check_contrast(training, builder, response_tokens(builder, config.model.path, config.rollout), config.rollout)
    check_boxes(training + heldout, weights(config.reward))
    if is_computed(config.reward.consistency):
        check_looks(training + heldout, builder, config.data.anomaly_words, read=reads_words(config.localize))
    check_truth([item_of(sample) for sample in training + heldout], config.reward)
    order = SampleStream(heldout, config.seed)
    asked = order.take(min(config.data.num_heldout or len(heldout), len(heldout)))
    return Data(training=training, heldout=asked, lessons=lessons)


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Actors of a cluster that was there before run in other folders than this process."""
    data = config.data
    lessons = str(Path(data.lessons).resolve()) if data.lessons else ""
    cache = str(Path(config.cluster.reference_cache).resolve())
    return replace(
        config,
        cluster=replace(config.cluster, reference_cache=cache),
        output=str(Path(config.output).resolve()),
        model=with_absolute_path(config.model),
        data=replace(data, root=str(Path(data.root).resolve()), lessons=lessons),
    )


def steps_of(config: TrainConfig, num_samples: int) -> int:
    """Steps in which num_epochs times as many samples are drawn; the last one may draw some of a further epoch."""
    return ceil(config.num_epochs * num_samples / config.algo.num_prompts)
