"""The recipes of docs/extending.md work on a copy of the sources, and touch as many files as the page says."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def recipe(title: str) -> str:
    """The patch of a section."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```diff\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)[0]


def patched(title: str, folder: Path) -> Path:
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = ["git", "apply", "--recount", "-"]
    done = subprocess.run(command, cwd=folder, input=recipe(title), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return folder


def output(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("title", ["A reward", "A verb", "A loss of the probability ratio"])
def test_a_recipe_touches_as_many_files_as_the_table_says(title: str):
    told = re.search(rf"^\| {title.lower()} \| (\d+) \|$", PAGE, flags=re.MULTILINE)
    touched = re.findall(r"^diff --git a/(\S+)", recipe(title), flags=re.MULTILINE)
    assert told and len([name for name in touched if not name.endswith(".yaml")]) == int(told[1])


def test_a_reward_is_its_file_and_a_line_of_the_table(tmp_path: Path):
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
    assert "  list      Write the names of photos.\n" in output(folder, "-m", "launch", "--help")


@pytest.mark.slow
def test_a_ratio_loss_is_a_function_and_a_line_of_the_table(tmp_path: Path):
    folder = patched("A loss of the probability ratio", tmp_path)
    assert "policy_loss: unclipped" in output(
        folder, "-m", "launch", "train", "experiment=demo", "algo.policy_loss=unclipped", "--cfg", "job"
    )
    # ρ is 2 and 4, so -mean(ρ A) is -3.
    assert output(folder, "-c", LOSS).split()[-2:] == ["loss", "-3.0"]
