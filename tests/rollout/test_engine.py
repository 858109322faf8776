"""The engine against transformers on a random Qwen2.5-VL: the same log-probabilities, before and after new weights."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest
import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel

from actors.config import ModelConfig, Precision
from actors.model import PolicyModel, load_model
from builders.tiny_model import tiny_prompt, write_tiny_model
from builders.transformers_inputs import answer_logits
from rl.batching import to_batch
from rl.family import FAMILIES
from rl.truncation import KEEPS_ALL, Truncation
from rl.types import Completion, Group, Prompt
from rollout.config import RolloutConfig
from rollout.engine import STEP_TOKENS, Engine
from rollout.families import IMAGE_INPUTS

TEMPERATURE = 0.7
MAX_RESPONSE = 24


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> PreTrainedModel:
    return AutoModelForImageTextToText.from_pretrained(tiny_model).eval()


@pytest.fixture
def fresh_engine(engine: Engine, model: PreTrainedModel) -> Iterator[Engine]:
    """The engine, given the checkpoint's weights back afterwards."""
    yield engine
    engine.load_weights(model.state_dict(), version=0)


@pytest.fixture(scope="session")
def prompts(tiny_model: Path) -> list[Prompt]:
    """Two images of different sizes, one image, none."""
    return [
        tiny_prompt(tiny_model, ((112, 112), (84, 56)), seed=0),
        tiny_prompt(tiny_model, ((56, 140),), seed=1),
        tiny_prompt(tiny_model, (), seed=2),
    ]


def sample(
    engine: Engine, prompts: Sequence[Prompt], *, count: int = 2, seed: int = 0, greedy: bool = False
) -> list[tuple[Completion, ...]]:
    groups = dict(engine.generate(prompts, num_completions=count, greedy=greedy, first_seed=seed))
    return [groups[index] for index in range(len(prompts))]


@torch.no_grad()
def expected_logprobs(model: PreTrainedModel, engine: Engine, prompt: Prompt, answer: Completion) -> torch.Tensor:
    """[token, vocabulary] by one transformers forward over prompt and answer, at temperature 1."""
    logits = answer_logits(model, prompt, answer.token_ids)
    logits[:, list(engine.banned_token_ids)] = -torch.inf
    return logits.log_softmax(-1)


def of_sampled(logprobs: torch.Tensor, answer: Completion, temperature: float = TEMPERATURE) -> list[float]:
    tempered = (logprobs / temperature).log_softmax(-1)
    return tempered.gather(-1, torch.tensor(answer.token_ids)[:, None])[:, 0].tolist()


def assert_agrees(model: PreTrainedModel, engine: Engine, prompts: Sequence[Prompt], count: int = 2) -> None:
    for prompt, answers in zip(prompts, sample(engine, prompts, count=count), strict=True):
        for answer in answers:
            expected = of_sampled(expected_logprobs(model, engine, prompt, answer), answer)
            assert answer.logprobs == pytest.approx(expected, abs=1e-4), prompt.sample.id


def noisy(weights: dict[str, torch.Tensor], model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights with noise on each; tied ones stay tied, as in a trained model."""
    generator = torch.Generator().manual_seed(7)
    changed = {name: value + 0.05 * torch.randn(value.shape, generator=generator) for name, value in weights.items()}
    if model.config.tie_word_embeddings and "lm_head.weight" in changed:
        changed["lm_head.weight"] = changed["model.language_model.embed_tokens.weight"]
    return changed


def altered(model: PreTrainedModel, weights: dict[str, torch.Tensor]) -> PreTrainedModel:
    """Return a model of the same architecture with the given weights."""
    changed = AutoModelForImageTextToText.from_config(model.config).eval()
    changed.load_state_dict(weights)
    return changed


def test_every_family_has_code_for_vllm() -> None:
    assert set(IMAGE_INPUTS) == set(FAMILIES)


def test_logprobs_equal_those_of_transformers(engine: Engine, model: PreTrainedModel, prompts: list[Prompt]) -> None:
    assert_agrees(model, engine, prompts)


def test_greedy_takes_the_most_likely_token_and_reports_its_logprob_at_temperature_one(
    engine: Engine, model: PreTrainedModel, prompts: list[Prompt]
) -> None:
    for prompt, (answer,) in zip(prompts, sample(engine, prompts, count=1, greedy=True), strict=True):
        expected = expected_logprobs(model, engine, prompt, answer)
        assert answer.token_ids == tuple(expected.argmax(-1).tolist())
        assert answer.logprobs == pytest.approx(of_sampled(expected, answer, temperature=1.0), abs=1e-4)


def test_the_logprobs_of_chosen_next_tokens_equal_those_of_transformers(
    engine: Engine, model: PreTrainedModel, prompts: list[Prompt]
) -> None:
    choices = [[5, 9, 300 % model.config.text_config.vocab_size], [0], [7, 0, 11, 3]]
    answers = [answer for (answer,) in sample(engine, prompts, count=1)]
    prefixed = [
        replace(prompt, token_ids=(*prompt.token_ids, *answer.token_ids[:-1]))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    found = engine.next_logprobs(prefixed, choices)
    for prompt, answer, chosen, logprobs in zip(prompts, answers, choices, found, strict=True):
        expected = expected_logprobs(model, engine, prompt, answer)[-1, chosen]
        assert logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_after_forgetting_the_same_call_gives_the_same_bits(engine: Engine, prompts: list[Prompt]) -> None:
    engine.forget()
    first = sample(engine, prompts, seed=3)
    sample(engine, prompts[::-1], seed=8)
    engine.forget()
    assert sample(engine, prompts, seed=3) == first


def test_greedy_ignores_the_seed(engine: Engine, prompts: list[Prompt]) -> None:
    first, second = (sample(engine, prompts, count=1, greedy=True, seed=seed) for seed in (0, 5))
    assert first == second


def test_the_seed_decides_what_is_sampled(engine: Engine, prompts: list[Prompt]) -> None:
    first, again, other = (sample(engine, prompts, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_prompts_too_long_for_one_step_together_are_sampled_right(
    engine: Engine, model: PreTrainedModel, tiny_model: Path
) -> None:
    many = [tiny_prompt(tiny_model, ((336, 336), (336, 336)), seed=seed) for seed in range(28)]
    assert sum(len(prompt.token_ids) for prompt in many) > STEP_TOKENS
    assert_agrees(model, engine, many, count=1)


def test_no_two_completions_of_a_call_share_their_noise(engine: Engine, prompts: list[Prompt]) -> None:
    groups = sample(engine, [prompts[0]] * 4, count=4)
    assert len({answer.token_ids for group in groups for answer in group}) == 16


def test_image_tokens_are_never_sampled(engine: Engine, prompts: list[Prompt]) -> None:
    """A random model would draw one of the 5 among 264 tokens about 40 times here."""
    groups = sample(engine, prompts * 4, count=8)
    drawn = {token for group in groups for answer in group for token in answer.token_ids}
    assert len(engine.banned_token_ids) == 5
    assert drawn.isdisjoint(engine.banned_token_ids)


def test_groups_come_as_they_finish(engine: Engine, prompts: list[Prompt]) -> None:
    arrivals = list(engine.generate([prompts[2]] * 16, num_completions=1, greedy=False, first_seed=0))
    lengths = [len(answer.token_ids) for _, (answer,) in arrivals]
    assert sorted(index for index, _ in arrivals) == list(range(16))
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1] == MAX_RESPONSE


def test_a_stopped_completion_holds_the_end_of_turn_and_its_text_does_not(
    engine: Engine, prompts: list[Prompt], tiny_model: Path
) -> None:
    answers = [group[0] for group in sample(engine, [prompts[2]] * 16, count=1)]
    end_of_turn = 256
    stopped = [answer for answer in answers if answer.finish_reason == "stop"]
    assert stopped
    assert all(answer.token_ids[-1] == end_of_turn and "<|" not in answer.text for answer in stopped)
    cut = [answer for answer in answers if answer.finish_reason == "length"]
    assert all(len(answer.token_ids) == MAX_RESPONSE and end_of_turn not in answer.token_ids for answer in cut)


def test_a_caller_that_stops_early_leaves_nothing_behind(engine: Engine, prompts: list[Prompt]) -> None:
    before = sample(engine, prompts)
    abandoned = engine.generate(prompts * 8, num_completions=4, greedy=False, first_seed=9)
    next(abandoned)
    abandoned.close()
    assert sample(engine, prompts) == before


def test_new_weights_are_used_from_then_on_for_prompts_seen_before(
    fresh_engine: Engine, model: PreTrainedModel, prompts: list[Prompt]
) -> None:
    before = sample(fresh_engine, prompts)
    weights = noisy(model.state_dict(), model)
    fresh_engine.load_weights(weights, version=4)
    assert_agrees(altered(model, weights), fresh_engine, prompts)
    after = sample(fresh_engine, prompts)
    assert {answer.policy_version for group in before for answer in group} == {0}
    assert {answer.policy_version for group in after for answer in group} == {4}
    assert before[0][0].token_ids != after[0][0].token_ids


def test_a_tied_output_layer_follows_its_embedding(
    fresh_engine: Engine, model: PreTrainedModel, prompts: list[Prompt]
) -> None:
    """Trainers that list parameters name a tied weight once."""
    assert model.config.tie_word_embeddings
    weights = noisy(model.state_dict(), model)
    fresh_engine.load_weights({name: value for name, value in weights.items() if name != "lm_head.weight"}, version=1)
    assert_agrees(altered(model, weights), fresh_engine, prompts)


@torch.no_grad()
def test_an_output_layer_of_its_own_is_updated_and_truncated_sampling_has_the_learners_logprobs(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path, tied=False)
    by = Truncation(top_p=0.9, top_k=20, min_p=0.05)
    config = RolloutConfig(
        max_prompt_tokens=128,
        max_response_tokens=8,
        temperature=TEMPERATURE,
        kv_cache_mb=8,
        top_p=by.top_p,
        top_k=by.top_k,
        min_p=by.min_p,
    )
    engine = Engine(str(folder), config, dtype="float32", seed=0)
    start = load_model(ModelConfig(path=str(folder), precision=Precision.fp32))
    weights = noisy(start.state_dict(), start)
    engine.load_weights(weights, version=1)

    prompt, banned = tiny_prompt(folder), engine.banned_token_ids
    (answers,) = sample(engine, [prompt], count=64)
    start.load_state_dict(weights)
    gaps = {}
    for truncation in (by, KEEPS_ALL):
        learner = PolicyModel(start, temperature=TEMPERATURE, banned_token_ids=banned, truncation=truncation).eval()
        batch = to_batch([Group(prompt=prompt, completions=answers)])
        gaps[truncation] = (learner(batch).logprobs - batch.engine_logprobs).abs()[batch.has_token]
    assert len(gaps[by]) > 100
    assert gaps[by].max() < 1e-4
    # Over all tokens the sampled ones would be less likely, by the probability of those left out.
    assert gaps[KEEPS_ALL].mean() > 0.05
    print(f"figure: engine and learner under truncation differ by {gaps[by].max():.0e} at most")


@pytest.mark.parametrize("part", ["model.visual.", "model.language_model.layers."])
def test_weights_that_are_not_sent_stay_as_they_were(
    part: str, fresh_engine: Engine, model: PreTrainedModel, prompts: list[Prompt]
) -> None:
    sent = noisy({name: value for name, value in model.state_dict().items() if name.startswith(part)}, model)
    fresh_engine.load_weights(sent, version=1)
    assert_agrees(altered(model, model.state_dict() | sent), fresh_engine, prompts)


def test_a_weight_that_the_model_lacks_is_refused(fresh_engine: Engine, model: PreTrainedModel) -> None:
    with pytest.raises(ValueError, match="no module or parameter named 'nothing'"):
        fresh_engine.load_weights({"model.language_model.nothing.weight": torch.zeros(2)}, version=1)


def test_a_prompt_over_the_token_limit_is_refused_by_name(engine: Engine, tiny_model: Path) -> None:
    long = tiny_prompt(tiny_model, (), text="x" * 400, seed=5)
    with pytest.raises(ValueError, match=r"sample tiny/5: .* more than rollout.max_prompt_tokens=384"):
        sample(engine, [long])


def test_more_images_than_configured_are_refused_by_name(engine: Engine, tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=r"sample tiny/6: its prompt has 3 images; raise rollout.max_images=2"):
        sample(engine, [tiny_prompt(tiny_model, ((28, 28),) * 3, seed=6)])


def test_placeholders_that_do_not_fit_the_images_are_refused_by_name(engine: Engine, prompts: list[Prompt]) -> None:
    two_images, one_image, _ = prompts
    with pytest.raises(
        ValueError, match=r"sample tiny/0: its images need \[10\] tokens each, its prompt has \[16, 6\]"
    ):
        sample(engine, [replace(two_images, pixels=one_image.pixels)])
