"""Refuse contradictions of a config before Ray starts; each message says what to change."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from actors.config import ModelConfig, Placement, ReferenceKind, needs_reference, profiled_steps
from actors.placement import Machine, Slot, plan, slots, without_learning
from conf.models import check_model_path
from conf.schema import CompareConfig, DemoDataConfig, PairsConfig, PredictConfig, ScoreConfig, TrainConfig
from rewards.config import check_reward, is_computed, weights
from rewards.presets import check_task
from rl.data.config import Choice, DataConfig
from rl.data.pairs.config import PairTeacherKind, asks_engines
from rl.data.photos import find_photos, masks_of, references_of
from rl.data.questions import QUESTIONS
from rl.faults import UserError
from rl.metrics import MEANINGS, OF_COMPONENTS
from rl.recipe import RECIPES, Material, Recipe
from rl.types import Task
from rollout.config import RolloutConfig, check_endpoint, check_no_secret, check_teacher
from rollout.endpoint_key import endpoint_key

COLDEST = 0.01
"""vLLM raises lower temperatures to this, so the learner's log-probs would differ from the engine's."""
FEWEST_TO_COMPARE = 3
"""Prompts of a step of which two must be different: two neighbours can be one sample where an epoch ends."""

FILES_COME_FROM = {
    "data.lessons": "`assay pairs` writes one",
    "data.knowledge.file": (
        "`assay data` writes the demo's to data/demo/knowledge.yaml, and docs/data.md shows how to write your own"
    ),
}


def check_here(config: TrainConfig) -> None:
    """Raise a UserError for what this machine lacks."""
    _check_folders(config.data, config.model)
    if not (config.cluster.address or os.environ.get("RAY_ADDRESS")):
        check_resources(config, cpus=os.cpu_count() or 1, gpus=_num_gpus())


def check_elsewhere(config: TrainConfig) -> None:
    """Raise a UserError for the first contradiction, apart from the size and the folders of a machine."""
    _check_updates(config)
    _check_sampling(config)
    check_teacher(config.rollout.teacher, is_asked=config.algo.contrastive)
    check_reward(config.reward)
    check_task(config.reward, config.data.task, "data.task")
    _check_images(config.data)
    _check_knowledge(config.data)
    _check_lengths(config)
    _check_objective(config)
    _check_reference(config)
    _check_cluster(config)
    # How many steps num_epochs are is known once the data is read.
    profiled_steps(config.profile, sys.maxsize if config.num_epochs else config.num_steps)
    _check_best_metric(config)
    _check_given(config)


def check_compare(config: CompareConfig) -> None:
    """Raise a UserError if there is nothing to compare, or no folder to write."""
    if not config.runs:
        raise UserError("runs is empty; name the folders of two runs or more, assay compare runs/a runs/b")
    if not config.output:
        raise UserError("output is empty; give the folder to write, e.g. output=runs/compared")


def check_demo_data(config: DemoDataConfig) -> None:
    """Raise a UserError if no folder is named."""
    if not config.output:
        raise UserError("output is empty; give the folder to write, e.g. output=data/demo")


def check_score(config: ScoreConfig) -> None:
    """Raise a UserError if there is no file to read, or no reward to score it by."""
    if config.input != "-" and not Path(config.input).is_file():
        raise UserError(f"input: there is no file '{config.input}'; give a file of answers, one JSON object a line")
    if config.output != "-" and Path(config.output).resolve() == Path(config.input).resolve():
        raise UserError(f"output={config.output} is the input; give another file")
    check_reward(config.reward)
    check_task(config.reward, config.task, "task")


def check_predict(config: PredictConfig) -> None:
    """Raise a UserError if photos, references, masks, model or verdicts are missing."""
    photos = find_photos(config.input)
    references_of(config.reference, photos)
    masks_of(config.masks, photos)
    if not config.output:
        raise UserError("output is empty; give the run folder, e.g. output=runs/mine")
    _check_asked(config)
    check_model_path(config.model.path)
    _check_pixels(config.data)
    cluster = without_learning(config.cluster)
    if not (cluster.address or os.environ.get("RAY_ADDRESS")):
        _check_room(slots(cluster, with_reference=True), cluster.placement)


def _check_asked(config: PredictConfig) -> None:
    data = config.data
    if data.task not in (Task.yes_no, Task.boxes):
        raise UserError(f"data.task={data.task.name} asks for no verdict; choose data.task=boxes or data.task=yes_no")
    if data.task is Task.boxes and not config.reference and not data.question:
        raise UserError(
            f"data.task=boxes asks '{QUESTIONS[Task.boxes]}'; give the normal images to compare with, "
            "reference=FOLDER, or a data.question of your own, or take a model that needs none, such as starter_yes_no"
        )


def check_pairs_elsewhere(config: PairsConfig) -> None:
    """Raise a UserError if no pairs can be made or nothing can write them."""
    if not config.output:
        raise UserError("output is empty; give the folder of the pairs, e.g. output=runs/mine")
    data, pairs = config.data, config.pairs
    if not data.knowledge.file:
        raise UserError(
            "data.knowledge.file is empty; pairs reason under right and wrong knowledge, so give the file of it"
        )
    if data.task is not Task.routed:
        raise UserError(
            f"data.task={data.task.name} has no place for knowledge in its answers; choose data.task=routed"
        )
    if pairs.wrong is Choice.deceptive and data.knowledge.wrong is not Choice.deceptive:
        raise UserError(
            f"pairs.wrong=deceptive takes the nearest of the wrong entries, but data.knowledge.wrong="
            f"{data.knowledge.wrong.name} offers any of them in no order; choose the same for both"
        )
    _check_sources(data, config.model)
    _check_images(data)
    _check_pixels(data)
    check_no_secret(config.rollout.teacher.url)
    if pairs.teacher is PairTeacherKind.endpoint:
        check_endpoint(config.rollout.teacher)
    _check_variety(config.rollout)


def check_pairs_here(config: PairsConfig) -> None:
    """Raise a UserError for what this machine lacks."""
    _check_folders(config.data, config.model)
    if config.pairs.teacher is PairTeacherKind.endpoint:
        endpoint_key(config.rollout.teacher.key_env)
    cluster = without_learning(config.cluster, with_frozen=False)
    if asks_engines(config.pairs) and not (cluster.address or os.environ.get("RAY_ADDRESS")):
        _check_room(slots(cluster, with_reference=False), cluster.placement)


def check_resources(config: TrainConfig, *, cpus: float, gpus: float) -> None:
    """Raise a UserError if the actors of the run need more than a machine of this size has."""
    machine = Machine(id="", name="this machine", cpus=cpus, gpus=gpus)
    wanted = slots(config.cluster, with_reference=needs_reference(config.algo, config.cluster))
    plan(wanted, [machine], config.cluster.placement)


def _check_room(wanted: Sequence[Slot], placement: Placement) -> None:
    """Raise a UserError if this machine is too small."""
    machine = Machine(id="", name="this machine", cpus=os.cpu_count() or 1, gpus=_num_gpus())
    plan(wanted, [machine], placement)


def _check_updates(config: TrainConfig) -> None:
    algo, num_learners = config.algo, config.cluster.num_learners
    per_update, rest = divmod(algo.num_prompts, algo.num_updates)
    if rest:
        raise UserError(
            f"algo.num_updates must divide algo.num_prompts; "
            f"got {algo.num_updates} updates of {algo.num_prompts} prompts"
        )
    if per_update < num_learners:
        raise UserError(
            f"an update's {per_update} prompts (algo.num_prompts / algo.num_updates) do not split over "
            f"{num_learners} learners; raise algo.num_prompts, or lower algo.num_updates or cluster.num_learners"
        )
    if algo.parity_stop < algo.parity_warn:
        raise UserError(f"algo.parity_stop must be ≥ algo.parity_warn; got {algo.parity_stop} < {algo.parity_warn}")


def _check_sampling(config: TrainConfig) -> None:
    _check_variety(config.rollout)
    _check_pixels(config.data)


def _check_variety(rollout: RolloutConfig) -> None:
    if rollout.temperature < COLDEST:
        raise UserError(
            f"rollout.temperature must be ≥ {COLDEST}: below, completions are alike; got {rollout.temperature}"
        )
    if rollout.top_k == 1:
        raise UserError("rollout.top_k=1 leaves the likeliest token alone, so completions are alike; give 0 or ≥ 2")


def _check_pixels(data: DataConfig) -> None:
    if data.min_pixels > data.max_pixels:
        raise UserError(f"data.min_pixels must be ≤ data.max_pixels; got {data.min_pixels} > {data.max_pixels}")


def _check_lengths(config: TrainConfig) -> None:
    overlong, limit = config.reward.overlong, config.rollout.max_response_tokens
    if is_computed(overlong) and overlong.max_tokens > limit:
        raise UserError(
            f"reward.overlong.max_tokens={overlong.max_tokens} must be ≤ rollout.max_response_tokens={limit}, or the "
            "penalty is never due"
        )
    algo = config.algo
    if algo.normalize_components and (algo.contrastive or algo.max_refills):
        raise UserError(
            "algo.normalize_components finds contrast where totals are equal, which algo.contrastive and "
            "algo.max_refills look at; choose one"
        )


def _check_images(data: DataConfig) -> None:
    if not data.with_reference and data.task is not Task.yes_no and not data.question:
        raise UserError(
            f"data.with_reference=false shows one image, but data.task={data.task.name} asks '{QUESTIONS[data.task]}'; "
            "choose data.task=yes_no, or give a data.question of your own"
        )


def _check_objective(config: TrainConfig) -> None:
    algo, recipe = config.algo, RECIPES[config.algo.objective]
    name = f"algo.objective={algo.objective.value}"
    if algo.span not in recipe.spans:
        raise UserError(f"algo.span={algo.span.value} is not read by {name}; leave it out")
    if recipe.teaches and (algo.contrastive or algo.max_refills):
        raise UserError(f"{name} samples nothing; leave out algo.contrastive and algo.max_refills")
    if recipe.draws is Material.pairs and not config.data.lessons:
        raise UserError(f"{name} learns from pairs; give their file, data.lessons=FILE")
    if config.cluster.reference is ReferenceKind.cached:
        _check_cached(recipe, name)
    if recipe.compares_prompts and algo.num_prompts < FEWEST_TO_COMPARE:
        raise UserError(
            f"{name} compares with answers to other prompts, and two in a row can be the same one where an epoch ends; "
            f"give algo.num_prompts ≥ {FEWEST_TO_COMPARE}"
        )


def _check_cached(recipe: Recipe, name: str) -> None:
    if not recipe.teaches:
        raise UserError(
            f"cluster.reference=cached keeps log-probs of answers that are taught, but {name} samples its own; choose "
            "cluster.reference=actor"
        )
    if recipe.compares_prompts:
        raise UserError(
            f"{name} compares with answers to other prompts, which change from step to step; choose "
            "cluster.reference=actor or adapter_off"
        )


def _check_knowledge(data: DataConfig) -> None:
    if data.task is Task.routed and not data.knowledge.file:
        raise UserError(
            "data.task=routed asks for one of the pieces of knowledge that a question offers; give data.knowledge.file "
            "(`assay data` writes the demo's), or choose data.task=choice"
        )


def _check_reference(config: TrainConfig) -> None:
    if config.cluster.reference is not ReferenceKind.adapter_off:
        return
    model = config.model
    if not model.lora.rank:
        raise UserError(
            "cluster.reference=adapter_off needs LoRA: give model.lora.rank ≥ 1, or choose cluster.reference=actor"
        )
    if not (model.freeze_vision and model.freeze_projector):
        raise UserError(
            "cluster.reference=adapter_off needs model.freeze_vision and model.freeze_projector, which would train "
            "beside the adapter; freeze both, or choose cluster.reference=actor"
        )


def _check_cluster(config: TrainConfig) -> None:
    cluster, algo, rollout = config.cluster, config.algo, config.rollout
    if cluster.placement is Placement.colocated and cluster.num_rollout_workers != cluster.num_learners:
        raise UserError(
            "cluster.placement=colocated pairs each rollout worker with a learner; got "
            f"{cluster.num_rollout_workers} and {cluster.num_learners}; make cluster.num_rollout_workers equal"
        )
    size = RECIPES[algo.objective].group_size
    longest = rollout.max_prompt_tokens + (size or algo.num_completions) * rollout.max_response_tokens
    if longest > cluster.micro_batch_tokens:
        raise UserError(
            f"cluster.micro_batch_tokens={cluster.micro_batch_tokens} is less than a whole group may have, "
            f"rollout.max_prompt_tokens + {size or 'algo.num_completions'} × rollout.max_response_tokens = {longest}; "
            "raise it"
        )


def _check_best_metric(config: TrainConfig) -> None:
    """Raise a UserError for a metric that no run with these rewards records."""
    named, computed = config.checkpoint.best_metric, weights(config.reward)
    of_components = [pattern.replace("*", name, 1) for pattern in OF_COMPONENTS for name in computed]
    known = [*(pattern for pattern in MEANINGS if pattern not in OF_COMPONENTS), *of_components]
    if not any(fnmatchcase(named, pattern) for pattern in known):
        names = [name for name in known if "*" not in name]
        same = [name for name in names if name.endswith(f"/{named}")]
        near = same or get_close_matches(named, names, n=3, cutoff=0.0)
        raise UserError(
            f"checkpoint.best_metric={named} is not a metric that this run records; did you mean {' or '.join(near)}?"
        )


def _check_given(config: TrainConfig) -> None:
    if not config.output:
        raise UserError("output is empty; give the run folder, e.g. output=runs/mine")
    _check_sources(config.data, config.model)


def _check_sources(data: DataConfig, model: ModelConfig) -> None:
    if not data.root:
        raise UserError("data.root is empty; give the folder of your images, data.root=FOLDER")
    if not model.path:
        raise UserError("model.path is empty; give a folder or a hub id such as owner/name")


def _check_folders(data: DataConfig, model: ModelConfig) -> None:
    _check_root(Path(data.root))
    for name, file in (("data.lessons", data.lessons), ("data.knowledge.file", data.knowledge.file)):
        if file and not Path(file).is_file():
            raise UserError(f"{name}: there is no file '{file}'; {FILES_COME_FROM[name]}")
    check_model_path(model.path)


def _check_root(root: Path) -> None:
    if root.is_file():
        raise UserError(
            f"data.root={root} is a file; give the folder of your images, laid out as docs/data.md says; boxes and "
            "reasoning go into its annotations.json, answers to teach into data.lessons=FILE"
        )
    if not root.is_dir():
        raise UserError(
            f"data.root: there is no folder '{root}'; give that of your images, or let `assay data` write the demo's "
            "to data/demo"
        )


def _num_gpus() -> int:
    present = len(list(Path("/dev").glob("nvidia[0-9]*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return present if visible is None else min(present, len([name for name in visible.split(",") if name]))
