"""Three nodes: each kind of actor has its own, a small cluster is refused, a lost node is named."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from builders.small_runs import THREE_STEPS, assay, finished_run, start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def options(cluster: Cluster, data: Path, output: Path, *more: str) -> list[str]:
    there = [f"cluster.address={cluster.address}", "cluster.placement=apart", "algo.kl_weight=0"]
    return [*THREE_STEPS, *there, f"data.root={data}", f"output={output}", "logging.wandb=disabled", *more]


def nodes_of(folder: Path) -> dict[str, set[str]]:
    """Read the ids of the nodes of each kind of actor."""
    found: dict[str, set[str]] = {}
    for name, place in json.loads((folder / "actors.json").read_text()).items():
        found.setdefault(name.rpartition(" ")[0], set()).add(re.match(r"node \S+ (\w+),", place)[1])
    return found


def test_each_kind_of_actor_has_its_own_node_and_the_run_finishes(cluster: Cluster, demo_data: Path, tmp_path):
    finished_run(tmp_path, *options(cluster, demo_data, tmp_path))
    nodes = nodes_of(tmp_path)
    assert nodes.keys() == {"learner", "rollout worker", "reward worker"}
    assert len(set.union(*nodes.values())) == sum(map(len, nodes.values())) == 3
    print(f"figure: {len(nodes)} kinds on 3 nodes")


def test_a_cluster_too_small_is_refused_in_a_sentence(cluster: Cluster, demo_data: Path, tmp_path: Path):
    done = assay("train", *options(cluster, demo_data, tmp_path, "cluster.num_rollout_workers=5"))

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.search("on machines of their own, and a .* worker finds no room", done.stderr)
    print("figure: refused in one sentence")


@pytest.mark.rare
def test_a_lost_node_ends_the_run_with_a_sentence(cluster: Cluster, demo_data: Path, tmp_path: Path):
    with start("train", *options(cluster, demo_data, tmp_path, "num_steps=200", "checkpoint.every=2")) as run:
        run.wait_for_step(tmp_path, 3)
        (lost,) = nodes_of(tmp_path)["rollout worker"]
        node = next(node for node in cluster.list_all_nodes() if node.node_id.startswith(lost))
        began = time.monotonic()
        cluster.remove_node(node, allow_graceful=False)
        output, _ = run.process.communicate(timeout=120)

    seconds = time.monotonic() - began
    assert run.process.returncode == 1
    sentence = output.strip().splitlines()[-1]
    assert re.match(rf"assay train: rollout worker 0 \(node \S+ {lost}, .*\) died", sentence), sentence
    assert f"resume=auto output={tmp_path} goes on from" in sentence
    assert seconds < 60
    print(f"figure: a lost node ended the run in {seconds:.0f} s")
