"""An answer's rival, and the single pass that gives the log-probs of both and the answer's look."""

from pathlib import Path

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from actors.config import ClusterConfig, ModelConfig, Placement, Precision
from actors.inspection import with_rival
from actors.placement import num_sharing, slots, without_learning
from actors.reference import ReferencePolicy
from actors.setups import Sampling
from builders.learners import open_reference
from builders.transformers_inputs import answer_logits
from rewards.rival import p_yes
from rl.data.config import DataConfig, Instructions
from rl.data.demo.synthesis import make_part
from rl.data.prompts import PromptBuilder
from rl.data.questions import QUESTIONS
from rl.types import Completion, Group, Sample, Target, Task
from rollout.banned import banned_token_ids
from rollout.config import LocalizeConfig

STARTER = str(Path(__file__).parents[2] / "models/starter")
YES = "<think>A hole at the top left.</think><answer>Yes. {'bbox_2d': [9, 2, 33, 41], 'label': 'hole'}</answer>"
NO = "<think>No difference.</think><answer>No.</answer>"


@pytest.fixture(scope="module")
def builder() -> PromptBuilder:
    return PromptBuilder(STARTER, DataConfig(instructions=Instructions.none))


@pytest.fixture(scope="module")
def frozen() -> ReferencePolicy:
    return open_reference(
        model=ModelConfig(path=STARTER, precision=Precision.fp32),
        cluster=ClusterConfig(micro_batch_tokens=400),
        sampling=Sampling(temperature=1.0, banned_token_ids=banned_token_ids(STARTER), max_response_tokens=64),
    )


def answered(builder: PromptBuilder, text: str, seed: int = 0) -> Group:
    """Make a group of a demo part with the answer `text`."""
    part = make_part(np.random.default_rng(seed), "leather", "hole", (0.3, 0.3))
    sample = Sample(
        id=f"part/{seed}",
        images=(Path("reference"), Path("query")),
        question=QUESTIONS[Task.boxes],
        target=Target(label=""),
        category="leather",
    )
    tokens = builder.encode_answer(text)
    answer = Completion(
        token_ids=tokens, text=text, logprobs=(0.0,) * len(tokens), finish_reason="stop", policy_version=0
    )
    images = [Image.fromarray(part.reference), Image.fromarray(part.query)]
    return Group(prompt=builder.assemble(sample, images), completions=(answer,))


@pytest.mark.parametrize(("text", "begins"), [(YES, "<answer>N"), (NO, "<answer>Y")])
def test_the_rival_equals_the_answer_up_to_the_other_verdict(text, begins, builder):
    answer, rival = with_rival(answered(builder, text), builder).completions
    assert rival.text.endswith(begins) and text.startswith(rival.text[:-1])
    assert rival.token_ids[:-1] == answer.token_ids[: len(rival.token_ids) - 1]


def test_an_answer_without_a_verdict_has_no_rival(builder):
    group = answered(builder, "<think>A hole.</think><answer>Perhaps.</answer>")
    assert with_rival(group, builder) is group


def test_one_pass_gives_the_probability_of_transformers(builder, frozen):
    model = AutoModelForImageTextToText.from_pretrained(STARTER, dtype=torch.float32).eval()
    groups = [with_rival(answered(builder, text, seed), builder) for seed, text in enumerate([YES, NO, YES])]
    seen = frozen.observe(groups, LocalizeConfig())
    for group, ((given, rival), _), verdict in zip(groups, seen, ["defective", "normal", "defective"], strict=True):
        place = len(rival) - 1
        with torch.no_grad():
            logits = answer_logits(model, group.prompt, group.completions[0].token_ids)[place]
        yes, no = (logits[builder.vocabulary[letter]].item() for letter in "YN")
        wanted = 1 / (1 + np.exp(no - yes))
        assert p_yes(verdict, given[place], rival[place]) == pytest.approx(wanted, rel=1e-3)


def test_a_rival_beside_an_answer_does_not_change_where_it_looks(builder, frozen):
    group = answered(builder, YES)
    ((_, (alone,)),) = frozen.observe([group], LocalizeConfig())
    ((_, (beside, _)),) = frozen.observe([with_rival(group, builder)], LocalizeConfig())
    assert alone.weights == pytest.approx(beside.weights, abs=1e-4)
    np.testing.assert_allclose(alone.maps.rdam, beside.maps.rdam, atol=1e-5)
    assert alone.maps.rdam.shape == (4, 4)


def test_a_run_without_learning_needs_only_engines_and_a_frozen_model():
    config = without_learning(ClusterConfig(num_learners=4, num_rollout_workers=2, gpus_per_actor=1.0))
    assert [slot.kind for slot in slots(config, with_reference=True)] == ["reference", *["rollout worker"] * 2]
    assert config.gpus_per_actor == 1.0


def test_when_colocated_the_engine_and_the_frozen_model_share_a_gpu():
    config = without_learning(ClusterConfig(placement=Placement.colocated, gpus_per_actor=1.0))
    assert num_sharing(config, with_reference=True) == 1
    assert sum(slot.gpus for slot in slots(config, with_reference=True)) == 1.0


def test_engines_alone_keep_a_gpu_each():
    shared = ClusterConfig(num_rollout_workers=2, placement=Placement.colocated, gpus_per_actor=1.0)
    config = without_learning(shared, with_frozen=False)
    assert [(slot.kind, slot.gpus) for slot in slots(config, with_reference=False)] == [("rollout worker", 1.0)] * 2
