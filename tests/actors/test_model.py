import json
import shutil
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from actors.config import LoraConfig, ModelConfig, Precision
from actors.families import LANGUAGE_INPUTS
from actors.model import PolicyModel, TokenStats, load_model, with_lora
from actors.model_folder import check_folder, check_localize, weights_name
from builders.tiny_model import tiny_prompt, write_tiny_model
from builders.token_groups import random_group
from builders.transformers_inputs import answer_logits
from rl.batching import prompt_positions, to_batch
from rl.family import FAMILIES
from rl.types import Group
from rollout.config import LocalizeConfig


@pytest.fixture(scope="module")
def groups(tiny_model: Path) -> list[Group]:
    """Make groups with prompts and answers of unequal length, and with two images, one and none."""
    return [
        random_group(tiny_prompt(tiny_model), [7, 1, 5], seed=1),
        random_group(tiny_prompt(tiny_model, sizes=((140, 84),), text="Look.", seed=2), [3, 9], seed=2),
        random_group(tiny_prompt(tiny_model, sizes=(), text="No image here."), [4, 4, 2, 8], seed=3),
    ]


def policy(folder: Path, *, temperature: float = 1.0, banned: tuple[int, ...] = (), **config) -> PolicyModel:
    model = load_model(ModelConfig(path=str(folder), precision=Precision.fp32, **config))
    return PolicyModel(model, temperature=temperature, banned_token_ids=banned)


def logprobs_one_by_one(model: PolicyModel, groups: list[Group]) -> list[torch.Tensor]:
    return [
        answer_logits(model.hf, group.prompt, completion.token_ids)
        .log_softmax(-1)
        .gather(-1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        for group in groups
        for completion in group.completions
    ]


def gradients(model: PolicyModel, logprobs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the gradients of a loss in which every completion has another weight."""
    model.zero_grad()
    sum((index + 1) * values.sum() for index, values in enumerate(logprobs)).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_a_row_per_group_has_the_logprobs_and_gradients_of_a_row_per_completion(tiny_model, groups):
    model = policy(tiny_model, freeze_vision=False, freeze_projector=False)
    batch = to_batch(groups)
    rows = [values[mask] for values, mask in zip(model(batch).logprobs, batch.has_token, strict=True)]
    naive = logprobs_one_by_one(model, groups)
    for found, expected in zip(rows, naive, strict=True):
        assert (found - expected).abs().max() <= 1e-5
    shared, apart = gradients(model, rows), gradients(model, naive)
    assert set(shared) == set(apart)
    largest = max(gradient.abs().max() for gradient in apart.values())
    for name, gradient in shared.items():
        assert (gradient - apart[name]).abs().max() <= 1e-5 * largest, name


def test_positions_are_those_of_transformers(tiny_model, groups):
    model = policy(tiny_model).hf
    prompt = groups[0].prompt
    ids = torch.tensor([prompt.token_ids])
    expected, _ = model.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
        image_grid_thw=torch.tensor(prompt.pixels.grid),
    )
    assert prompt_positions(prompt).tolist() == expected[:, 0].tolist()


def test_a_row_does_not_depend_on_the_other_rows_of_its_batch(tiny_model, groups):
    model = policy(tiny_model)
    together = model(to_batch(groups))
    alone = model(to_batch(groups[1:2]))
    rows = slice(len(groups[0].completions), len(groups[0].completions) + len(groups[1].completions))
    width = alone.logprobs.shape[1]
    assert torch.allclose(together.logprobs[rows, :width], alone.logprobs, atol=1e-5)
    assert torch.allclose(together.entropy[rows, :width], alone.entropy, atol=1e-5)


def test_logprobs_and_entropy_are_those_of_the_engines_distribution(tiny_model, groups):
    banned = (205, 262, 263)
    model = policy(tiny_model, temperature=0.7, banned=banned)
    found: TokenStats = model(to_batch(groups[:1]))
    answer = groups[0].completions[0].token_ids
    logits = answer_logits(model.hf, groups[0].prompt, answer).double() / 0.7
    kept = [token for token in range(logits.shape[-1]) if token not in banned]
    probabilities = logits[:, kept].softmax(-1)
    taken = torch.tensor([kept.index(token) for token in answer])
    expected = probabilities.gather(-1, taken[:, None])[:, 0].log()
    assert torch.allclose(found.logprobs[0], expected.float(), atol=1e-5)
    assert torch.allclose(found.entropy[0], -(probabilities * probabilities.log()).sum(-1).float(), atol=1e-5)


def test_more_tokens_than_a_chunk_holds_change_nothing(tiny_model):
    prompt = tiny_prompt(tiny_model, sizes=(), text="Long.")
    group = random_group(prompt, [400, 400, 400])
    model = policy(tiny_model)
    found = model(to_batch([group])).logprobs
    for row, expected in zip(found, logprobs_one_by_one(model, [group]), strict=True):
        assert torch.allclose(row, expected, atol=1e-5)


def test_gradient_checkpointing_changes_memory_not_gradients(tiny_model, groups):
    found = []
    for checkpointing in (False, True):
        model = policy(tiny_model, freeze_vision=False, freeze_projector=False, gradient_checkpointing=checkpointing)
        found.append(gradients(model.train(), list(model(to_batch(groups)).logprobs)))
    plain, recomputed = found
    for name, gradient in plain.items():
        assert torch.allclose(recomputed[name], gradient, rtol=1e-4, atol=1e-5), name


def trained(model: PolicyModel) -> set[str]:
    """Return the parts of the model that learn."""
    parts = ("visual.merger", "visual", "language_model", "lm_head")
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return {next(part for part in parts if part in name) for name in names}


@pytest.mark.parametrize(
    ("vision", "projector", "parts"),
    [
        (True, True, set()),
        (False, True, {"visual"}),
        (True, False, {"visual.merger"}),
        (False, False, {"visual", "visual.merger"}),
    ],
)
def test_vision_tower_and_projector_freeze_separately_with_and_without_lora(tiny_model, vision, projector, parts):
    model = policy(tiny_model, freeze_vision=vision, freeze_projector=projector)
    assert trained(model) == {"language_model", *parts}
    with_lora(model.hf, LoraConfig(rank=4))
    assert trained(model) == {"language_model", *parts}
    learning = [
        name for name, parameter in model.named_parameters() if parameter.requires_grad and "visual" not in name
    ]
    assert all(".lora_" in name for name in learning)


def test_a_frozen_vision_tower_gets_no_gradient_and_keeps_no_graph(tiny_model, groups):
    model = policy(tiny_model)
    model(to_batch(groups)).logprobs.sum().backward()
    assert all(parameter.grad is None for parameter in model.hf.model.visual.parameters())
    assert all(parameter.grad is not None for parameter in model.hf.model.language_model.parameters())


def test_untied_output_weights_are_used(tmp_path):
    folder = write_tiny_model(tmp_path, tied=False)
    group = random_group(tiny_prompt(folder, sizes=()), [5])
    model = policy(folder)
    assert torch.allclose(model(to_batch([group])).logprobs[0], logprobs_one_by_one(model, [group])[0], atol=1e-5)


def load(path: Path) -> None:
    load_model(ModelConfig(path=str(path)))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: neither a model folder with a config.json nor a hub id"):
        load(tmp_path / "nowhere")


def test_a_folder_without_a_processor_is_named(tiny_model, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(tiny_model / name, tmp_path)
    with pytest.raises(ValueError, match=r"no processor \(processor_config.json or preprocessor_config.json\)"):
        load(tmp_path)


def checkpoint_in_two_files(model: Path, folder: Path) -> Path:
    """Copy a checkpoint with its weights in two files; return the second one."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = load_file(model / "model.safetensors")
    names, places = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        save_file({name: tensors[name] for name in part}, folder / f"part-{number}.safetensors")
        places |= dict.fromkeys(part, f"part-{number}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder / "part-2.safetensors"


def test_a_whole_checkpoint_passes_in_one_file_and_in_several(tiny_model, tmp_path):
    check_folder(str(tiny_model))
    check_folder(str(checkpoint_in_two_files(tiny_model, tmp_path / "two").parent))


def test_weights_that_are_cut_off_are_named_by_their_file(tiny_model, tmp_path):
    part = checkpoint_in_two_files(tiny_model, tmp_path / "two")
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"two/part-2\.safetensors: damaged or cut off"):
        check_folder(str(part.parent))
    part.unlink()
    with pytest.raises(ValueError, match=r"two/part-2\.safetensors is missing, which model\.safetensors\.index\.json"):
        check_folder(str(part.parent))
    save_file({"other": torch.zeros(1)}, part)
    with pytest.raises(ValueError, match=r"two/part-2\.safetensors lacks \S+, which"):
        check_folder(str(part.parent))


def test_a_pointer_of_git_lfs_and_a_folder_without_weights_are_named(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").write_text("version 1\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged or cut off"):
        check_folder(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no weights \(model\.safetensors or model\.safetensors\.index\.json\)"):
        check_folder(str(tmp_path))


def test_another_kind_of_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    with pytest.raises(ValueError, match="a model of type qwen2; model.path must be a Qwen2.5-VL checkpoint"):
        load(tmp_path)


def test_every_family_has_code_for_transformers_and_names_parts_that_its_models_have(tiny_model):
    assert list(LANGUAGE_INPUTS) == list(FAMILIES) == [family.model_type for family in FAMILIES.values()]
    model = policy(tiny_model).hf
    family = FAMILIES[model.config.model_type]
    for path in (family.vision_tower, family.projector, *family.blocks):
        assert model.get_submodule(path)
    assert {family.embedding, family.output_layer} <= set(model.state_dict())


@pytest.mark.parametrize("options", [{"layers": [0, 2]}, {"heads": [-1]}])
def test_a_layer_or_head_that_the_model_lacks_is_refused(tiny_model, options):
    check_localize(str(tiny_model), LocalizeConfig(layers=[0, 1], heads=[3]))
    with pytest.raises(ValueError, match=r"localize\.(layers|heads)=.* has (2|4), counted from 0"):
        check_localize(str(tiny_model), LocalizeConfig(**options))


def test_a_hub_id_is_told_apart_by_the_commit_that_was_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "models--maker--model"
    (repository / "refs").mkdir(parents=True)
    names = []
    for commit in ("a" * 40, "b" * 40):
        (repository / "snapshots" / commit).mkdir(parents=True)
        (repository / "snapshots" / commit / "config.json").write_text("{}")
        (repository / "refs" / "main").write_text(commit)
        names.append(weights_name("maker/model"))
    assert names == [f"maker--model-{letter * 40}" for letter in "ab"]
