"""Reads the flags and overrides after a verb, in any order."""

import argparse
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from hydra.core.override_parser.types import Override, Quote, QuotedString

from launch.command.mistakes import is_readable, parse_overrides
from launch.command.other_names import OTHER_NAMES
from rl.faults import UserError

OPTUNA = "hydra/sweeper=optuna"
OPTUNA_VALUES = ("hydra.sweeper.direction=maximize", "hydra.sweeper.max_failure_rate=1.0")
"""Options that replace Optuna's defaults: a higher logging.rank_by is better, and a failed member stops no other."""

TAKE_PATHS = ("model",)
"""Config groups whose options only name a folder or a hub id, which can stand in their place."""
PLAIN = re.compile(r"[\w./-]+")
FLAGS = ("help", "multirun", "config-dir")
"""Flags of every verb, in full."""


class Parser(argparse.ArgumentParser):
    """Parser of the flags that every verb has; a mistake is a UserError."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self.add_argument("--help", "-h", action="store_true")
        self.add_argument("--multirun", "-m", action="store_true")
        self.add_argument("--config-dir", "-cd", type=Path)
        self.add_argument("arguments", nargs="*")

    def error(self, message: str) -> NoReturn:
        flag = re.match(r"unrecognized arguments: (--?)([\w.-]+)", message)
        if flag:
            near = get_close_matches(flag[2], FLAGS, n=1, cutoff=0.75)
            if near:
                raise UserError(f"there is no flag {flag[1]}{flag[2]}; did you mean --{near[0]}?")
            raise UserError(f"there is no flag {flag[1]}{flag[2]}; a key is written without dashes, {_as_key(flag[2])}")
        raise UserError(f"{message}; see --help")

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """Return the flags, the `overrides` of the config, the `hydra_arguments`, overrides of hydra.*, and `typed`."""
        options = self.parse_intermixed_args(argv)
        options.typed = list(argv)
        options.overrides = [text for text in options.arguments if not text.lstrip("+~").startswith("hydra")]
        options.hydra_arguments = [text for text in options.arguments if text not in options.overrides]
        if OPTUNA in options.hydra_arguments:
            options.hydra_arguments = [*OPTUNA_VALUES, *options.hydra_arguments]
        if options.config_dir:
            if not options.config_dir.is_dir():
                raise UserError(
                    f"--config-dir: there is no folder {options.config_dir}; give the one that holds your files, e.g. "
                    "experiment/mine.yaml"
                )
            options.hydra_arguments.append(f"hydra.searchpath=[{quoted(str(options.config_dir.resolve()))}]")
        return options


def _as_key(flag: str) -> str:
    """Say what the key is called that somebody typed as a flag."""
    key = flag.replace("-", "_")
    ours = OTHER_NAMES.get(key)
    return f"{ours.name}=VALUE{ours.told}" if ours else f"{key}=VALUE, and --help lists the keys"


def quoted(value: str) -> str:
    """Return the value with quotes if Hydra's grammar needs them.

    >>> quoted("runs/1")
    'runs/1'
    >>> print(quoted("Anna's folder, here"))
    'Anna\\'s folder, here'
    """
    if PLAIN.fullmatch(value):
        return value
    return QuotedString(text=value, quote=Quote.single).with_quotes()


def with_key(overrides: Sequence[str], key: str) -> list[str]:
    """Return the overrides with all values that were typed without a key as the list `key`; "" names no key.

    >>> with_key(["runs/a", "output=here", "runs/1"], "runs")
    ["runs=['runs/a','runs/1']", 'output=here']
    """
    values = [text for text in overrides if "=" not in text or Path(text).is_dir()] if key else []
    listed = ",".join(QuotedString(text=value, quote=Quote.single).with_quotes() for value in values)
    return [*([f"{key}=[{listed}]"] if values else []), *(text for text in overrides if text not in values)]


def in_full(
    overrides: Sequence[str], groups: Collection[str], lists: Collection[str], texts: Collection[str]
) -> list[str]:
    """Return the overrides as Hydra reads them.

    A folder or hub id in place of an option (model=owner/name) becomes <group>.path, for those of the verb's `groups`
    that TAKE_PATHS names. Commas in the values of `lists` are quoted, and so are values of `texts` that Hydra's
    grammar cannot read.

    >>> in_full(["model=owner/name", "input=a.png,b.png"], ["model"], ["input"], [])
    ['model.path=owner/name', "input='a.png,b.png'"]
    >>> in_full(["output=runs/mine (1)"], [], [], ["output"])
    ["output='runs/mine (1)'"]
    """
    takes_paths = [name for name in TAKE_PATHS if name in groups]
    readable = [_readable(text, {*texts, *takes_paths}) for text in overrides]
    return [
        _in_full(text, override, takes_paths, lists)
        for text, override in zip(readable, parse_overrides(readable), strict=True)
    ]


def _readable(text: str, names: Collection[str]) -> str:
    name, _, value = text.partition("=")
    return f"{name}={quoted(value)}" if name in names and not is_readable(text) else text


def _in_full(text: str, override: Override, takes_paths: Collection[str], lists: Collection[str]) -> str:
    name, value = override.key_or_group, text.partition("=")[2]
    if name in lists and override.is_choice_sweep():
        return f"{name}={quoted(value)}"
    if name in takes_paths and ("/" in value or Path(str(override.value())).is_dir()):
        return f"{name}.path={value}"
    return text


def with_values(overrides: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the overrides with these values in place of those of the same keys.

    >>> with_values(["seed=1", "output=here"], {"output": "/there"})
    ['seed=1', 'output=/there']
    """
    names = [parsed.key_or_group for parsed in parse_overrides(overrides)]
    told = {key: f"{key}={quoted(value)}" for key, value in values.items()}
    # In their places: the stages of a chain run in the order in which they are named.
    kept = [told.get(name, text) for name, text in zip(names, overrides, strict=True)]
    return [*kept, *(text for key, text in told.items() if key not in names)]
