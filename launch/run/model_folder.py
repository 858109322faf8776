"""The model that a run folder or a checkpoint stands for, and how it was asked in training."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conf.models import is_hub_id
from launch.run.folder import CHAIN, CONFIG
from rl.asking import FILE, asking_of, read_asking, write_asking
from rl.checkpoints import (
    ADAPTER,
    FOLDER,
    MERGED,
    RECORD,
    WHOLE,
    Checkpoint,
    check_part,
    find_checkpoint,
    read_checkpoint,
    seal_merged,
)
from rl.faults import UserError

MADE = "model"
"""Folder, in that of a chain's stage, with the model that the stage made."""


def model_folder(path: str) -> str:
    """Return the model's folder of a run, a chain or a checkpoint; any other path or hub id as it is."""
    folder = Path(path)
    if not path or not folder.is_dir() or (folder / "config.json").is_file():
        return path
    if (folder / CHAIN).is_file():
        return str(_last_made(folder))
    if (folder / FOLDER).is_dir() or (folder / RECORD).is_file():
        checkpoint = find_checkpoint(folder)
        whole = checkpoint.folder / WHOLE
        return str(whole if whole.is_dir() else checkpoint.folder / MERGED)
    if (folder / CONFIG).is_file():
        raise UserError(f"model.path={path}: this run has no checkpoint; wait for one, or resume the run")
    return path


def _last_made(chain: Path) -> Path:
    stages = json.loads((chain / CHAIN).read_text(encoding="utf-8"))["stages"]
    made = [chain / stage / MADE for stage in stages if (chain / stage / MADE).is_dir()]
    if not made:
        raise UserError(f"model.path={chain}: no stage of this chain has made a model yet; go on with resume=auto")
    return made[-1]


def model_name(path: str) -> str:
    """Return what to call a model: the name of its folder or hub id; of a checkpoint or a stage, that of the run.

    >>> model_name("runs/photos/checkpoints/step_60/hf"), model_name("runs/both/1_sft/model"), model_name("owner/name")
    ('photos', '1_sft', 'name')
    """
    parts = Path(path).parts
    if FOLDER in parts[1:]:
        return parts[parts.index(FOLDER, 1) - 1]
    return parts[-2] if parts[-1] == MADE and len(parts) > 1 else parts[-1]


def asking_at(path: str) -> dict[str, Any]:
    """Return how the model of a folder, run, checkpoint or hub id in the local cache was asked; {} if unknown."""
    if not path:
        return {}
    folder = Path(model_folder(path)) if Path(path).exists() else _downloaded(path)
    # A model that is not merged yet, or of a checkpoint from before there was such a file, has only the record.
    if not (folder / FILE).is_file() and folder.name in (WHOLE, MERGED) and (folder.parent / RECORD).is_file():
        return asking_of(read_checkpoint(folder.parent).record.config)
    return read_asking(folder)


def _downloaded(hub_id: str) -> Path:
    """Return the folder of a hub id in the local cache, without network; the path itself if there is none."""
    # Not at the top: only hub ids need them, and the second takes a fraction of a second.
    from huggingface_hub import constants

    if not (Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}").is_dir():
        return Path(hub_id)
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(hub_id, FILE)
    return Path(file).parent if isinstance(file, str) else Path(hub_id)


def write_model(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the model of a checkpoint, with assay.json: a copy, or its adapter merged into the base model."""
    whole = checkpoint.folder / WHOLE
    check_part(whole if whole.is_dir() else checkpoint.folder / ADAPTER)
    if whole.is_dir():
        shutil.copytree(whole, folder)
    else:
        _write_merged(checkpoint, folder)
    write_asking(folder, asking_of(checkpoint.record.config))


def _write_merged(checkpoint: Checkpoint, folder: Path) -> None:
    model = checkpoint.record.config["model"]
    base = model["path"]
    if not (Path(base).is_dir() or is_hub_id(base)):
        raise UserError(f"{checkpoint.folder}: its adapter needs the base model {base}, which is missing; restore it")
    # Not at the top: torch and transformers take seconds.
    from actors.checkpoint import write_merged

    folder.mkdir(parents=True)
    write_merged(base, checkpoint.folder / ADAPTER, model["precision"], folder)


def make_ready(path: str) -> None:
    """Make the merged model of an adapter's checkpoint, if need be; refuse a checkpoint's model that was changed."""
    folder = Path(path)
    if folder.name == MERGED and not folder.is_dir() and (folder.parent / RECORD).is_file():
        _merge_adapter(folder)
    check_part(folder)


def _merge_adapter(folder: Path) -> None:
    print(f"merging the adapter of {folder.parent} into its base model, once", flush=True)
    # The members of a sweep may merge the same adapter at the same time; the first to end gives it its name.
    with TemporaryDirectory(prefix=f".{MERGED}.", dir=folder.parent) as made:
        merged = Path(made) / MERGED
        write_model(read_checkpoint(folder.parent), merged)
        seal_merged(merged)
        try:
            merged.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
