"""Checks and names of a model's folder or hub id, before its weights are read."""

import json
from pathlib import Path

import rl.import_fixes  # noqa: F401

from safetensors import SafetensorError, safe_open
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from rl.faults import UserError, named
from rl.model_config import family_of, model_config
from rl.taught.reference_cache import folder_digest
from rollout.config import LocalizeConfig

PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


def check_folder(path: str) -> None:
    """Raise a UserError that says what model.path lacks."""
    family_of(path)
    if not Path(path).is_dir():
        return
    _check_weights(Path(path))
    if not any((Path(path) / name).is_file() for name in PROCESSOR_FILES):
        raise UserError(
            f"{path}: no processor ({' or '.join(PROCESSOR_FILES)}); copy it from the checkpoint that the model was "
            "trained from"
        )


def _check_weights(folder: Path) -> None:
    """Raise a UserError for a weights file that is missing or damaged; their headers alone are read."""
    index = folder / SAFE_WEIGHTS_INDEX_NAME
    if not index.is_file():
        if (folder / SAFE_WEIGHTS_NAME).is_file():
            _tensors_of(folder / SAFE_WEIGHTS_NAME)
        elif not any(folder.glob("*.bin")):
            raise UserError(f"{folder}: no weights ({SAFE_WEIGHTS_NAME} or {index.name}); copy the checkpoint anew")
        return
    places = _places(index)
    for name in sorted(set(places.values())):
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file} is missing, which {index.name} names; copy the checkpoint anew")
        lacking = {tensor for tensor, place in places.items() if place == name} - _tensors_of(file)
        if lacking:
            raise UserError(f"{file} lacks {min(lacking)}, which {index.name} places there; copy the checkpoint anew")


def _places(index: Path) -> dict[str, str]:
    """Return the file of each tensor by the name of the tensor."""
    try:
        return dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{index}: no index of weights ({named(error)}); copy the checkpoint anew") from error


def _tensors_of(file: Path) -> set[str]:
    """Return the names of the tensors in a file; safetensors compares its header with its length."""
    try:
        with safe_open(file, framework="numpy") as opened:
            return set(opened.keys())
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: damaged or cut off ({error}); copy the checkpoint anew") from error


def weights_name(path: str) -> str:
    """Name a model's weights and prompts: by a digest of its folder's files, or by the commit of a hub id."""
    if Path(path).is_dir():
        return folder_digest(Path(path))
    # On this machine there may be no weights of it; the folder of a snapshot is called by the commit.
    return f"{path.replace('/', '--')}-{Path(cached_file(path, 'config.json')).parent.name}"


def check_localize(path: str, config: LocalizeConfig) -> None:
    """Raise a UserError for a layer or a head that the model does not have."""
    text = model_config(path).text_config
    counts = {"layers": text.num_hidden_layers, "heads": text.num_attention_heads}
    for name, chosen in (("layers", config.layers), ("heads", config.heads)):
        if any(not 0 <= index < counts[name] for index in chosen):
            raise UserError(f"localize.{name}={chosen}: {path} has {counts[name]}, counted from 0; choose among these")
