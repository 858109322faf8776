"""The files of launch/jobs/cluster, checked without Kubernetes, AWS or Slurm."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from actors.placement import Machine, plan, slots
from conf.schema import TrainConfig
from conf.validate import check_elsewhere
from launch.command.composing import open_composer

ROOT = Path(__file__).parents[3]
CLUSTER = ROOT / "launch/jobs/cluster"
SLURM = CLUSTER / "slurm.sh"
SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
EC2 = {"m7i.4xlarge": (16, 0), "p5.48xlarge": (192, 8)}
"""CPUs and GPUs of instance types."""


def manifest() -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / "rayjob.yaml").read_text())


def launcher_config() -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / "ray_cluster.yaml").read_text())


def pods() -> list[dict[str, Any]]:
    cluster = manifest()["spec"]["rayClusterSpec"]
    return [group["template"]["spec"] for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]]


def pinned_ray() -> str:
    (version,) = re.findall(r"^ray==(.*)$", (ROOT / "constraints/gpu.txt").read_text(), re.MULTILINE)
    return version


def trainings() -> dict[str, list[str]]:
    """Read the overrides of the training in each file."""
    slurm = re.search(r"^TRAINING=\((.*?)\)$", SLURM.read_text(), re.MULTILINE | re.DOTALL)
    submitted = re.search(r"assay submit (.*)$", (CLUSTER / "ray_cluster.yaml").read_text(), re.MULTILINE)
    assert slurm and submitted
    entrypoint = manifest()["spec"]["entrypoint"].removeprefix("python -m launch.train ")
    texts = {"slurm.sh": slurm[1], "ray_cluster.yaml": submitted[1], "rayjob.yaml": entrypoint}
    return {name: shlex.split(text) for name, text in texts.items()}


@pytest.mark.parametrize("name", ["rayjob.yaml", "ray_cluster.yaml", "slurm.sh"])
def test_each_files_training_composes_fits_its_nodes_and_can_resume(name):
    with open_composer("train", TrainConfig, []) as composer:
        config = composer.compose(trainings()[name])
    check_elsewhere(config)
    assert config.checkpoint.every and config.output.startswith("/shared/")
    assert config.resume == "auto" or name == "ray_cluster.yaml", "a training that the cluster restarts must resume"
    wanted = slots(config.cluster, with_reference=config.algo.kl_weight > 0)
    machines = [
        Machine(id=str(index), name=f"node {index}", cpus=c, gpus=g) for index, (c, g) in enumerate(nodes(name))
    ]
    plan(wanted, machines, config.cluster.placement)


def nodes(name: str) -> list[tuple[int, int]]:
    """Read the CPUs and GPUs of the nodes in the file."""
    if name == "rayjob.yaml":
        limits = [container["resources"]["limits"] for pod in pods() for container in pod["containers"]]
        return [(int(limit["cpu"]), int(limit.get("nvidia.com/gpu", 0))) for limit in limits]
    if name == "ray_cluster.yaml":
        types = [kind["node_config"]["InstanceType"] for kind in launcher_config()["available_node_types"].values()]
        return [EC2[name] for name in types]
    (gpus,) = re.findall(r"^#SBATCH --gpus-per-node=(\d+)$", SLURM.read_text(), re.MULTILINE)
    return [(64, int(gpus))]


def test_every_pod_has_the_shared_folder_the_secrets_and_shared_memory():
    for pod in pods():
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert {"/shared", "/dev/shm"} <= set(mounts) and set(mounts.values()) == volumes
            assert container["envFrom"] == [{"secretRef": {"name": "assay-secrets"}}]


def test_the_ray_job_has_the_fields_that_kuberay_needs():
    job = manifest()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        for container in group["template"]["spec"]["containers"]:
            assert container["resources"].keys() == {"limits", "requests"}


def test_a_stopped_ray_job_has_time_for_a_checkpoint():
    environment = yaml.safe_load(manifest()["spec"]["runtimeEnvYAML"])["env_vars"]
    wait_s = int(environment["RAY_JOB_STOP_WAIT_TIME_S"])
    assert 120 <= wait_s < min(pod["terminationGracePeriodSeconds"] for pod in pods())
    assert manifest()["spec"]["shutdownAfterJobFinishes"]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl")
def test_kubectl_reads_the_ray_job(tmp_path):
    command = ["kubectl", "annotate", "--local", "-f", str(CLUSTER / "rayjob.yaml"), "read=yes", "-o", "name"]
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.stdout == "rayjob.ray.io/assay\n", done.stderr


def test_the_cluster_launcher_accepts_its_file():
    validate_config(prepare_config(launcher_config()))


def test_both_clusters_have_the_ray_that_is_pinned():
    assert manifest()["spec"]["rayClusterSpec"]["rayVersion"] == pinned_ray()
    assert launcher_config()["docker"]["image"].startswith(f"rayproject/ray:{pinned_ray()}-py311")


def test_the_batch_script_is_bash():
    subprocess.run(["bash", "-n", str(SLURM)], check=True, timeout=10)


@pytest.mark.skipif(not SHELLCHECK, reason="there is no shellcheck")
def test_shellcheck_finds_nothing_in_the_batch_script():
    command = [str(SHELLCHECK), "--severity=warning", str(SLURM)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


STAND_INS = {
    # Slurm on one machine: a step runs as a plain command.
    "scontrol": 'if [ "$1" = show ]; then printf "n1\\nn2\\n"; else echo "$@" >> "$LOG"; fi',
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    # Commands of the working tree.
    "ray": 'trap "echo ray ended >> $LOG; exit" TERM; echo "ray $*" >> "$LOG"; while :; do sleep 0.1; done',
    "python": "if [[ $2 == *get_node_ip_address* ]]; then echo 127.0.0.1; exit; fi\n"
    'touch "$LOG"; echo ${ALIVE:-$(grep -c "^ray start" "$LOG")}',
    "assay": 'trap "sleep 0.5; echo checkpoint >> $LOG; exit 143" TERM; echo "assay $*" >> "$LOG"\n'
    "for _ in $(seq ${STEPS:-0}); do sleep 0.1; done; exit ${CODE:-0}",
}


class Allocation:
    """Run of the batch script with stand-ins for its commands."""

    def __init__(self, tree: Path) -> None:
        self._tree, self._log = tree, tree / "log"
        commands = tree / ".venv/bin"
        commands.mkdir(parents=True)
        for name, body in STAND_INS.items():
            (commands / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
            (commands / name).chmod(0o755)

    def start(self, timeout_s: int = 300, **environment: str) -> None:
        script = SLURM.read_text().replace("START_TIMEOUT_S=300", f"START_TIMEOUT_S={timeout_s}")
        slurm = {"TREE": str(self._tree), "LOG": str(self._log), "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]"}
        self._process = subprocess.Popen(
            ["bash", "-c", script],
            env=os.environ | slurm | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def said(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    def wait_for(self, start: str) -> None:
        deadline = time.monotonic() + 20
        while not any(line.startswith(start) for line in self.said()):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def warn_of_time_limit(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> tuple[int, str]:
        _, err = self._process.communicate(timeout=30)
        return self._process.returncode, err

    def close(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self._process.communicate(timeout=10)


@pytest.fixture
def allocation(tmp_path: Path) -> Iterator[Allocation]:
    running = Allocation(tmp_path)
    yield running
    running.close()


def test_the_batch_script_trains_on_every_node_and_cleans_up(allocation):
    allocation.start(CODE="3")
    code, _ = allocation.end()
    said = allocation.said()
    assert code == 3
    assert "ray start --head --block --node-ip-address=127.0.0.1 --port=20007" in said
    assert "ray start --block --address=127.0.0.1:20007" in said
    assert f"assay train {' '.join(trainings()['slurm.sh'])}" in said
    assert said.count("ray ended") == 2 and not any(line.startswith("requeue") for line in said)


def test_a_training_out_of_time_writes_a_checkpoint_and_is_requeued(allocation):
    allocation.start(STEPS="300")
    allocation.wait_for("assay train")
    allocation.warn_of_time_limit()
    allocation.end()
    said = allocation.said()
    assert said.index("checkpoint") < said.index("requeue 7") and said.count("ray ended") == 2


def test_the_wait_for_a_node_that_does_not_join_ends(allocation):
    allocation.start(timeout_s=1, ALIVE="1")
    code, err = allocation.end()
    assert code == 1 and "not all of n1 n2 joined Ray within 1 s" in err
    assert allocation.said().count("ray ended") == 2
