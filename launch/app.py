"""Turns what was typed after a verb into checked configs and runs the verb with each: one, or one a job of a sweep."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from launch.composing import CONF, jobs_of, open_composer, to_dataclass
from launch.help_page import help_page
from rl.faults import RunFailure

RUN_FAULT, USAGE_FAULT = 1, 2
TRACEBACK = "HYDRA_FULL_ERROR"
"""Environment variable of Hydra's; when it is set, a fault of a run shows where it was raised."""


@dataclass(frozen=True, kw_only=True)
class App:
    """A verb: its config and what it does with it."""

    verb: str
    """What is typed after `assay`; its primary config is conf/<verb>.yaml."""
    summary: str
    """One line for the list of verbs."""
    examples: tuple[str, ...]
    """Commands that work as they stand."""
    schema: type
    """Dataclass of the config; its key `output` names the folder that a run writes."""
    check: Callable[[Any], None]
    """Raises a ValueError for a contradiction in the config."""
    main: Callable[[Any], int]
    """Takes the config, returns the exit code."""


def run_app(app: App, argv: Sequence[str]) -> int:
    """Composes and checks every job that argv asks for before the first one runs; returns the exit code."""
    try:
        options = _parse(argv)
        with open_composer(app.verb, app.schema, options.hydra_arguments) as composer:
            if options.help:
                print(_head(app) + help_page(composer, composer.compose(options.overrides)))
                return 0
            for arguments in jobs_of(options.overrides) if options.multirun else [options.overrides]:
                config = composer.compose(arguments)
                if not options.cfg:
                    app.check(config)
    except ValueError as error:
        return _fault(app, error, USAGE_FAULT)
    return _run(app, options)


def _run(app: App, options: argparse.Namespace) -> int:
    """Lets Hydra run the jobs; the exit code is the worst of theirs."""
    codes = [0]

    def job(composed: DictConfig) -> None:
        codes.append(_run_job(app, composed))

    flags = ["--multirun"] * options.multirun + (["--cfg", options.cfg] if options.cfg else [])
    with _arguments([f"assay {app.verb}", *flags, *options.overrides, *options.hydra_arguments]):
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=app.verb)(job)()
    return max(codes)


def _run_job(app: App, composed: DictConfig) -> int:
    try:
        config = to_dataclass(composed, app.schema)
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            config = replace(config, output=str(Path(config.output) / HydraConfig.get().sweep.subdir))
        return app.main(config)
    except (ValueError, RunFailure) as error:
        if os.environ.get(TRACEBACK):
            raise
        return _fault(app, error, RUN_FAULT)


def _fault(app: App, error: Exception, code: int) -> int:
    print(f"assay {app.verb}: {error}", file=sys.stderr, flush=True)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see --help")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Flags and overrides in any order."""
    parser = _Parser(add_help=False)
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    parser.add_argument("--config-dir", "-cd", type=Path)
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_intermixed_args(argv)
    options.overrides = [text for text in options.arguments if not text.lstrip("+~").startswith("hydra")]
    options.hydra_arguments = [text for text in options.arguments if text not in options.overrides]
    if options.config_dir:
        if not options.config_dir.is_dir():
            raise ValueError(f"--config-dir: there is no folder {options.config_dir}")
        options.hydra_arguments.append(f"hydra.searchpath=['{options.config_dir.resolve()}']")
    return options


def _head(app: App) -> str:
    usage = f"usage: assay {app.verb} [key=value …] [-m] [--cfg job] [--config-dir FOLDER]"
    flags = (
        "  -m                   run every combination of comma-separated values\n"
        "  --cfg job            print the composed config instead of running\n"
        "  --config-dir FOLDER  a folder with groups of your own, e.g. FOLDER/experiment/mine.yaml"
    )
    examples = "\n".join(["Examples", *(f"  {line}" for line in app.examples)])
    return "\n\n".join([app.summary, usage, flags, examples, ""])


@contextmanager
def _arguments(argv: list[str]) -> Iterator[None]:
    """hydra.main reads sys.argv."""
    before, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = before
