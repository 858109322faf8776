"""Log-probs of the options: the engine against transformers, on answers that a model gives."""

from dataclasses import replace
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest
import torch
from transformers import AutoModelForImageTextToText

from actors.config import ModelConfig, Precision
from actors.rollout_worker import RolloutWorker
from actors.setups import EngineSetup
from builders.streamed import groups_of
from builders.transformers_inputs import inputs_of
from rl.data.config import DataConfig, Instructions
from rl.data.demo.synthesis import write_demo
from rl.data.pairs.boundary import chance_of
from rl.data.prompts import PromptBuilder
from rl.data.reading import read_samples
from rl.types import Sample, Task
from rollout.config import RolloutConfig

MODEL = str(Path(__file__).parents[2] / "models/starter_forms")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    folder = tmp_path_factory.mktemp("data")
    write_demo(folder, seed=0, num_parts=12)
    return DataConfig(root=str(folder), task=Task.choice, instructions=Instructions.none)


@pytest.fixture(scope="module")
def samples(data: DataConfig) -> list[Sample]:
    return read_samples(data)[:6]


@pytest.fixture(scope="module")
def worker(data: DataConfig) -> RolloutWorker:
    worker = RolloutWorker()
    worker.start(
        EngineSetup(
            model=ModelConfig(path=MODEL, precision=Precision.fp32),
            data=data,
            rollout=RolloutConfig(max_prompt_tokens=256, max_response_tokens=64, kv_cache_mb=16),
            seed=0,
        )
    )
    return worker


@torch.no_grad()
def by_transformers(prefix: str, sample: Sample, data: DataConfig) -> torch.Tensor:
    """Return the probability of each option's letter after the prefix, renormalised over the options."""
    builder, model = PromptBuilder(MODEL, data), AutoModelForImageTextToText.from_pretrained(MODEL).eval()
    prompt = builder.build(sample)
    logits = model(**inputs_of(model, prompt, builder.encode_answer(prefix)[:-1])).logits[0, -1]
    letters = [builder.vocabulary[letter] for letter in sample.target.options]
    return logits[letters].softmax(-1)


def test_the_options_have_the_probabilities_of_transformers(
    worker: RolloutWorker, samples: list[Sample], data: DataConfig
):
    found_logprobs = worker.option_logprobs(samples, 1, 0)
    groups = groups_of(worker.generate(samples, 1, greedy=True, first_seed=0))
    for index, (sample, (answer,)) in enumerate(zip(samples, found_logprobs, strict=True)):
        text = groups[index].completions[0].text
        assert answer, text
        expected = by_transformers(text[: text.rindex("<answer>") + len("<answer>")], sample, data)
        found = [chance_of([answer], letter, len(answer)).p_right for letter in sample.target.options]
        assert found == pytest.approx(expected.tolist(), abs=1e-4)


def test_each_of_several_answers_has_log_probs_where_it_chooses(worker: RolloutWorker, samples: list[Sample]):
    first = worker.option_logprobs(samples, 3, 5)
    worker.forget()
    again = worker.option_logprobs(samples, 3, 5)
    assert [len(answers) for answers in first] == [3] * len(samples)
    for sample, answers in zip(samples, first, strict=True):
        assert all(set(answer) in (set(), set(sample.target.options)) for answer in answers)
    assert sum(bool(answer) for answers in first for answer in answers) > 9
    worker.forget()
    assert worker.option_logprobs(samples, 3, 5) == again
    assert worker.option_logprobs(samples, 3, 6) != again


def test_an_answer_without_an_option_has_no_log_probs(samples: list[Sample], worker: RolloutWorker):
    asked = [replace(each, target=replace(each.target, options={"Y": "this", "Z": "that"})) for each in samples]
    assert worker.option_logprobs(asked, 1, 0) == [[{}]] * len(samples)
