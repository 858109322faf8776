"""Checks and names of a model's folder or hub id, before its weights are read."""

from pathlib import Path

import rl.import_fixes  # noqa: F401

from transformers.utils import cached_file

from rl.faults import UserError
from rl.model_config import family_of, model_config
from rl.taught.reference_cache import folder_digest
from rollout.config import LocalizeConfig

PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")


def check_folder(path: str) -> None:
    """Raise a UserError that says what model.path lacks."""
    family_of(path)
    if Path(path).is_dir() and not any((Path(path) / name).is_file() for name in PROCESSOR_FILES):
        raise UserError(
            f"{path}: no processor ({' or '.join(PROCESSOR_FILES)}); copy it from the checkpoint that the model was "
            "trained from"
        )


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
