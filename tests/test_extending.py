"""The recipes of docs/extending.md work on a copy of the sources, and touch as many files as the page says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from builders.verdict_pairs import write_verdict_pairs

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/extending.md").read_text()
SOURCES = ("actors", "conf", "launch", "rewards", "rl", "rollout")
ANSWERS = [
    {"id": "short", "task": "yes_no", "completion": "<think>A deep hole.</think><answer>Yes</answer>"},
    {"id": "long", "task": "yes_no", "completion": "<think>It has a deep hole.</think><answer>Yes</answer>"},
]
LOSS = """
import torch
from rl.algorithm import Aggregation, AlgoConfig, PolicyLoss
from rl.loss import LossInputs, policy_loss
from rl.verl_core import Scale

new = torch.tensor([[0.0, 0.5]]).log_softmax(-1)
inputs = LossInputs(
    logprobs=new,
    old_logprobs=new - torch.tensor([[2.0, 4.0]]).log(),
    reference_logprobs=None,
    advantages=torch.ones(1, 1),
    mask=torch.ones(1, 2, dtype=torch.bool),
)
config = AlgoConfig(policy_loss=PolicyLoss.unclipped, aggregation=Aggregation.token_mean)
scale = Scale(dp_size=1, batch_num_tokens=2, global_batch_size=1, loss_scale_factor=1)
print("loss", round(float(policy_loss(inputs, config, scale)[0]), 4))
"""
PAIR_LOSS = """
import torch
from rl.preference_config import PairLoss, PreferenceConfig
from rl.taught.preference import PairScale, PreferenceInputs, preference_loss

inputs = PreferenceInputs(
    logprobs=torch.tensor([[-1.0], [-5.0]]),
    reference_logprobs=torch.tensor([[-2.0], [-3.0]]),
    response_mask=torch.ones(2, 1, dtype=torch.bool),
    knowledge_mask=None,
    chosen=torch.tensor([0]),
    rejected=torch.tensor([1]),
)
config = PreferenceConfig(loss=PairLoss.exponential, beta=0.5)
scale = PairScale(dp_size=1, num_pairs=1, num_chosen_tokens=1)
print("loss", round(float(preference_loss(inputs, config, scale)[0]), 4))
"""
OBJECTIVE = """
from types import SimpleNamespace
import torch
from rl.algorithm import AlgoConfig, Objective
from rl.taught.lesson_loss import LessonCounts, LessonInputs, lesson_loss

counts = LessonCounts(
    num_chosen=1, num_rejected=1, num_mismatched=0, num_chosen_tokens=2, num_tokens=4, num_stated=0
)
batch = SimpleNamespace(
    response_mask=torch.tensor([[True, True], [True, True]]), advantages=torch.tensor([[1.0], [-1.0]])
)
logprobs = torch.tensor([[0.5, 0.25], [0.5, 0.75]]).log()
inputs = LessonInputs(batch=batch, logprobs=logprobs, counts=counts, dp_size=1, kl=0.0)
print("loss", round(float(lesson_loss(inputs, AlgoConfig(objective=Objective.unlikelihood))[0]), 4))
"""
FEW_STEPS = (
    "experiment=demo",
    "num_steps=2",
    "data.num_heldout=4",
    "algo.num_prompts=4",
    "cluster.num_learners=1",
    "cluster.cpus_per_actor=0.25",
    "cluster.cpus_per_reward_worker=0.25",
    "logging.wandb=disabled",
)

SAMPLES = """
from pathlib import Path
from rl.data.config import DataConfig
from rl.data.reading import read_samples
from rl.data.split import split_heldout

for side in split_heldout(read_samples(DataConfig(root="plates")), 0.5, seed=0):
    for sample in side:
        print(sample.id, sample.target.label, sample.target.box_labels, sample.target.boxes, len(sample.images))
"""


def recipe(title: str) -> str:
    """Return the patch of a section."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```diff\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)[0]


def apply(title: str, folder: Path, *options: str) -> None:
    command = ["git", "apply", *options, "-"]
    done = subprocess.run(command, cwd=folder, input=recipe(title), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def patched(title: str, folder: Path) -> Path:
    """Copy the sources into the folder and apply the patch of a section."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    apply(title, folder)
    return folder


def output(folder: Path, *arguments: str) -> str:
    """Run Python in the patched folder and return its standard output."""
    # So that Ray's workers import the patched sources too.
    env = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "title", ["A reward", "A loss of the probability ratio", "A pair loss", "An objective", "A reader", "A verb"]
)
def test_a_recipe_applies_and_touches_as_many_files_as_the_table_says(title: str):
    apply(title, ROOT, "--check")
    told = re.search(rf"^\| {title.lower()} \| (\d+) \|$", PAGE, flags=re.MULTILINE)
    touched = re.findall(r"^diff --git a/(\S+)", recipe(title), flags=re.MULTILINE)
    assert told and len([name for name in touched if not name.endswith(".yaml")]) == int(told[1])


def test_a_reward_is_its_file_and_two_lines_of_the_table(tmp_path: Path):
    folder = patched("A reward", tmp_path)
    lines = [json.dumps({**answer, "target": {"label": "defective"}}) for answer in ANSWERS]
    (folder / "answers.jsonl").write_text("\n".join(lines))
    options = ["reward=yes_no", "reward.brief.weight=0.5", "reward.brief.max_words=3"]
    output(folder, "-m", "launch", "score", *options, "input=answers.jsonl", "output=scores.jsonl")
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert [score["components"]["brief"] for score in scores] == [1.0, 0.0]
    assert scores[0]["total"] - scores[1]["total"] == pytest.approx(0.5)


def test_a_verb_is_its_module_its_config_and_an_entry_of_the_table(tmp_path: Path):
    folder = patched("A verb", tmp_path)
    (folder / "photos").mkdir()
    for name in ("a.png", "b.png"):
        (folder / "photos" / name).touch()
    assert output(folder, "-m", "launch", "list", "input=photos") == "2 photos\n"
    assert (folder / "photos.txt").read_text() == "a\nb\n"
    assert "  list        Write the names of photos.\n" in output(folder, "-m", "launch", "--help")


@pytest.mark.slow
def test_a_ratio_loss_is_a_function_and_a_line_of_the_table(tmp_path: Path):
    folder = patched("A loss of the probability ratio", tmp_path)
    assert "policy_loss: unclipped" in output(
        folder, "-m", "launch", "train", "experiment=demo", "algo.policy_loss=unclipped", "--cfg", "job"
    )
    # ρ is 2 and 4, so -mean(ρ A) is -3.
    assert output(folder, "-c", LOSS).split()[-2:] == ["loss", "-3.0"]


@pytest.mark.slow
def test_a_pair_loss_is_a_function_and_a_line_of_the_table(tmp_path: Path):
    folder = patched("A pair loss", tmp_path)
    options = ["experiment=demo", "algo=dpo", "algo.preference.loss=exponential"]
    assert "loss: exponential" in output(folder, "-m", "launch", "train", *options, "--cfg", "job")
    # Δ is 1 - (-2), so exp(-β Δ) is exp(-1.5).
    assert output(folder, "-c", PAIR_LOSS).split()[-2:] == ["loss", "0.2231"]


@pytest.mark.slow
@pytest.mark.rare
def test_an_objective_is_a_name_a_row_of_the_recipes_and_a_loss(tmp_path: Path):
    folder = patched("An objective", tmp_path)
    (folder / "models").symlink_to(ROOT / "models")
    output(folder, "-m", "launch", "data", "output=data/demo", "num_parts=16")
    write_verdict_pairs(folder / "data/demo", folder / "pairs.jsonl", 8)
    options = ["algo.objective=unlikelihood", "data.lessons=pairs.jsonl", "output=run"]
    output(folder, "-m", "launch", "train", *FEW_STEPS, *options)
    rows = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    assert len([row for row in rows if "actor/loss" in row]) == 2
    assert "UNLIKELIHOOD, loss of both answers" in (folder / "run/report.html").read_text()
    # -(log 0.5 + log 0.25 + log(1 - 0.5) + log(1 - 0.75)) / 4 is 1.5 log 2.
    assert output(folder, "-c", OBJECTIVE).split()[-2:] == ["loss", "1.0397"]


def test_a_reader_is_its_file_and_a_line_of_the_table(tmp_path: Path):
    folder = patched("A reader", tmp_path)
    plates = folder / "plates"
    plates.mkdir()
    for name in ("plain", "whole", "holed", "mask"):
        image = Image.new("L", (8, 8))
        if name == "mask":
            image.paste(255, (2, 1, 5, 4))
        image.save(plates / f"{name}.png")
    head, normal = "image,reference,mask,defect,split", "whole.png,plain.png,,,train"
    (plates / "labels.csv").write_text(f"{head}\n{normal}\nholed.png,plain.png,mask.png,hole,test\n")
    assert output(folder, "-c", SAMPLES).splitlines() == [
        "plates/whole normal () () 2",
        "plates/holed defective ('hole',) ((2.0, 1.0, 5.0, 4.0),) 2",
    ]
