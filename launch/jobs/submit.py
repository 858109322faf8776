"""`assay submit`: one training as a job of a Ray cluster, from this working tree."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from conf.schema import TrainConfig
from launch.chain.stages import check_run
from launch.chain.verb import TRAIN_OR_CHAIN
from launch.command.app import RUN_FAULT, USAGE_FAULT, fault
from launch.command.arguments import Parser
from launch.command.composing import open_composer
from launch.jobs.submit_help import HELP
from rl.faults import AssayError, UserError

if TYPE_CHECKING:
    from launch.jobs.server import JobServer

INTERRUPTED = 130
WANDB_RUN = re.compile(r"https?://\S+/runs/\w+")


def main(argv: Sequence[str]) -> int:
    """Return the exit code; for a job that is followed, the job's own."""
    try:
        options = _parse(argv)
        if options.help:
            print(HELP)
            return 0
        config = None if options.about else _checked(options)
    except UserError as error:
        return fault("submit", error, USAGE_FAULT)
    try:
        return _ask(options) if config is None else _submit(options, config)
    except UserError as error:
        return fault("submit", error, USAGE_FAULT)
    except AssayError as error:
        return fault("submit", error, RUN_FAULT)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser()
    parser.add_argument("--address", default="")
    parser.add_argument("--detach", action="store_true")
    for question in ("status", "logs", "stop"):
        parser.add_argument(f"--{question}", metavar="ID")
    options = parser.read(argv)
    if options.multirun:
        raise UserError("submit runs one job; a sweep on a cluster is `assay train -m hydra/launcher=ray_jobs …`")
    options.about = [name for name in ("status", "logs", "stop") if getattr(options, name)]
    if len(options.about) + bool(options.arguments or options.detach) > 1:
        raise UserError("give one of --status, --logs, --stop, or what to submit; see --help")
    if not (options.about or options.arguments or options.help):
        raise UserError("nothing is submitted without a key; type one, e.g. assay submit experiment=demo; see --help")
    return options


def _checked(options: argparse.Namespace) -> TrainConfig:
    """Return the config; raise a UserError for a mistake that the job would also refuse."""
    verb = TRAIN_OR_CHAIN
    with open_composer(verb.name, verb.schema, options.hydra_arguments, verb.unread, verb.stages) as composer:
        config = composer.compose(options.overrides)
    check_run(config)
    return config


def _submit(options: argparse.Namespace, config: TrainConfig) -> int:
    from launch.jobs.package import pack
    from launch.jobs.secret_files import about_left_behind
    from launch.jobs.server import JobServer
    from launch.jobs.submission import TREE, overrides_in_job, submission

    server, here = JobServer(options.address), Path.cwd()
    with TemporaryDirectory() as folder:
        package = pack(TREE, Path(folder) / "tree.zip")
        if package.left_behind:
            _say(about_left_behind(package.left_behind))
        arguments = overrides_in_job(config, options.overrides, package, here)
        arguments += [text for text in options.hydra_arguments if not text.startswith("hydra.searchpath")]
        if options.config_dir:
            arguments += ["--config-dir", package.path_in_job(str(options.config_dir), here)]
        job_id = server.submit(submission(package, arguments, os.environ))
    _say(f"{job_id} is submitted; dashboard: {server.dashboard(job_id)}")
    if options.detach:
        print(job_id)
        return 0
    return _follow(server, job_id, options.address)


def _ask(options: argparse.Namespace) -> int:
    from launch.jobs.server import JobServer

    server = JobServer(options.address)
    if options.logs:
        return _follow(server, options.logs, options.address)
    if options.stop:
        _say(f"{options.stop} is asked to stop and may take minutes to write a checkpoint")
    state = server.stop(options.stop) if options.stop else server.state(options.status)
    print(f"{options.stop or options.status}: {state.status} {state.message}".rstrip())
    return 0


def _follow(server: "JobServer", job_id: str, address: str) -> int:
    log: list[str] = []

    def show(text: str) -> None:
        log.append(text)
        print(text, end="", flush=True)

    try:
        state = server.follow(job_id, show)
    except KeyboardInterrupt:
        at = f" --address {address}" if address else ""
        _say(
            f"{job_id} goes on; follow it: assay submit --logs {job_id}{at}; stop it: assay submit --stop {job_id}{at}"
        )
        return INTERRUPTED
    wandb_run = WANDB_RUN.search("".join(log))
    if wandb_run:
        _say(f"W&B: {wandb_run[0]}")
    _say(f"{job_id}: {state.status} {state.message}".rstrip())
    return state.exit_code or 0


def _say(text: str) -> None:
    """Print to stderr; stdout is for the job's log, whose last line is the summary."""
    print(f"assay submit: {text}", file=sys.stderr, flush=True)
