"""The tap against transformers' eager attention: exact, whatever the batch looks like."""

from dataclasses import replace
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest
import torch

from actors.config import LoraConfig, ModelConfig, Precision
from actors.model import PolicyModel, load_model, with_lora
from builders.eager_attention import Eager, eager_shares, whole_attention
from builders.tiny_groups import groups_with_words
from builders.tiny_model import write_tiny_model
from builders.transformers_inputs import inputs_of
from rl.batching import to_batch
from rl.types import Group
from rollout.attention import CHUNKS, TAPPED, Gaze, Tap, attention_of, gaze_fault, gazes_of
from rollout.config import LocalizeConfig, Row, Selection

EXACT = 1e-6


@pytest.fixture(scope="module")
def deep_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve layers; four query heads share a key head."""
    return write_tiny_model(tmp_path_factory.mktemp("deep"), num_layers=12, num_key_heads=1)


def policy_of(folder: Path, precision: Precision = Precision.fp32) -> PolicyModel:
    dtype = getattr(torch, precision.value)
    model = load_model(ModelConfig(path=str(folder), precision=precision), dtype)
    return PolicyModel(model, temperature=1.0, banned_token_ids=()).eval()


def eager_of(folder: Path, dtype: torch.dtype = torch.float32) -> Eager:
    return Eager.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


@torch.no_grad()
def tapped(policy: PolicyModel, groups: list[Group], **config: object) -> list[torch.Tensor]:
    """The shares of each group, all groups in one padded batch."""
    chosen, batch = LocalizeConfig(**config), to_batch(groups)
    tap = Tap(gazes_of(groups, batch, chosen.row), chosen)
    policy(batch, tap)
    return tap.shares()


def furthest(found: list[torch.Tensor], eager: Eager, groups: list[Group], **options: object) -> float:
    pairs = zip(found, groups, strict=True)
    gaps = [(shares - torch.cat(eager_shares(eager, group, **options))).abs().max() for shares, group in pairs]
    return float(max(gaps))


@pytest.mark.parametrize("kind", ["two layers", "twelve layers"])
def test_a_padded_batch_of_groups_is_as_each_answer_alone_in_eager_attention(tiny_model, deep_model, kind):
    folder = tiny_model if kind == "two layers" else deep_model
    groups, policy, eager = groups_with_words(folder), policy_of(folder), eager_of(folder)
    gap = furthest(tapped(policy, groups), eager, groups)
    print(f"figure: {kind}, GQA, padding, two images of different sizes: {gap:.0e}")
    assert gap <= EXACT


def test_chunks_change_nothing(tiny_model, monkeypatch):
    groups, policy = groups_with_words(tiny_model), policy_of(tiny_model)
    whole = tapped(policy, groups)
    monkeypatch.setitem(CHUNKS, "cpu", 64)
    for one, other in zip(tapped(policy, groups), whole, strict=True):
        assert torch.allclose(one, other, atol=1e-8)


def test_layers_and_heads_can_be_chosen(deep_model):
    groups, policy, eager = groups_with_words(deep_model), policy_of(deep_model), eager_of(deep_model)
    chosen = {"layers": [3, 7, 11], "heads": [0, 2]}
    assert furthest(tapped(policy, groups, **chosen), eager, groups, **chosen) <= EXACT


def test_a_token_can_look_from_its_own_position(tiny_model):
    groups, policy, eager = groups_with_words(tiny_model), policy_of(tiny_model), eager_of(tiny_model)
    assert furthest(tapped(policy, groups, row=Row.own), eager, groups, offset=0) <= EXACT
    assert furthest(tapped(policy, groups), eager, groups, offset=0) > 100 * EXACT


def test_an_adapter_is_seen_through(tiny_model):
    groups, eager = groups_with_words(tiny_model), eager_of(tiny_model)
    policy = policy_of(tiny_model)
    adapted = with_lora(policy.hf, LoraConfig(rank=4))
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    policy.eval()
    assert furthest(tapped(policy, groups), eager, groups) > 100 * EXACT
    found = tapped(policy, groups)
    adapted.set_adapter("default")
    merged = adapted.merge_and_unload()
    merged.set_attn_implementation("eager")
    gap = furthest(found, merged, groups)
    print(f"figure: LoRA: {gap:.0e}")
    assert gap <= EXACT


def test_sequences_packed_in_a_row_see_only_themselves(tiny_model):
    """transformers' own packing: a row of positions that starts anew for each sequence."""
    policy, eager = policy_of(tiny_model), eager_of(tiny_model)
    lengths = [23, 40, 31]
    ids = torch.randint(0, 200, (1, sum(lengths)), generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(length) for length in lengths])[None].expand(4, 1, -1)
    starts = [0, 23, 63]
    found = []
    for start, length in zip(starts, lengths, strict=True):
        columns = torch.arange(start + 3, start + 11)
        gaze = Gaze(line=0, rows=torch.arange(start + 15, start + length), columns=columns)
        tap = Tap([gaze], LocalizeConfig())
        with torch.no_grad():
            policy.hf.model.language_model(input_ids=ids, position_ids=positions, use_cache=False, tap=tap)
            alone = eager(
                input_ids=ids[:, start : start + length],
                attention_mask=torch.ones(1, length, dtype=torch.long),
                output_attentions=True,
            ).attentions
        expected = torch.stack([layer[0] for layer in alone]).mean((0, 1))[15:, 3:11]
        found.append((tap.shares()[0] - expected).abs().max().item())
    print(f"figure: packing: {max(found):.0e}")
    assert max(found) <= EXACT


def test_the_row_is_that_of_the_step_at_which_the_token_was_decoded(tiny_model):
    (group,) = groups_with_words(tiny_model)[:1]
    eager, prompt = eager_of(tiny_model), group.prompt
    made = eager.generate(
        **inputs_of(eager, prompt),
        do_sample=False,
        min_new_tokens=6,
        max_new_tokens=6,
        output_attentions=True,
        return_dict_in_generate=True,
    )
    answer = tuple(made.sequences[0, len(prompt.token_ids) :].tolist())
    begin, end = prompt.image_spans[-1]
    columns = [*range(begin, end), *prompt.anomaly_tokens]
    steps = [torch.stack([layer[0, :, -1] for layer in step]).mean((0, 1))[columns] for step in made.attentions]
    decoded = replace(group, completions=(replace(group.completions[0], token_ids=answer, logprobs=(0.0,) * 6),))
    (found,) = tapped(policy_of(tiny_model), [decoded])
    assert (found - torch.stack(steps)).abs().max() <= EXACT


def test_in_bf16_it_is_near_eager_attention_in_bf16(deep_model):
    groups = groups_with_words(deep_model)
    found = tapped(policy_of(deep_model, Precision.bf16), groups)
    eager = eager_of(deep_model, torch.bfloat16)
    expected = [torch.cat(eager_shares(eager, group)) for group in groups]
    gap = max(float((one - other).norm() / other.norm()) for one, other in zip(found, expected, strict=True))
    print(f"figure: bf16, relative: {gap:.0e}")
    assert gap <= 2e-3


def test_log_probs_are_those_of_a_pass_without_a_tap(tiny_model):
    groups, policy = groups_with_words(tiny_model), policy_of(tiny_model)
    batch = to_batch(groups)
    with torch.no_grad():
        tap = Tap(gazes_of(groups, batch, Row.producing), LocalizeConfig())
        assert torch.equal(policy(batch, tap).logprobs, policy(batch).logprobs)
    assert policy.hf.config.text_config._attn_implementation == TAPPED


def test_an_empty_micro_batch_is_passed_and_nobody_looks(tiny_model):
    assert tapped(policy_of(tiny_model), []) == []


def test_maps_have_the_shape_of_the_inspected_image(tiny_model):
    (group,) = groups_with_words(tiny_model)[1:2]
    (shares,) = tapped(policy_of(tiny_model), [group])
    first, second = attention_of(group, shares)
    assert first.maps.shape == (3, 3, 5) and second.maps.shape == (9, 3, 5)
    attention = whole_attention(eager_of(tiny_model), group, group.completions[1].token_ids).mean((0, 1))
    row = attention[len(group.prompt.token_ids) + 3]
    begin, _ = group.prompt.image_spans[-1]
    assert second.relevance[4] == pytest.approx(float(row[list(group.prompt.anomaly_tokens)].sum()), abs=EXACT)
    assert second.maps[4, 2, 1] == pytest.approx(float(row[begin + 11]), abs=EXACT)


def test_a_prompt_without_an_image_or_without_the_words_is_refused_in_a_sentence(tiny_model):
    group = groups_with_words(tiny_model)[0]
    blind = replace(group, prompt=replace(group.prompt, image_spans=()))
    mute = replace(group, prompt=replace(group.prompt, anomaly_tokens=()))
    assert "has no image to look at" in gaze_fault(blind, LocalizeConfig())
    assert "none of data.anomaly_words" in gaze_fault(mute, LocalizeConfig())
    assert gaze_fault(mute, LocalizeConfig(selection=Selection.entropy)) == ""
    assert gaze_fault(group, LocalizeConfig()) == ""
