"""The Ray job that `assay submit` sends, and mistakes that it refuses before it sends anything."""

import shlex
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest
from ray.job_submission import JobStatus

from conf.schema import TrainConfig
from conf.validate import check_elsewhere
from launch.__main__ import assay
from launch.jobs.package import Package, pack
from launch.jobs.secret_files import about_left_behind
from launch.jobs.server import LOCAL, LOOPBACK, exit_code_of, server_address
from launch.jobs.submission import STOP_WAIT_S, TREE, overrides_in_job, submission
from rewards.presets import preset

ROOT = Path(__file__).parents[3]
KEY, TOKEN = "sentinel-of-wandb", "sentinel-of-hf"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make a working tree with a file of each kind."""
    folder = tmp_path / "tree"
    files = "pyproject.toml", "launch/train/run.py", "models/own/config.json", "rl/data/reading.py"
    left_out = "data/demo/1.png", "runs/a/summary.json", ".venv/bin/python", ".git/config", "photos/1.png"
    for name in (*files, *left_out, "launch/__pycache__/train.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text("/photos/\n")
    return folder


@pytest.fixture
def package(tree: Path, tmp_path: Path) -> Package:
    return pack(tree, tmp_path / "tree.zip")


def config_with(output: str = "runs/demo/1", root: str = "data/demo", path: str = "models/own") -> TrainConfig:
    config = TrainConfig(output=output, reward=preset("yes_no").config)
    return replace(config, data=replace(config.data, root=root), model=replace(config.model, path=path))


def test_the_package_leaves_out_ignored_files_and_files_that_runs_write(package: Package):
    files = {name for name in ZipFile(package.archive).namelist() if not name.endswith("/")}
    assert files == {
        ".gitignore",
        "pyproject.toml",
        "launch/train/run.py",
        "models/own/config.json",
        "rl/data/reading.py",
    }


def test_the_package_of_this_tree_has_all_that_a_training_reads(tmp_path: Path):
    package = pack(TREE, tmp_path / "tree.zip")
    for name in ("launch/train/run.py", "conf/train.yaml", "conf/experiment/demo.yaml", "models/starter", "rl/data"):
        assert package.carries(TREE / name), name
    assert not package.carries(TREE / "data/demo") and not package.carries(TREE / ".venv")


SECRETS = (
    *(".env", "deploy/prod.env", ".env.local", "tls/Server.PEM", "deploy.key", "id_rsa", "id_rsa.pub", ".netrc"),
    *(".aws/config", "credentials.json", "conf/secrets.yaml", "home/.ssh/config"),
)
SECRET_TEXTS = {
    "notes.txt": "see\n-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3Blb",
    "rl/hub.py": "TOKEN = 'hf" + "_" + "a1B2" * 8 + "xy'",
    "cloud.ini": "[default]\nid = AKIA" + "ABCDEFGH01234567\n",
}
LIKE_SECRETS = (
    *("launch/keys.py", "rl/secretary.py", "environment.md", "monkey.png", "tests/endpoint_key.py"),
    *("credentials.py", "secrets_loader.py", "rl/secrets/__init__.py", "rl/credentials.pyi", ".docker/build.py"),
)


def test_what_looks_like_a_secret_stays_behind_and_is_named_in_one_sentence(tree: Path, tmp_path: Path):
    texts = dict.fromkeys((*SECRETS, *LIKE_SECRETS), "x") | SECRET_TEXTS
    for name, text in texts.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    package = pack(tree, tmp_path / "tree.zip")
    assert sorted(package.left_behind) == sorted((*SECRETS, *SECRET_TEXTS))
    assert {*LIKE_SECRETS, "launch/train/run.py"} <= package.names == {*ZipFile(package.archive).namelist()}
    assert not {*SECRETS, *SECRET_TEXTS} & package.names
    assert ZipFile(package.archive).read("launch/train/run.py") == b"launch/train/run.py"
    sentence = about_left_behind(package.left_behind)
    assert all(name in sentence for name in (*SECRETS, *SECRET_TEXTS)) and "\n" not in sentence


def test_a_tree_without_secrets_has_nothing_to_say(package: Package):
    assert package.left_behind == ()


def test_a_sentence_about_many_secrets_stays_short():
    assert about_left_behind(tuple(f"{number}.pem" for number in range(50))).count(".pem") == 20


def test_a_tree_too_large_for_ray_is_refused_with_its_largest_files(tree: Path, tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"packs to 0\.0 MiB and Ray takes less than 0\.0; .*\.rayignore.* largest are"
    ):
        pack(tree, tmp_path / "tree.zip", limit_bytes=100)


def test_an_installed_package_is_no_working_tree(tmp_path: Path):
    with pytest.raises(ValueError, match="no working tree of Assay"):
        pack(tmp_path, tmp_path / "tree.zip")


def test_packed_paths_stay_relative_and_the_others_become_absolute(package: Package, tree: Path):
    sent = overrides_in_job(config_with(), ["seed=1", "output=runs/demo/1"], package, tree)
    assert sent == ["seed=1", f"output={tree}/runs/demo/1", f"data.root={tree}/data/demo"]


def test_a_path_from_another_folder_is_found_in_the_job(package: Package, tree: Path):
    config = config_with(root="../photos", path="../models/own")
    sent = overrides_in_job(config, ["data.root=../photos", "model.path=../models/own"], package, tree / "launch")
    assert sent == [f"data.root={tree}/photos", "model.path=models/own", f"output={tree}/launch/runs/demo/1"]


def test_a_model_that_comes_with_assay_travels_from_any_folder(package: Package, tree: Path, tmp_path: Path):
    config = config_with(output="/runs/1", root="/photos", path=str(tree / "models/own"))
    assert overrides_in_job(config, [], package, tmp_path) == ["output=/runs/1", "model.path=models/own"]


def test_a_checkpoint_to_resume_from_is_found_and_auto_is_no_path(package: Package, tree: Path):
    config = replace(config_with(output="/runs/1", root="/photos"), resume="runs/a/checkpoints/step_2")
    sent = overrides_in_job(config, ["resume=runs/a/checkpoints/step_2"], package, tree)
    assert sent == [f"resume={tree}/runs/a/checkpoints/step_2", "output=/runs/1"]
    sent = overrides_in_job(replace(config, resume="auto"), ["resume=auto"], package, tree)
    assert sent == ["resume=auto", "output=/runs/1"]


def test_the_folders_of_a_stage_are_found_and_stages_keep_their_order(package: Package, tree: Path):
    typed = ["stages.sft.data.root=photos", "stages.rl.model.path=${stage:sft}/model"]
    stages = {"sft": {"data": {"root": "photos"}}, "rl": {"model": {"path": "/runs/1/1_sft/model"}}}
    config = replace(config_with(output="/runs/1", root="/photos"), stages=stages)
    sent = overrides_in_job(config, typed, package, tree)
    assert sent == [f"stages.sft.data.root={tree}/photos", typed[1], "output=/runs/1"]


def test_absolute_paths_and_hub_ids_are_left_alone(package: Package, tree: Path):
    config = config_with(output="/shared/runs/1", root="/shared/photos", path="Qwen/Qwen2.5-VL-3B-Instruct")
    assert overrides_in_job(config, [], package, tree) == ["output=/shared/runs/1"]


def test_a_path_with_blanks_and_quotes_reaches_the_job_whole(package: Package, tree: Path):
    config = config_with(root="/my photos, Anna's", output="/runs/a b")
    sent = submission(package, overrides_in_job(config, [], package, tree), {})
    python, m, module, output, *_ = shlex.split(sent.entrypoint)
    assert (python, m, module, output) == ("python", "-m", "launch.train", "output='/runs/a b'")


def test_secrets_travel_in_the_environment_only(package: Package):
    there = {"WANDB_API_KEY": KEY, "HF_TOKEN": TOKEN, "WANDB_MODE": "offline", "WANDB_ENTITY": "", "HOME": "me"}
    sent = submission(package, ["seed=1"], there)
    assert sent.entrypoint == "python -m launch.train seed=1"
    assert sent.runtime_env == {
        "working_dir": str(package.archive),
        "env_vars": {
            "WANDB_API_KEY": KEY,
            "HF_TOKEN": TOKEN,
            "WANDB_MODE": "offline",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S),
        },
    }


def test_size_and_folders_of_this_machine_are_not_checked():
    config = config_with(root="/nowhere/photos", path="/nowhere/model")
    large = replace(config.cluster, num_reward_workers=1000, gpus_per_actor=8, micro_batch_tokens=10**6)
    check_elsewhere(replace(config, cluster=large))
    with pytest.raises(ValueError, match=r"data\.root is empty"):
        check_elsewhere(replace(config_with(root=""), cluster=large))


MISTAKES = {
    "algo.num_promts=4": "algo.num_promts is not a key; did you mean algo.num_prompts?",
    "algo.num_updates=3": "algo.num_updates must divide algo.num_prompts; got 3 updates of 16 prompts",
    "-m seed=1,2": "submit runs one job; a sweep on a cluster is `assay train -m hydra/launcher=ray_jobs …`",
    "--status a --stop b": "give one of --status, --logs, --stop, or what to submit; see --help",
    "--status a seed=1": "give one of --status, --logs, --stop, or what to submit; see --help",
    "--fast": "there is no flag --fast; a key is written without dashes, fast=VALUE, and --help lists the keys",
    "": "nothing is submitted without a key; type one, e.g. assay submit experiment=demo; see --help",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_costs_one_line_and_exit_code_2(typed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert assay(["submit", *typed.split()]) == 2
    assert capsys.readouterr() == ("", f"assay submit: {MISTAKES[typed]}\n")


def test_a_mistake_is_named_before_ray_is_imported():
    code = (
        "import sys; from launch.__main__ import assay; code = assay(['submit', 'algo.num_promts=1']); "
        "print(code, sorted({'ray', 'torch', 'vllm', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "2 []"


def test_a_server_out_of_reach_is_one_sentence(capsys, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://{LOOPBACK}:{unused.getsockname()[1]}"
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")
        assert assay(["submit", "--address", address, "experiment=demo"]) == 1
    assert capsys.readouterr().err == (
        f"assay submit: no Ray job server answers at {address}; "
        f"give the address of the cluster's dashboard, --address http://<head>:8265\n"
    )


def test_the_address_is_given_or_the_environments_or_this_machines(monkeypatch):
    joined, api, given = (f"http://{name}:8265" for name in ("joined", "api", "given"))
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    assert server_address("") == LOCAL
    monkeypatch.setenv("RAY_ADDRESS", joined)
    assert server_address("") == joined
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", api)
    assert server_address("") == api
    assert server_address(f"{given}/") == given
    with pytest.raises(ValueError, match="ray://head:10001 is not the address of a dashboard"):
        server_address("ray://head:10001")


@pytest.mark.parametrize(
    ("status", "driver", "code"),
    [
        (JobStatus.RUNNING, None, None),
        (JobStatus.SUCCEEDED, 0, 0),
        (JobStatus.FAILED, 2, 2),
        (JobStatus.FAILED, -9, 137),
        (JobStatus.FAILED, None, 1),
        (JobStatus.STOPPED, None, 143),
    ],
)
def test_the_exit_code_is_the_jobs_own(status, driver, code):
    assert exit_code_of(status, driver) == code


def test_help_names_the_flags(capsys):
    assert assay(["submit", "--help"]) == 0
    page = capsys.readouterr().out
    assert all(flag in page for flag in ("--address URL", "--detach", "--status ID", "--logs ID", "--stop ID"))
