"""Turns what was typed after a verb into checked configs and runs the verb with each: one, or one a job of a sweep."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from conf.keys import walk
from launch.command.arguments import Parser, in_full, with_values
from launch.command.composing import CONF, jobs_of, open_composer, to_dataclass
from launch.command.help_page import help_page
from launch.command.mistakes import check_read
from launch.command.sweep import begin_member, fail_member, finish_sweep, member_value, members_in
from launch.run.crash import sentence_of
from rl.faults import RunFailure, UserError

RUN_FAULT, USAGE_FAULT = 1, 2
INTERRUPTED = 128 + signal.SIGINT, 128 + signal.SIGTERM
RAY_JOBS = "ray_jobs"
"""The value of hydra/launcher that runs the members of a sweep as Ray jobs."""


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
    """Raises a UserError for a contradiction in the config."""
    main: Callable[[Any], int]
    """Takes the config, returns the exit code."""
    check_elsewhere: Callable[[Any], None] | None = None
    """The check for a run that is a Ray job, on another machine; None for a verb that is no job."""
    lists: tuple[str, ...] = ()
    """Keys in whose value commas separate files; only -m makes jobs of them."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Keys and sections that do nothing for this verb, each with the reason."""
    ranks: bool = False
    """Whether a run writes a summary, by whose entry logging.rank_by the members of a sweep are ranked."""


def run_app(app: App, argv: Sequence[str]) -> int:
    """Composes and checks every job that argv asks for before the first one runs; returns the exit code."""
    try:
        parser = Parser()
        parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
        options = parser.read(argv)
        with open_composer(app.verb, app.schema, options.hydra_arguments) as composer:
            lists, texts = ((), ()) if options.multirun else (app.lists, _texts(app))
            options.overrides = in_full(options.overrides, composer.choices, lists, texts)
            check_read(options.overrides, app.unread)
            if options.help:
                print(_head(app) + help_page(composer, composer.compose(options.overrides), app.unread))
                return 0
            jobs = [options.overrides]
            if options.multirun:
                first, *_ = jobs_of(options.overrides, composer.sweeper)
                jobs = jobs_of([*composer.swept_by_config(first), *options.overrides], composer.sweeper)
            check = _check(app, composer.launcher)
            configs = [composer.compose(arguments) for arguments in jobs]
            for config in configs if not options.cfg else []:
                check(config)
    except ValueError as error:
        return fault(app.verb, error, USAGE_FAULT)
    if options.multirun and not options.cfg:
        return _sweep(app, options, configs[0])
    return _run(app, options)


def _texts(app: App) -> list[str]:
    return [key.path for key in walk(app.schema) if key.kind is str]


def _check(app: App, launcher: str) -> Callable[[Any], None]:
    if launcher != RAY_JOBS:
        return app.check
    if app.check_elsewhere is None:
        raise UserError(f"{app.verb} does not run as a Ray job; leave hydra/launcher={RAY_JOBS} out")
    return app.check_elsewhere


def _sweep(app: App, options: argparse.Namespace, first: Any) -> int:
    """Runs the members into one folder, whichever the sweeper and the launcher, and ranks them."""
    folder = Path(first.output)
    named = {"output": str(folder)}
    if app.ranks:
        if not first.resume and (old := members_in(folder)):
            sentence = f"output={folder} holds the sweep of {old[0]}; give another folder, or resume=auto"
            return fault(app.verb, UserError(sentence), USAGE_FAULT)
        named["logging.group"] = first.logging.group or folder.name
    options.overrides = with_values(options.overrides, named)
    try:
        code = _run(app, options)
    except SystemExit as error:
        # When a member raised or was stopped; what became of the others is still to be told, if there are any.
        if not any(folder.glob("*/")):
            raise
        code = int(error.code or RUN_FAULT)
    if not app.ranks:
        return code
    try:
        return max(code, finish_sweep(folder, first.logging.rank_by))
    except ValueError as error:
        return fault(app.verb, error, RUN_FAULT)


def _run(app: App, options: argparse.Namespace) -> int:
    """Lets Hydra run the jobs; the exit code is the worst of theirs."""
    codes = [0]

    def job(composed: DictConfig) -> float | None:
        code, value = _run_job(app, composed)
        codes.append(code)
        if code in INTERRUPTED:
            # The rest of a sweep is not begun.
            raise SystemExit(code)
        return value

    flags = ["--multirun"] * options.multirun + (["--cfg", options.cfg] if options.cfg else [])
    with _arguments([f"assay {app.verb}", *flags, *options.overrides, *options.hydra_arguments]):
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=app.verb)(job)()
    return max(codes)


def _run_job(app: App, composed: DictConfig) -> tuple[int, float | None]:
    """The exit code and, of a member of a sweep, the number that ranks it."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode is not RunMode.MULTIRUN:
        return _run_main(app, composed, composed.output)[0], None
    folder = Path(composed.output) / hydra_config.sweep.subdir
    if not app.ranks:
        return _run_main(app, composed, str(folder))[0], None
    begin_member(folder, hydra_config.overrides.task)
    code, sentence = _run_main(app, composed, str(folder))
    if code:
        fail_member(folder, sentence)
    return code, member_value(folder, composed.logging.rank_by)


def _run_main(app: App, composed: DictConfig, output: str) -> tuple[int, str]:
    """Run the verb into the folder `output`; return the exit code and, if it is not 0, the reason."""
    # Of a member of a sweep, what refers to output means its own folder.
    composed.output = output
    try:
        code = app.main(to_dataclass(composed, app.schema))
        return code, f"exit code {code}"
    except Exception as error:  # noqa: BLE001 - each ends in a sentence, after the traceback if it is a bug
        told = RunFailure(sentence_of(error, output))
        return fault(app.verb, told, RUN_FAULT), str(told)


def fault(verb: str, error: Exception, code: int) -> int:
    """Says what went wrong; returns the code."""
    print(f"assay {verb}: {error}", file=sys.stderr, flush=True)
    return code


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
