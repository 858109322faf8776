"""The command line: verbs, keys, groups and sweeps; each mistake costs one line and exit code 2."""

import errno
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conf.schema import TrainConfig
from launch.__main__ import assay
from launch.command.app import run_verb
from launch.command.verb import Verb
from launch.verbs import VERBS
from rl.faults import RunFailure, UserError

ROOT = Path(__file__).parents[2]


@dataclass
class Recorder:
    """Main function of a verb that records its configs."""

    code: int = 0
    configs: list[TrainConfig] = field(default_factory=list)

    def __call__(self, config: TrainConfig) -> int:
        self.configs.append(config)
        return self.code


def training(run) -> Verb:
    return Verb(name="train", summary="Train.", examples=(), schema=TrainConfig, run=run)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


MISTAKES = {
    "lr=1": "lr is not a key; did you mean algo.lr?",
    "modle=starter": "modle is not a key; did you mean model?",
    "model=starte": "model=starte is not an option; did you mean model=starter? "
    "There are qwen2_5_vl_3b, qwen2_5_vl_72b_lora, qwen2_5_vl_7b, starter",
    "model=null": "model=null is not an option; there are qwen2_5_vl_3b, ",
    "experiment=null": "experiment=null is not an option; there are anomalyr1, ",
    "model=4": "model=4 is not an option; there are qwen2_5_vl_3b, ",
    "model=[starter]": "model=[starter] is not an option; did you mean model=starter?",
    "model=starter.yaml": "model=starter.yaml is not an option; did you mean model=starter?",
    "model='starte'": "model='starte' is not an option; did you mean model=starter?",
    "experiment=../model/starter": "experiment=../model/starter is not an option; there are anomalyr1, ",
    "algo.num_prompts=1.5": "algo.num_prompts must be an integer ≥ 1; got 1.5",
    "algo.normalize_std=perhaps": "algo.normalize_std must be true or false; got perhaps",
    "model.precision=fp16": "model.precision must be one of fp32, bf16; got fp16",
    "algo.lr=null": "algo.lr must be a number > 0; got null",
    "logging.backends=[mlflow]": "logging.backends must be a list of any of wandb, tensorboard; got [mlflow]",
    "algo.lr=0": "algo.lr must be > 0; got 0.0",
    "data.heldout_share=0.95": "data.heldout_share must be ≤ 0.9; got 0.95",
    "~algo.lr": "'~algo.lr': keys are neither added nor removed; write algo.lr=value",
    "algo.lr=${algo.nothing}": "Interpolation key 'algo.nothing' not found",
    "hydra.nothing=1": "Could not override 'hydra.nothing'",
    "--config": "there is no flag --config; did you mean --config-dir?\n",
    "--fast": "there is no flag --fast; a key is written without dashes, fast=VALUE",
    "algo.num_updates=3": "algo.num_updates must divide algo.num_prompts; got 3 updates of 16 prompts",
}


@pytest.mark.parametrize("argument", MISTAKES)
def test_a_mistake_costs_one_line_and_exit_code_2(argument, capsys, empty_folder):
    assert assay(["train", argument]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"assay train: {MISTAKES[argument]}")
    assert (out, err.count("\n")) == ("", 1)
    assert list(empty_folder.iterdir()) == []


def test_a_mistake_in_a_users_file_names_the_key(capsys, empty_folder):
    (empty_folder / "own/experiment").mkdir(parents=True)
    (empty_folder / "own/experiment/mine.yaml").write_text("# @package _global_\nalgo:\n  num_promts: 3\n")
    assert assay(["train", "--config-dir", "own", "experiment=mine"]) == 2
    answer = "experiment/mine.yaml: algo.num_promts is not a key; did you mean algo.num_prompts?"
    assert capsys.readouterr().err == f"assay train: {answer}\n"


def test_a_wrong_value_in_a_users_file_is_one_line(capsys, empty_folder):
    (empty_folder / "own/experiment").mkdir(parents=True)
    (empty_folder / "own/experiment/mine.yaml").write_text("# @package _global_\nalgo:\n  num_prompts: many\n")
    assert assay(["train", "--config-dir", "own", "experiment=mine"]) == 2
    err = capsys.readouterr().err
    assert "experiment/mine" in err and "algo.num_prompts" in err and "many" in err and err.count("\n") == 1


def test_a_users_experiment_runs(empty_folder):
    (empty_folder / "own/experiment").mkdir(parents=True)
    (empty_folder / "own/experiment/mine.yaml").write_text("# @package _global_\nseed: 5\n")
    ran = Recorder()
    assert run_verb(training(ran), ["experiment=mine", "--config-dir", "own"]) == 0
    assert ran.configs[0].seed == 5 and ran.configs[0].output.startswith("runs/mine/")


def test_the_verb_gets_a_plain_config_and_its_exit_code_comes_back(empty_folder):
    ran = Recorder(code=3)
    assert run_verb(training(ran), ["experiment=demo", "algo.lr=1e-5", "output=here"]) == 3
    (config,) = ran.configs
    assert type(config) is TrainConfig
    assert (config.algo.lr, config.algo.num_prompts, config.output) == (1e-5, 16, "here")
    # Only the verb makes its folder.
    assert list(empty_folder.rglob("*")) == []


@pytest.mark.slow
def test_a_sweep_runs_every_combination_in_folders_of_their_own(empty_folder):
    ran = Recorder()
    assert run_verb(training(ran), ["-m", "algo.lr=1e-4,1e-5", "seed=0,1", "output=sweep"]) == 0
    seen = [(config.algo.lr, config.seed, config.output) for config in ran.configs]
    assert seen == [(1e-4, 0, "sweep/0"), (1e-4, 1, "sweep/1"), (1e-5, 0, "sweep/2"), (1e-5, 1, "sweep/3")]


def test_a_sweep_with_one_wrong_job_runs_none(capsys):
    ran = Recorder()
    assert run_verb(training(ran), ["-m", "algo.num_completions=8,1"]) == 2
    assert ran.configs == [] and "must be ≥ 2; got 1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_ends_with_its_worst_exit_code(capsys):
    def odd_seeds_fail(config: TrainConfig) -> int:
        if config.seed == 1:
            raise UserError("photos/1.png is corrupt; remove it")
        return 0

    assert run_verb(training(odd_seeds_fail), ["-m", "seed=0,1,2", "output=sweep"]) == 1
    assert capsys.readouterr().err == "assay train: photos/1.png is corrupt; remove it\n"


def have_a_bug(config: TrainConfig) -> int:
    return {}["x"]


def test_a_bug_keeps_its_traceback_in_the_run_folder_and_the_last_line_says_where(empty_folder, capsys):
    (empty_folder / "here").mkdir()
    assert run_verb(training(have_a_bug), ["output=here"]) == 1
    traceback, sentence = capsys.readouterr().err.rstrip("\n").rsplit("\n", 1)
    told = "assay train: a bug of Assay (KeyError: 'x'); its traceback is in here/crash.txt; please report it with"
    assert sentence.startswith(told)
    kept = (empty_folder / "here/crash.txt").read_text()
    assert kept.strip() == traceback.strip() and "in have_a_bug" in kept and kept.endswith("KeyError: 'x'\n")


def test_a_bug_before_there_is_a_run_folder_is_shown_alone(empty_folder, capsys):
    assert run_verb(training(have_a_bug), ["output=here"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback") and lines[-1].endswith("please report it with the traceback above")
    assert list(empty_folder.iterdir()) == []


@pytest.mark.slow
def test_a_bug_of_one_member_does_not_end_the_sweep(empty_folder, capsys):
    def odd_seeds_have_a_bug(config: TrainConfig) -> int:
        return have_a_bug(config) if config.seed == 1 else 0

    assert run_verb(training(odd_seeds_have_a_bug), ["-m", "seed=0,1,2", "output=sweep"]) == 1
    assert capsys.readouterr().err.count("a bug of Assay") == 1


@pytest.mark.parametrize(("error", "code"), [(UserError("photos/1.png is corrupt"), 2), (RunFailure("it died"), 1)])
def test_what_a_user_can_mend_before_a_run_has_another_exit_code_than_its_failure(error, code, capsys):
    def fail(config: TrainConfig) -> int:
        raise error

    assert run_verb(training(fail), ["output=here"]) == code
    assert capsys.readouterr().err == f"assay train: {error}\n"


def test_a_full_disk_is_one_sentence(capsys):
    def fill_the_disk(config: TrainConfig) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "here/metrics.jsonl")

    assert run_verb(training(fill_the_disk), ["output=here"]) == 1
    assert capsys.readouterr().err == "assay train: [Errno 28] No space left on device: 'here/metrics.jsonl'\n"


def test_help_shows_every_key_with_its_type_range_value_and_sentence(capsys):
    assert assay(["train", "--help", "algo.lr=3e-5"]) == 0
    page = capsys.readouterr().out
    assert "  algo.lr=3e-05    a number > 0\n      Peak learning rate of AdamW.\n" in page
    assert "  data.heldout_share=0.2    a number > 0 and ≤ 0.9\n" in page
    assert "  model.precision=fp32    one of fp32, bf16\n" in page
    assert (
        "  experiment  anomalyr1  anomalyr1_mini  cgro  cgro_mini  dcr2ad  dcr2ad_mini  demo*  judo  judo_mini"
        "  mmr_ad  mmr_ad_mini  dcr2ad/ablation  dcr2ad_mini/ablation\n" in page
    )
    assert "assay train experiment=demo\n" in page


def test_help_marks_required_keys_and_explains_its_marks(capsys):
    assert assay(["predict", "--help"]) == 0
    page = capsys.readouterr().out
    assert "\nRequired: model=MODEL and input=FOLDER\n" in page
    assert "  input=    text, required\n" in page and "  reference=    text\n" in page
    assert page.count("(ours) marks what the paper leaves open and Assay decides.") == 1
    assert assay(["score", "--help"]) == 0
    page = capsys.readouterr().out
    assert "  reward.roam.weight=null    a number or null\n" in page and "(ours)" not in page


@pytest.mark.parametrize("arguments", [["train"], ["train", "-m"], ["pairs"]])
def test_a_long_run_is_not_started_without_a_key(arguments, capsys, empty_folder):
    assert assay(arguments) == 2
    out, err = capsys.readouterr()
    *head, pointer, sentence = err.splitlines()
    assert out == "" and any(line.startswith("usage: assay ") for line in head) and "Examples" in head
    assert pointer == f"`assay {arguments[0]} --help` lists every key."
    assert sentence.startswith(f"assay {arguments[0]}: nothing is run without a key; type one, e.g. assay ")
    assert list(empty_folder.iterdir()) == []


def test_cfg_prints_the_composed_config_and_runs_nothing(capsys, empty_folder):
    ran = Recorder()
    assert run_verb(training(ran), ["--cfg", "job", "experiment=mmr_ad"]) == 0
    assert "num_updates: 4" in capsys.readouterr().out
    assert ran.configs == [] and list(empty_folder.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_the_verbs_are_listed(arguments, capsys):
    assert assay(arguments) == 0
    page = capsys.readouterr().out
    assert "  train       Train a vision-language model: GRPO, SFT, DPO, KTO, or a chain of them.\n" in page
    assert "  data        " in page and "  submit      " in page


def test_a_verb_is_in_the_table_under_its_name():
    assert [verb.name for verb in VERBS.values()] == list(VERBS)


def test_an_unknown_verb_names_the_nearest(capsys):
    assert assay(["trian"]) == 2
    assert capsys.readouterr().err == "assay: trian is not a verb; did you mean train?\n"


def test_data_writes_the_demo_and_does_not_overwrite_it(capsys, empty_folder):
    arguments = ["data", "output=parts", "num_parts=4"]
    assert assay(arguments) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["output"] == "parts" and summary["images"] == len(list(empty_folder.glob("parts/*/t*/*/*.png"))) > 0
    assert assay(arguments) == 2
    assert "parts is not empty" in capsys.readouterr().err


def test_the_verbs_are_listed_before_hydra_is_imported():
    code = (
        "import sys; from launch.__main__ import assay; assay(['--help']); "
        "print(sorted({'ray', 'torch', 'hydra', 'omegaconf', 'scipy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mistake_is_named_before_anything_heavy_is_imported():
    code = (
        "import sys; from launch.__main__ import assay; code = assay(['train', 'algo.num_promts=1']); "
        "print(code, sorted({'ray', 'torch', 'vllm', 'transformers', 'verl', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "2 []"


def test_a_training_also_starts_as_a_module():
    command = [sys.executable, "-m", "launch.train", "algo.num_promts=1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "assay train: algo.num_promts is not a key; did you mean algo.num_prompts?\n"


@pytest.mark.parametrize("words", ["--help", "train --help"])
def test_a_reader_that_leaves_early_gets_no_traceback(words: str):
    command = f"{sys.executable} -m launch {words} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 141) and done.stdout.count("\n") == 1 and not done.stderr


@pytest.mark.parametrize("verb", ["compare", "export", "score"])
def test_a_verb_that_is_not_swept_refuses_several_runs(verb, capsys):
    assert assay([verb, "-m", "output=a"]) == 2
    sentence = f"assay {verb}: {verb} is not run several times at once; leave -m out, e.g. assay {verb} "
    assert capsys.readouterr().err.startswith(sentence)
