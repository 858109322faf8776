"""Type what a first-time user types wrongly: each message, the seconds until it, and the exit code, as a table.

`python -m benchmarks.wrong_inputs` prints it in markdown; tests/launch/test_wrong_inputs.py checks the same table.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from rl.data.demo.synthesis import write_demo

ROOT = Path(__file__).parents[1]
LIMIT_S = 120.0
REFUSED, FAILED = 2, 1
"""Exit codes of what is refused before it begins, and of `assay score` when some of a file's lines are wrong."""


@dataclass(frozen=True)
class WrongInput:
    """A command and its answer."""

    typed: str
    """Words after `assay`, as a shell reads them."""
    says: str
    """Part of the message."""
    code: int = REFUSED


DEMO = "train experiment=demo"
PREDICT = "predict model=starter_yes_no input=photos/bolt/test"
TABLE = (
    # Verbs, flags and the form of keys.
    WrongInput("trian experiment=demo", "trian is not a verb; did you mean train?"),
    WrongInput("quantize experiment=demo", "quantize is not a verb; there are train, data, export,"),
    WrongInput("train", "nothing is run without a key; type one, e.g. assay train experiment=demo"),
    WrongInput("pairs", "nothing is run without a key; type one, e.g. assay pairs pairs.margin=1"),
    WrongInput("predict", "give model=MODEL and input=FOLDER, e.g. assay predict model=starter input="),
    WrongInput("score", "give input=FILE, e.g. assay score reward=roam input=answers.jsonl"),
    WrongInput("export", "give checkpoint=RUN and output=FOLDER, e.g. assay export checkpoint=runs/demo/mine"),
    WrongInput("submit", "nothing is submitted without a key; type one, e.g. assay submit experiment=demo"),
    WrongInput(
        "train --learning_rate 1e-5",
        "there is no flag --learning_rate; a key is written without dashes, algo.lr=VALUE",
    ),
    WrongInput("train --config mine.yaml", "there is no flag --config; did you mean --config-dir?"),
    WrongInput(
        "train --config-dir mine experiment=mine", "--config-dir: there is no folder mine; give the one that holds"
    ),
    WrongInput("train experiment = demo", "cannot read 'experiment'; write key=value"),
    WrongInput(f"{DEMO} algo.lr 1e-5", "cannot read 'algo.lr'; write key=value"),
    WrongInput(f"{DEMO} +algo.lr=1e-5", "keys are neither added nor removed; write algo.lr=value"),
    WrongInput(f"{DEMO} algo.lr=1e-5,1e-4", "algo.lr has several values; add -m to run them all"),
    WrongInput("submit -m experiment=demo seed=1,2", "submit runs one job; a sweep on a cluster is `assay train -m"),
    WrongInput("submit experiment=demo --gpus 8", "there is no flag --gpus; a key is written without dashes"),
    WrongInput("submit experiment=demo --address head:6379", "head:6379 is not the address of a dashboard; give one"),
    # Names of other trainers.
    WrongInput(f"{DEMO} algo.learning_rate=1e-5", "algo.learning_rate is not a key; it is called algo.lr here"),
    WrongInput(f"{DEMO} per_device_train_batch_size=8", "it is called algo.num_prompts here, which counts the prompts"),
    WrongInput(f"{DEMO} beta=0.04", "it is called algo.kl_weight here, for GRPO; for DPO it is algo.preference.beta"),
    WrongInput(f"{DEMO} num_generations=16", "it is called algo.num_completions here"),
    WrongInput(f"{DEMO} actor_rollout_ref.rollout.n=16", "it is called algo.num_completions here"),
    WrongInput(f"{DEMO} num_train_epochs=3", "it is called num_epochs here"),
    WrongInput(f"{DEMO} trainer.total_training_steps=50", "it is called num_steps here"),
    WrongInput(f"{DEMO} max_completion_length=128", "it is called rollout.max_response_tokens here"),
    WrongInput(f"{DEMO} output_dir=runs/mine", "it is called output here"),
    WrongInput(f"{DEMO} model_name_or_path=Qwen/Qwen2.5-VL-3B-Instruct", "it is called model here, an option of"),
    WrongInput(f"{DEMO} lora_r=16", "it is called model.lora.rank here"),
    WrongInput(f"{DEMO} save_steps=50", "it is called checkpoint.every here"),
    WrongInput(f"{DEMO} report_to=wandb", "it is called logging.backends here, a list, e.g. [wandb,tensorboard]"),
    # Keys, values and options of our own.
    WrongInput(f"{DEMO} algo.num_promts=4", "algo.num_promts is not a key; did you mean algo.num_prompts?"),
    WrongInput(f"{DEMO} patience=3", "patience is not a key; --help lists the keys"),
    WrongInput("train experiment=dmeo", "experiment=dmeo is not an option; did you mean experiment=demo?"),
    WrongInput("train experiment=cifar10", "experiment=cifar10 is not an option; there are anomalyr1,"),
    WrongInput(f"{DEMO} model=starter_box", "model=starter_box"),
    WrongInput(f"{DEMO} algo.lr=fast", "algo.lr must be a number > 0; got fast"),
    WrongInput(f"{DEMO} algo.lr=-1e-5", "algo.lr must be > 0; got -1e-05"),
    WrongInput(f"{DEMO} num_steps=ten", "num_steps must be an integer ≥ 1; got ten"),
    WrongInput(f"{DEMO} algo.num_completions=1", "algo.num_completions must be ≥ 2; got 1"),
    WrongInput(f"{DEMO} logging.wandb=yes", "logging.wandb must be one of auto, online, offline, disabled; got yes"),
    WrongInput(f"{DEMO} data.anomaly_words=rust", "must be a list of texts such as [one,two]; got rust"),
    WrongInput(f"{DEMO} stages.first.num_stepz=3", "num_stepz is not a key; did you mean num_steps?"),
    WrongInput(f"{DEMO} checkpoint.best_metric=heldout_accuracy", "did you mean eval/heldout/accuracy"),
    # Rewards and what they judge.
    WrongInput(f"{DEMO} reward=accuracy", "reward=accuracy is not an option; there are cgro, dcr2ad"),
    WrongInput(f"{DEMO} reward=judo data.task=boxes", "data.task=boxes asks for answers that reward.choice cannot"),
    WrongInput(f"{DEMO} reward.box=2", "reward.box is a section; its keys are reward.box.weight"),
    WrongInput(f"{DEMO} reward.functions=[shininess]", "must be a list of mappings such as [{path: …, weight: …,"),
    WrongInput(
        f"{DEMO} 'reward.functions=[{{path: shininess}}]'", "my_rewards.shininess for a function in my_rewards.py"
    ),
    WrongInput(f"{DEMO} algo=dpo", "algo.objective=dpo learns from pairs; give their file, data.lessons=FILE"),
    WrongInput(f"{DEMO} algo=dpo data.lessons=nowhere.jsonl", "data.lessons: there is no file 'nowhere.jsonl'"),
    # Data.
    WrongInput("train data=photos", "data=photos is not an option; there are demo, folder; images of your own are"),
    WrongInput("train data=folder", "data.root is empty; give the folder of your images, data.root=FOLDER"),
    WrongInput("train data.root=nowhere", "data.root: there is no folder 'nowhere'"),
    WrongInput(
        "train data.root=questions.jsonl", "data.root=questions.jsonl is a file; give the folder of your images"
    ),
    WrongInput(
        "train data.root=photos/bolt reward=yes_no", "/photos/bolt has no known layout; did you mean data.root=/"
    ),
    WrongInput("train data.root=photos/bolt/test", "/photos/bolt/test has no known layout; did you mean data.root=/"),
    WrongInput("train data.root=. reward=yes_no", "has no known layout; did you mean data.root=/"),
    WrongInput("train data.root=empty", "/empty is empty; lay it out as <category>/{train/good,test/<defect>"),
    WrongInput("train data.root=photos", "nothing says where its defect is"),
    WrongInput("train data.root=damaged reward=yes_no", "damaged/nut/test/bent/1.png: the image is damaged"),
    WrongInput(f"{DEMO} rollout.max_prompt_tokens=20", "more than rollout.max_prompt_tokens=20"),
    WrongInput("train experiment=dcr2ad_mini data.knowledge.file=no.yaml", "there is no file 'no.yaml'"),
    WrongInput("pairs data.root=photos", "and docs/data.md shows how to write your own"),
    WrongInput("pairs pairs.teacher=gpt4", "pairs.teacher must be one of template, policy, endpoint; got gpt4"),
    WrongInput("pairs pairs.teacher=endpoint", "rollout.teacher.url='' is no address; give that of a chat server"),
    WrongInput("data output=photos", "photos is not empty; give another folder: output=FOLDER"),
    WrongInput("data output=questions.jsonl", "questions.jsonl is a file; give a folder: output=FOLDER"),
    WrongInput("data num_parts=1", "num_parts must be ≥ 2; got 1"),
    # Folders of runs, and the machine.
    WrongInput(f"{DEMO} output=runs/old", "runs/old holds a run; resume=auto goes on with it, or give another folder"),
    WrongInput(f"{DEMO} resume=runs/nowhere", "there is no folder 'runs/nowhere'; give a run folder"),
    WrongInput(f"{DEMO} cluster.gpus_per_actor=99", "finds no room (this machine has"),
    WrongInput(
        "export checkpoint=runs/nowhere output=models/mine", "there is no folder 'runs/nowhere'; give a run folder"
    ),
    # Photos to inspect.
    WrongInput("predict model=starter", "give input=FOLDER, e.g. assay predict model=starter input="),
    WrongInput("predict input=photos/bolt/test", "give model=MODEL, e.g. assay predict model=starter input="),
    WrongInput("predict model=starter_yes_no input=nowhere", "input: there is no folder or file '"),
    WrongInput("predict model=starter_yes_no input=empty", "input=empty holds no image (.png, .jpg"),
    WrongInput("predict model=starter_yes_no input=questions.jsonl", "questions.jsonl is no image (.png, .jpg"),
    WrongInput("predict model=starter_yes_no input=data/demo/wood", "holds masks too, e.g. "),
    WrongInput(
        "predict model=starter input=photos/bolt/test", "give the normal images to compare with, reference=FOLD"
    ),
    WrongInput(f"{PREDICT} reference=nowhere", "reference: there is no file or folder 'nowhere'"),
    WrongInput(f"{PREDICT} masks=data/demo", "masks=data/demo has no image of the same path below it as one of input"),
    WrongInput(f"{PREDICT} output=runs/predicted", "runs/predicted holds predictions; give another folder"),
    WrongInput(
        f"{PREDICT} experiment=demo", "experiment is not a key; only `assay train` has it; --help lists the keys"
    ),
    WrongInput(f"{PREDICT} rollout.temperature=0.7", "rollout.temperature does nothing here: answers are made of"),
    # Files of answers.
    WrongInput("score input=nowhere.jsonl", "input: there is no file 'nowhere.jsonl'; give a file of answers"),
    WrongInput("score input=answers.jsonl reward=room", "reward=room is not an option; did you mean reward=roam?"),
    WrongInput("score input=answers.jsonl data.task=yes_no", "data.task is not a key; did you mean task?"),
    WrongInput(
        "score input=answers.jsonl reward=judo task=boxes", "task=boxes asks for answers that reward.choice cann"
    ),
    WrongInput(
        "score input=answers.jsonl output=answers.jsonl", "output=answers.jsonl is the input; give another file"
    ),
    WrongInput("score input=mistyped.jsonl", "line 1: target has no field 'lable'; its fields are label,", FAILED),
    WrongInput(
        "score input=unboxed.jsonl", "reward box has nothing to judge by in this sample; it needs target.b", FAILED
    ),
    WrongInput(
        "score input=questions.jsonl", "line 1: the answer has no id and no completion and no target; docs/", FAILED
    ),
)


def write_material(folder: Path) -> None:
    """Write the files that the table names."""
    write_demo(folder / "data/demo", seed=0, num_parts=2)
    for name in ("photos/bolt", "damaged/nut"):
        for place in ("train/good", "test/good", "test/bent"):
            (folder / name / place).mkdir(parents=True)
            for number in range(1, 6):
                Image.new("RGB", (112, 112), "grey").save(folder / name / place / f"{number}.png")
    (folder / "damaged/nut/test/bent/1.png").write_bytes(b"no image")
    (folder / "empty").mkdir()
    for name in ("runs/old/metrics.jsonl", "runs/predicted/predictions.jsonl"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("{}\n")
    answer = {"id": "1", "completion": "<think>A hole.</think><answer>Yes.</answer>"}
    lines = {
        "answers": answer | {"target": {"label": "normal"}},
        "mistyped": answer | {"target": {"lable": "defective"}},
        "unboxed": answer | {"target": {"label": "defective"}},
        "questions": {"image": "1.png", "question": "Is it broken?", "answer": "Yes"},
    }
    for name, line in lines.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(line) + "\n")


def row(wrong: WrongInput, folder: Path) -> str:
    """Run the command in a process; return its row of the table."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "launch", *shlex.split(wrong.typed)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    seconds = time.perf_counter() - began
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    told = [line for line in lines if wrong.says in line and done.returncode == wrong.code]
    message = (told or [f"not as expected: {lines[-1]}"])[0].replace(str(folder), "…").replace("|", "\\|")
    return f"| `assay {wrong.typed}` | {message} | {seconds:.1f} | {done.returncode} |"


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_material(folder)
        print("| typed | message | seconds | exit code |\n|---|---|---|---|")
        for wrong in TABLE:
            print(row(wrong, folder), flush=True)


if __name__ == "__main__":
    main()
