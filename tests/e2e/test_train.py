"""`assay train` as a user types it: real Ray, real vLLM, two real learners, a reference."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from builders.small_runs import FEW, THREE_STEPS, Run, assay
from builders.transformers_inputs import inputs_of
from builders.wandb_server import sync, wandb_server
from rl.data.config import DataConfig, Instructions
from rl.data.prompts import PromptBuilder
from rl.data.reading import read_samples
from rollout.config import RolloutConfig

pytestmark = pytest.mark.slow
BEFORE = {
    "transformers": "import rl.import_fixes\n",
    # Where torch and torchvision are different builds, vLLM needs help to find the model.
    "vLLM": "import rl.import_fixes\nfrom vllm import ModelRegistry\nname = 'Qwen2_5_VLForConditionalGeneration'\n"
    "ModelRegistry.register_model(name, ModelRegistry.models[name].load_model_cls())\n",
}
"""What the test runs before the code of the model card."""


def test_the_last_line_is_the_summary_and_the_folder_is_whole(small_run: Run):
    wanted = {"reward_first", "reward_last", "heldout_before", "heldout_after", "steps", "seconds"}
    assert small_run.summary.keys() >= wanted | {"samples_per_s", "parity_mean", "overhead"}
    assert small_run.summary["steps"] == 10 and small_run.summary["core_hours"] > 0
    page = (small_run.folder / "report.html").read_text()
    assert "<dt>Hardware</dt>" in page and "Truth and verdict" in page and "num_steps=10" in page
    files = "config.yaml", "metrics.jsonl", "summary.json", "report.html", "wandb", "tensorboard"
    for name in (*files, "checkpoints/step_10/hf"):
        assert (small_run.folder / name).exists(), name


def test_wandb_lists_the_run_by_what_was_typed_and_has_its_report(small_run: Run):
    with wandb_server() as server:
        sync(small_run.folder, server)
    (uploaded,) = server.runs.values()
    assert uploaded.name.startswith("demo data.num_heldout=8 algo.num_prompts=4 algo.num_completions=4 ")
    assert uploaded.tags == ["grpo", "yes_no_boxes", "starter"]
    assert uploaded.config["logging"]["value"]["backends"] == ["wandb", "tensorboard"]
    assert [json.loads(line) for line in uploaded.history][-1]["report"]["_type"] == "html-file"


def test_every_step_passes_the_parity_gate_and_has_its_components(small_run: Run):
    assert len(small_run.steps) == 10
    for row in small_run.steps:
        assert row["parity/logprob_abs_mean"] <= 1e-4
        assert {"reward/format/mean", "reward/accuracy/mean", "reward/box/mean", "actor/kl"} <= row.keys()
        assert row["actor/grad_norm"] > 0
        assert row["fault/unjudged"] == 0


def test_each_learner_leaves_a_profile_of_the_steps_that_were_asked_for(small_run: Run):
    traces = sorted((small_run.folder / "profile").iterdir())
    assert [trace.name for trace in traces] == ["rank_0.json", "rank_1.json"]
    for trace in traces:
        names = {event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"]}
        steps = {name for name in names if name.startswith("training step")}
        assert steps == {"training step 2", "training step 3"}
        assert {"Optimizer.step#AdamW.step", "aten::linear", "aten::log_softmax"} <= names
    assert small_run.output.count("the profile of steps 2..3 is in") == 1


def test_what_a_reward_function_prints_is_in_the_run_folder_and_in_the_terminal(small_run: Run):
    lines = (small_run.folder / "rewards.log").read_text().splitlines()
    # Each step has four groups of four, each of five evaluations eight groups of one.
    assert sum(line.startswith("reward talks: 4 answers to ") for line in lines) == 10 * 4
    assert sum(line.startswith("reward talks: 1 answers to ") for line in lines) == 5 * 8
    assert len(lines) == 80
    assert small_run.output.count("reward talks: 2 answers to ") == 1
    assert lines[0] in small_run.output


def test_the_checkpoint_answers_the_same_in_transformers_and_vllm(small_run: Run, demo_data: Path):
    from rollout.engine import Engine

    folder = small_run.folder / "checkpoints/step_10/hf"
    lines = (small_run.folder / "samples/heldout_step_10.jsonl").read_text().splitlines()
    said = {answer["id"]: answer["completion"] for answer in map(json.loads, lines)}
    config = DataConfig(root=str(demo_data), instructions=Instructions.none)
    builder = PromptBuilder(str(folder), config)
    prompts = [builder.build(sample) for sample in read_samples(config) if sample.id in said]

    engine = Engine(str(folder), RolloutConfig(max_prompt_tokens=256, max_response_tokens=64), dtype="float32", seed=0)
    groups = dict(engine.generate(prompts, num_completions=1, greedy=True, first_seed=0))
    assert {prompt.sample.id: groups[i][0].text for i, prompt in enumerate(prompts)} == said

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for prompt in prompts:
        grown = model.generate(**inputs_of(model, prompt), max_new_tokens=64, do_sample=False)
        answer = tokenizer.decode(grown[0, len(prompt.token_ids) :], skip_special_tokens=True)
        assert answer == said[prompt.sample.id]
    print(f"figure: {len(prompts)} held-out answers the same, word for word")


@pytest.mark.parametrize("library", ["transformers", pytest.param("vLLM", marks=pytest.mark.rare)])
def test_the_code_of_the_model_card_reproduces_an_answer(library: str, small_run: Run, demo_data: Path, tmp_path: Path):
    exported = tmp_path / "exported"
    done = assay("export", f"checkpoint={small_run.folder}", f"output={exported}")
    assert done.returncode == 0, done.stderr
    lines = (small_run.folder / "samples/heldout_step_10.jsonl").read_text().splitlines()
    said = {answer["id"]: answer["completion"] for answer in map(json.loads, lines)}
    sample = next(sample for sample in read_samples(DataConfig(root=str(demo_data))) if sample.id in said)
    for name, image in zip(("normal.jpg", "inspected.jpg"), sample.images, strict=True):
        # The demo's images are PNGs; a reader goes by the content.
        shutil.copy(image, tmp_path / name)

    card = (exported / "README.md").read_text()
    (code,) = re.findall(rf"In {library}:\n\n```python\n(.*?)```", card, flags=re.DOTALL)
    small_cache = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    shown = subprocess.run(
        [sys.executable, "-c", BEFORE[library] + code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), **small_cache},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert said[sample.id] in shown.stdout.splitlines(), shown.stderr[-2000:]


def test_bad_data_is_named_before_any_actor_starts(demo_data: Path, tmp_path: Path):
    image = next(demo_data.glob("*/test/scratch/*.png"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    try:
        start = time.monotonic()
        done = assay("train", *THREE_STEPS, f"data.root={demo_data}", f"output={tmp_path}", "logging.wandb=disabled")
    finally:
        image.write_bytes(whole)

    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0 and str(image) in done.stderr
    assert time.monotonic() - start < 60


def test_an_actor_that_cannot_start_ends_the_run_with_its_sentence(demo_data: Path, tmp_path: Path):
    longer_than_the_cache = [
        "rollout.kv_cache_mb=1",
        "rollout.max_response_tokens=3800",
        "cluster.micro_batch_tokens=20000",
    ]
    options = [*longer_than_the_cache, f"data.root={demo_data}", f"output={tmp_path}", "logging.wandb=disabled"]
    done = assay("train", *THREE_STEPS, *FEW, *options)

    assert done.returncode == 1
    assert "cache" in done.stderr.strip().splitlines()[-1]
