"""The data of a training, checked against the config and named by a hash."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from actors.model_folder import check_folder, check_localize
from conf.schema import TrainConfig
from launch.run.model_folder import make_ready
from launch.run.starters import starter_warnings
from rewards.compose import check_boxes, check_truth
from rewards.config import is_computed, weights
from rewards.domain import check_encoder
from rewards.item import item_of
from rewards.trial import try_functions
from rl.data.counts import categories, counted, warnings_of
from rl.data.demo.synthesis import is_demo
from rl.data.lessons import Lesson, check_spans, own_lesson, read_lessons, with_lessons
from rl.data.prompts import PromptBuilder, check_looks, check_prompts
from rl.data.stream import SampleStream
from rl.faults import UserError
from rl.preference_config import LossSpan
from rl.recipe import RECIPES, Material
from rl.types import Sample
from rollout.config import reads_words
from rollout.repairer import check_contrast, check_lessons, response_tokens


@dataclass(frozen=True, kw_only=True)
class Data:
    """Samples that a run learns from and is evaluated on."""

    training: list[Sample]
    heldout: list[Sample]
    lessons: Mapping[str, Lesson]
    """Lessons by the id of their training sample; {} without data.lessons."""
    num_unasked: int
    """Held-out samples beyond data.num_heldout, which nothing is measured with."""
    warnings: tuple[str, ...]
    """Sentences on what these samples, or this model with them, cannot do."""

    @property
    def in_words(self) -> str:
        """The numbers of samples, in one line."""
        unasked = f"; {self.num_unasked} more than data.num_heldout are left out" if self.num_unasked else ""
        return f"training: {counted(self.training)}; held out: {counted(self.heldout)}{unasked}"

    @property
    def hash(self) -> str:
        """Return a hash of the samples, their targets and their lessons."""
        truth: list[Any] = [
            (sample.id, sample.question, asdict(sample.target)) for sample in self.training + self.heldout
        ]
        truth += [(name, asdict(lesson)) for name, lesson in self.lessons.items()]
        return hashlib.sha256(json.dumps(truth, default=str).encode()).hexdigest()[:16]


def read_and_check(config: TrainConfig, training: list[Sample], heldout: list[Sample]) -> Data:
    """Read the other files, and check the samples against the model and the rewards, before an actor starts."""
    make_ready(config.model.path)
    check_folder(config.model.path)
    check_localize(config.model.path, config.localize)
    builder = PromptBuilder(config.model.path, config.data)
    lessons, recipe = {}, RECIPES[config.algo.objective]
    if config.data.lessons:
        path = Path(config.data.lessons)
        lessons = read_lessons(path, with_rejected=recipe.draws is Material.pairs)
        training = with_lessons(training, heldout, lessons, path)
        check_boxes(training, weights(config.reward))
    check_prompts(training + heldout, builder, config.rollout.max_prompt_tokens, config.rollout.max_images)
    if recipe.teaches:
        taught = {sample.id: lessons.get(sample.id) or own_lesson(sample) for sample in training}
        if recipe.compares_prompts and len(taught) < 2:
            raise UserError(
                f"algo.objective={config.algo.objective.value} compares with answers to other prompts; give "
                "data.lessons of two or more"
            )
        check_lessons(taught, response_tokens(builder, config.model.path, config.rollout))
        if config.algo.span is not LossSpan.response:
            check_spans(taught)
    if config.algo.contrastive:
        check_contrast(training, builder, response_tokens(builder, config.model.path, config.rollout), config.rollout)
    if is_computed(config.reward.consistency):
        check_looks(training + heldout, builder, config.data.anomaly_words, read=reads_words(config.localize))
    check_truth([item_of(sample) for sample in training + heldout], config.reward)
    check_encoder(config.reward.domain)
    try_functions(config.reward, training[0], partial(print, file=sys.stdout, flush=True))
    order = SampleStream(heldout, config.seed)
    asked = order.take(min(config.data.num_heldout or len(heldout), len(heldout)))
    are_demo = is_demo(Path(config.data.root), categories([*training, *heldout]))
    starter = starter_warnings(config.model.path, f"data.root={config.data.root}", are_demo=are_demo)
    return Data(
        training=training,
        heldout=asked,
        lessons=lessons,
        num_unasked=len(heldout) - len(asked),
        warnings=(*warnings_of(training, heldout), *starter),
    )
