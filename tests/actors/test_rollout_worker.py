from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from actors.config import ModelConfig, Precision
from actors.rollout_worker import RolloutWorker
from actors.setups import EngineSetup
from builders.streamed import groups_of
from rl.data.config import DataConfig
from rl.types import Sample, Target
from rollout.config import RolloutConfig


@pytest.fixture(scope="module")
def worker(tiny_model: Path) -> RolloutWorker:
    worker = RolloutWorker()
    worker.start(
        EngineSetup(
            model=ModelConfig(path=str(tiny_model), precision=Precision.fp32),
            data=DataConfig(),
            rollout=RolloutConfig(max_prompt_tokens=1024, max_response_tokens=6, kv_cache_mb=8),
            seed=0,
        )
    )
    return worker


def sample(folder: Path, name: str, *sizes: tuple[int, int]) -> Sample:
    paths = tuple(folder / f"{name}_{index}.png" for index in range(len(sizes)))
    for shade, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        Image.new("RGB", size, (40 * shade, 90, 200)).save(path)
    target = Target(label="defective", boxes=((0.0, 0.0, 30.0, 28.0),), box_labels=("cut",))
    return Sample(id=name, images=paths, question="Is it defective?", target=target, category="part")


def test_samples_become_groups_of_completions(worker: RolloutWorker, tmp_path: Path) -> None:
    samples = [sample(tmp_path, "pair", (56, 56), (60, 56)), sample(tmp_path, "single", (84, 56))]
    groups = groups_of(worker.generate(samples, 3, greedy=False, first_seed=0))
    assert [groups[index].prompt.sample.id for index in range(2)] == ["pair", "single"]
    assert [len(groups[index].completions) for index in range(2)] == [3, 3]
    assert groups[0].prompt.pixels.grid == ((1, 4, 4), (1, 4, 4))
    assert groups[0].prompt.target.boxes == ((0.0, 0.0, 28.0, 28.0),)


def test_loaded_weights_carry_their_version_into_completions(
    worker: RolloutWorker, tiny_model: Path, tmp_path: Path
) -> None:
    samples = [sample(tmp_path, "one", (56, 56))]
    (before,) = groups_of(worker.generate(samples, 1, greedy=True, first_seed=0)).values()
    weights = AutoModelForImageTextToText.from_pretrained(tiny_model).state_dict()
    worker.load({name: torch.flip(value, (0,)) for name, value in weights.items()}, version=3)
    (after,) = groups_of(worker.generate(samples, 1, greedy=True, first_seed=0)).values()
    assert after.completions[0].policy_version == 3
    assert after.completions[0].logprobs != before.completions[0].logprobs


def test_only_finished_texts_are_returned_for_each_sample(worker: RolloutWorker, tmp_path: Path) -> None:
    samples = [sample(tmp_path, "one", (56, 56)), sample(tmp_path, "two", (84, 56))]
    texts = worker.write(samples, 200, first_seed=0)
    groups = groups_of(worker.generate(samples, 200, greedy=False, first_seed=0))
    ended = [[each.text for each in groups[i].completions if each.finish_reason == "stop"] for i in range(2)]
    assert texts == ended == worker.write(samples, 200, first_seed=0)
    assert 0 < len(ended[0]) < 200


def test_seconds_spent_sampling_are_handed_out_once(worker: RolloutWorker, tmp_path: Path) -> None:
    list(worker.generate([sample(tmp_path, "one", (56, 56))], 2, greedy=False, first_seed=0))
    assert worker.drain_generate_s() > 0
    assert worker.drain_generate_s() == 0


def test_a_missing_image_is_named(worker: RolloutWorker, tmp_path: Path) -> None:
    lost = sample(tmp_path, "lost", (56, 56))
    lost.images[0].unlink()
    with pytest.raises(ValueError, match=r"lost_0\.png"):
        list(worker.generate([lost], 2, greedy=False, first_seed=0))
