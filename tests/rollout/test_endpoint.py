"""The endpoint teacher against a real server: `vllm serve` with the starter."""

import asyncio
from dataclasses import replace

import pytest

from builders.vllm_server import NAME, STARTER
from rl.contrast import Repair, plan_repair
from rl.data.config import DataConfig, Instructions
from rl.data.demo.synthesis import write_demo
from rl.data.prompts import PromptBuilder
from rl.data.reading import read_samples
from rl.faults import RunFailure
from rl.timing import Timings
from rl.types import Completion, Group, Origin, Score
from rollout.config import RolloutConfig, TeacherConfig, TeacherKind
from rollout.engine import Engine
from rollout.repairer import Repairer, response_tokens
from rollout.teacher import EndpointTeacher

pytestmark = pytest.mark.slow
SAMPLED = Completion(token_ids=(5,), text="x", logprobs=(0.0,), finish_reason="stop", policy_version=2)
RIGHT = Score(total=1.0, components={"accuracy": 1.0})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    folder = tmp_path_factory.mktemp("data")
    write_demo(folder, seed=0, num_parts=4, contrasts=(0.9, 0.95))
    return DataConfig(root=str(folder), instructions=Instructions.none)


@pytest.fixture(scope="module")
def builder(data: DataConfig) -> PromptBuilder:
    return PromptBuilder(str(STARTER), data)


@pytest.fixture(scope="module")
def repairs(data: DataConfig, builder: PromptBuilder) -> list[Repair]:
    """Return repairs of groups about normal and defective parts, all answers right."""
    prompts = [replace(builder.build(sample), pixels=None) for sample in read_samples(data)[:8]]
    groups = [Group(prompt=prompt, completions=(SAMPLED,) * 4, scores=(RIGHT,) * 4) for prompt in prompts]
    return [repair for group in groups if (repair := plan_repair(group, step=0, has_teacher=True))]


def rollout(url: str, **options: object) -> RolloutConfig:
    teacher = TeacherConfig(kind=TeacherKind.endpoint, url=url, **{"model": NAME, **options})
    # Nearly greedy: the likeliest tokens, whatever the seed.
    return RolloutConfig(teacher=teacher, temperature=0.01, max_response_tokens=64, max_prompt_tokens=400)


def test_the_server_sees_words_and_images_as_the_policy_does(
    starter_server: str, repairs: list[Repair], builder: PromptBuilder
):
    config = rollout(starter_server)
    samples = {repair.group.prompt.sample.id: repair.group.prompt.sample for repair in repairs}
    # Without the hint, which the starter was never taught: its answers to that are close calls.
    teacher = EndpointTeacher(config, lambda asked: builder.messages(samples[asked.id]), print)
    texts = asyncio.run(teacher.write(repairs, seed=0))

    engine = Engine(str(STARTER), config, dtype="float32", seed=0)
    prompts = [builder.build(sample) for sample in samples.values()]
    groups = dict(engine.generate(prompts, num_completions=1, greedy=True, first_seed=0))
    assert texts == [[groups[index][0].text] * 2 for index in range(8)]
    assert len({text for each in texts for text in each}) > 1


def test_the_servers_texts_join_groups_as_tokens_of_the_run(
    starter_server: str, repairs: list[Repair], builder: PromptBuilder
):
    config = rollout(starter_server, max_concurrency=2)
    tokens = response_tokens(builder, str(STARTER), config)
    repairer = Repairer(EndpointTeacher(config, builder.messages, print), tokens, 0, Timings())
    written = [each for joins in asyncio.run(repairer.write(repairs, 0)) for each in joins]
    assert len(written) >= len(repairs)
    for joins in written:
        assert (joins.origin, joins.logprobs, joins.policy_version) == (Origin.teacher, (), 2)
        assert joins.token_ids == builder.encode_answer(joins.text)


def test_a_server_is_greeted_before_a_run_and_one_without_the_model_says_so(
    starter_server: str, builder: PromptBuilder
):
    asyncio.run(EndpointTeacher(rollout(starter_server), builder.messages, print).check())
    with pytest.raises(RunFailure, match=r"answered 404 .*rollout\.teacher\.url, model or key_env"):
        asyncio.run(EndpointTeacher(rollout(starter_server, model="other"), builder.messages, print).check())
