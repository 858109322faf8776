"""Contradictions that a config can hold, refused before Ray starts; each message says what to change."""

import os
from pathlib import Path

from actors.config import ReferenceKind
from conf.schema import DemoDataConfig, TrainConfig

COLDEST = 0.01
"""vLLM lifts lower temperatures to this, so the learner's log-probs would no longer be the engine's."""


def check_train(config: TrainConfig) -> None:
    """Raises a ValueError for the first contradiction, this machine's size included when Ray is started on it."""
    _check_updates(config)
    _check_sampling(config)
    _check_reference(config)
    _check_paths(config)
    if not config.cluster.address:
        check_resources(config, cpus=os.cpu_count() or 1, gpus=_num_gpus())


def check_demo_data(config: DemoDataConfig) -> None:
    """Raises a ValueError when there is nowhere to write."""
    if not config.output:
        raise ValueError("output is empty; give the folder to write, e.g. output=data/demo")


def check_resources(config: TrainConfig, *, cpus: float, gpus: float) -> None:
    """Raises a ValueError when the actors of the run need more than there is."""
    cluster = config.cluster
    with_reference = config.algo.kl_weight > 0 and cluster.reference is ReferenceKind.actor
    needs = {"CPU": cluster.cpus_needed(with_reference=with_reference)}
    needs["GPU"] = cluster.gpus_needed(with_reference=with_reference)
    for kind, room in {"CPU": cpus, "GPU": gpus}.items():
        if needs[kind] > room:
            counts = f"{cluster.num_learners} learners, {cluster.num_rollout_workers} rollout workers"
            counts += f", {cluster.num_reward_workers} reward workers" + (", a reference" if with_reference else "")
            raise ValueError(
                f"cluster: the actors ({counts}) need {needs[kind]:g} {kind}s and there are {room:g}; "
                f"lower cluster.num_* or cluster.{kind.lower()}s_per_*, or choose another cluster="
            )


def _check_updates(config: TrainConfig) -> None:
    algo, num_learners = config.algo, config.cluster.num_learners
    per_update, rest = divmod(algo.num_prompts, algo.num_updates)
    if rest:
        raise ValueError(
            f"algo.num_updates must divide algo.num_prompts; "
            f"got {algo.num_updates} updates of {algo.num_prompts} prompts"
        )
    if per_update < num_learners:
        raise ValueError(
            f"an update's {per_update} prompts (algo.num_prompts / algo.num_updates) do not split over "
            f"{num_learners} learners; raise algo.num_prompts, or lower algo.num_updates or cluster.num_learners"
        )
    if algo.parity_stop < algo.parity_warn:
        raise ValueError(f"algo.parity_stop must be ≥ algo.parity_warn; got {algo.parity_stop} < {algo.parity_warn}")


def _check_sampling(config: TrainConfig) -> None:
    rollout, data = config.rollout, config.data
    temperature = rollout.temperature
    if temperature < COLDEST:
        raise ValueError(f"rollout.temperature must be ≥ {COLDEST}: below, completions are alike; got {temperature}")
    if rollout.top_p < 1:
        raise ValueError(
            f"rollout.top_p must be 1 with GRPO, whose ratios know no cut tail; got {rollout.top_p}; "
            f"lower rollout.temperature instead"
        )
    if data.min_pixels > data.max_pixels:
        raise ValueError(f"data.min_pixels must be ≤ data.max_pixels; got {data.min_pixels} > {data.max_pixels}")


def _check_reference(config: TrainConfig) -> None:
    if config.cluster.reference is ReferenceKind.adapter_off and not config.model.lora.rank:
        raise ValueError(
            "cluster.reference=adapter_off needs LoRA: give model.lora.rank ≥ 1, or choose cluster.reference=actor"
        )


def _check_paths(config: TrainConfig) -> None:
    root = config.data.root
    if not root:
        raise ValueError("data.root is empty; give the folder of your images, data.root=FOLDER")
    if not Path(root).is_dir():
        raise ValueError(f"data.root: there is no folder '{root}'; `assay data` writes the demo's to data/demo")
    path = Path(config.model.path)
    could_be_hub_id = len(path.parts) == 2 and not path.parent.exists()
    if not config.model.path or not (path.is_dir() or could_be_hub_id):
        raise ValueError(f"model.path: '{config.model.path}' is neither a folder nor a hub id such as owner/name")


def _num_gpus() -> int:
    present = len(list(Path("/dev").glob("nvidia[0-9]*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return present if visible is None else min(present, len([name for name in visible.split(",") if name]))
