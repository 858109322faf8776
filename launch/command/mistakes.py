"""Finds mistakes in overrides; each becomes one sentence that names what was probably meant."""

import glob
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from conf.keys import Key, sections, walk
from conf.schema import TrainConfig
from launch.command.other_names import OTHER_NAMES, OWN_INSTEAD
from launch.run.folder import CHAIN
from rl.checkpoints import FOLDER
from rl.faults import UserError

ALIKE = 0.75
"""Least likeness of a suggested key, that of its last part, 1 if it is equal."""
CHOICE_ALIKE = 0.6
"""Least likeness of a suggested choice; there are few, and the sentence lists them."""
MOST_COMPARED = 100
"""Letters of a name that are compared with others; the time grows with the square of their number."""
MODEL = "model"
"""Config group that also takes a folder."""
TRAINING_GROUPS = ("experiment", "ablation")
"""Config groups of `assay train` that are no section of its config."""


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Parse the overrides one by one, so that a broken one can be named."""
    parser = OverridesParser.create()
    parsed = []
    for argument in arguments:
        try:
            parsed += parser.parse_overrides([argument])
        except HydraException as error:
            name, given, _ = argument.partition("=")
            write = f"put its value in quotes, \"{name}='…'\"" if given else "write key=value, without blanks"
            raise UserError(f"cannot read '{argument}'; {write}") from error
    return parsed


def is_readable(argument: str) -> bool:
    """Return True if an override obeys Hydra's grammar."""
    try:
        OverridesParser.create().parse_overrides([argument])
    except HydraException:
        return False
    return True


def check_read(arguments: Sequence[str], unread: Mapping[str, str]) -> None:
    """Raise a UserError for an override of a key that the verb ignores; `unread` maps keys and sections to reasons."""
    check_unread([override.key_or_group for override in parse_overrides(arguments)], unread)


def check_unread(names: Iterable[str], unread: Mapping[str, str]) -> None:
    """Raise a UserError for the first of the keys that the verb ignores."""
    for name in names:
        if reason := reason_unread(name, unread):
            raise UserError(f"{name} does nothing here: {reason}; leave it out")


def reason_unread(name: str, unread: Mapping[str, str]) -> str:
    """Return the reason why a key is ignored; "" if it is read."""
    return next((reason for key, reason in unread.items() if f"{name}.".startswith(f"{key}.")), "")


def check_override(override: Override, schema: type, groups: Collection[str]) -> None:
    """Raise a UserError when there is no such key or group, or when the value is not of the key's type.

    The option of a group is left to `check_option`.
    """
    name = override.key_or_group
    if override.is_delete() or override.is_add() or override.is_force_add():
        raise UserError(f"'{override.input_line}': keys are neither added nor removed; write {name}=value")
    if override.is_sweep_override():
        raise UserError(f"{name} has several values; add -m to run them all")
    keys = {key.path: key for key in walk(schema)}
    if name in keys:
        check_value(keys[name], override.value(), override.get_value_string(), schema)
    elif name not in groups and not any(key.kind is dict and name.startswith(f"{key.path}.") for key in keys.values()):
        raise UserError(unknown_key(name, schema, groups))


def unknown_key(name: str, schema: type, groups: Iterable[str] = ()) -> str:
    """Return the error sentence for an unknown key, with the nearest key."""
    paths = [key.path for key in walk(schema)]
    inside = [path for path in paths if path.startswith(f"{name}.")]
    if name in sections(schema):
        return f"{name} is a section; its keys are {', '.join(inside)}"
    known, is_of_training = [*paths, *groups], schema is not TrainConfig and _is_of_training(name)
    inside_section = [path for path in paths if _section(path) and _section(path) == _section(name)]
    near = _called_here(name, inside_section) or _alike(name, inside_section, ALIKE)
    near = near or _called_here(name, known) or _alike(name, known, 1.0 if is_of_training else ALIKE)
    return f"{name} is not a key; {near or ('only `assay train` has it; ' * is_of_training + '--help lists the keys')}"


def _called_here(name: str, known: Sequence[str]) -> str:
    """Name the key with the meaning that another trainer's key has; "" if there is none."""
    plain = name.lower().replace("-", "_")
    ours = OTHER_NAMES.get(plain) or OTHER_NAMES.get(_last(plain))
    found = ours.among(known) if ours else ""
    return f"it is called {found} here{ours.told}" if ours and found else ""


def _alike(name: str, known: Sequence[str], floor: float) -> str:
    """Ask for the nearest key; return "" if none is alike."""
    alike = {path: _ratio(_last(name), _last(path)) for path in known}
    # A dotted name like checkpoint.best is meant in its section, unless its last part is the very name of a key.
    near = [
        path
        for path, ratio in alike.items()
        if ratio >= floor and ("." not in name or ratio == 1 or _ratio(name, path) >= ALIKE)
    ]
    best = max(near, key=lambda path: _ratio(name, path) + _ratio(_last(name), _last(path)), default="")
    return f"did you mean {best}?" if best else ""


def _is_of_training(name: str) -> bool:
    return name in [*(key.path for key in walk(TrainConfig)), *sections(TrainConfig), *TRAINING_GROUPS]


def check_value(key: Key, value: Any, shown: str, schema: type) -> None:
    """Raise a UserError when the value is not of the key's type."""
    try:
        OmegaConf.update(_scratch(schema), key.path, value)
    except OmegaConfBaseException as error:
        raise UserError(f"{key.path} must be {key.expected()}; got {shown}") from error


@cache
def _scratch(schema: type) -> DictConfig:
    """Return a config to try values on, built once because building is slow."""
    return OmegaConf.structured(schema)


def meant(name: str, choices: Iterable[str], prefix: str = "") -> str:
    """Ask for the nearest choice, "did you mean …?"; return "" if none is alike."""
    best = max(choices, key=lambda choice: _ratio(name, choice))
    return f"did you mean {prefix}{best}?" if _ratio(name, best) >= CHOICE_ALIKE else ""


def check_option(override: Override, options: Sequence[str]) -> None:
    """Raise a UserError if a group lacks the option."""
    group, option = override.key_or_group, override.get_value_string()
    if override.value() not in options:
        own = f"; {OWN_INSTEAD[group]}" if group in OWN_INSTEAD else ""
        if folder := _folder_named(str(override.value())) if group == MODEL else "":
            raise UserError(f"{group}={option} is not an option, but {folder} is a folder; write {group}={folder}")
        hint = meant(option, options, f"{group}=")
        raise UserError(f"{group}={option} is not an option; {there_are(options, hint)}{own}")


def there_are(choices: Iterable[str], hint: str = "") -> str:
    """List the choices, after the hint if there is one.

    >>> there_are(["demo", "judo"], "did you mean demo?")
    'did you mean demo? There are demo, judo'
    """
    return f"{hint} There are {', '.join(choices)}" if hint else f"there are {', '.join(choices)}"


def _folder_named(name: str) -> str:
    """Return the folder of a model or run that is called so; "" if there is none."""
    found = [Path(folder) / name for folder in ("models", "runs")] + sorted(Path("runs").glob(f"*/{glob.escape(name)}"))
    return next((str(path) for path in found if name and _holds_model(path)), "")


def _holds_model(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("config.json", FOLDER, CHAIN))


def _section(path: str) -> str:
    return path.partition(".")[0] if "." in path else ""


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _ratio(left: str, right: str) -> float:
    return SequenceMatcher(None, left[:MOST_COMPARED], right[:MOST_COMPARED]).ratio()
