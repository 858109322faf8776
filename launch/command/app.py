"""Run a verb with the typed overrides, once or for each job of a sweep."""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from conf.keys import walk
from launch.command.arguments import Parser, in_full, with_key, with_values
from launch.command.composing import CONF, Composer, jobs_of, open_composer, to_dataclass
from launch.command.help_page import head, help_page
from launch.command.inside_hydra import run_jobs
from launch.command.member_files import begin_member, fail_member, member_value, members_in
from launch.command.mistakes import check_read
from launch.command.remembering import remember
from launch.command.verb import Verb
from launch.run.crash import sentence_of
from launch.run.invocation import Invocation, invoked, telling
from rl.asking import ASKED
from rl.faults import RunFailure, UserError

RUN_FAULT, USAGE_FAULT = 1, 2
"""Exit codes of a run that failed, and of one that did not begin because of what it was given."""
INTERRUPTED = 128 + signal.SIGINT, 128 + signal.SIGTERM
RAY_JOBS = "ray_jobs"
"""The value of hydra/launcher that runs the members of a sweep as Ray jobs."""


def run_verb(verb: Verb, argv: Sequence[str]) -> int:
    """Compose and check every job that argv asks for before the first one runs; return the exit code."""
    try:
        parser = Parser()
        parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
        options = parser.read(argv)
        if verb.is_long and not (options.arguments or options.help or options.cfg):
            print(f"{head(verb)}`assay {verb.name} --help` lists every key.", file=sys.stderr)
            raise UserError(f"nothing is run without a key; type one, e.g. {verb.examples[0]}")
        with open_composer(verb.name, verb.schema, options.hydra_arguments, verb.unread, verb.stages) as composer:
            lists, texts = ((), ()) if options.multirun else (verb.lists, _texts(verb))
            named = with_key(options.overrides, verb.unnamed)
            options.overrides = in_full(named, composer.choices, lists, texts)
            check_read(options.overrides, verb.unread)
            if options.help:
                print(f"{head(verb)}{help_page(composer, composer.compose(options.overrides), verb)}")
                return 0
            jobs = _jobs(verb, composer, options.overrides) if options.multirun else [options.overrides]
            checks = _checks(verb, composer.launcher)
            composed = [composer.compose_and_tell(arguments) for arguments in jobs]
            for config, told in composed if not options.cfg else []:
                _check(config, checks, told)
    except UserError as error:
        return fault(verb.name, error, USAGE_FAULT)
    for sentence in dict.fromkeys(sentence for _, told in composed for sentence in told):
        print(sentence, file=sys.stderr if options.cfg else sys.stdout, flush=True)
    if options.multirun and not options.cfg:
        return _sweep(verb, options, composed[0][0])
    return _run(verb, options)


def _jobs(verb: Verb, composer: Composer, overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a sweep."""
    if not verb.is_swept:
        raise UserError(f"{verb.name} is not run several times at once; leave -m out, e.g. {verb.examples[0]}")
    first, *_ = jobs_of(overrides, composer.sweeper)
    return jobs_of([*composer.swept_by_config(first), *overrides], composer.sweeper)


def _check(config: Any, checks: Sequence[Callable[[Any], None]], told: Sequence[str]) -> None:
    """Run the checks; a refusal because of a key that the model brought along, as `told` says, repeats that."""
    try:
        for check in checks:
            check(config)
    except UserError as error:
        origins = [sentence for sentence in told if any(f"{key}=" in sentence and key in str(error) for key in ASKED)]
        raise UserError("; ".join([str(error), *origins])) from error


def _texts(verb: Verb) -> list[str]:
    return [key.path for key in walk(verb.schema) if key.kind is str]


def _checks(verb: Verb, launcher: str) -> list[Callable[[Any], None]]:
    """Return the checks of a config that the launcher runs on this machine, or on another one."""
    if launcher != RAY_JOBS:
        return [verb.check_required, verb.check, verb.check_here]
    if not verb.trains:
        raise UserError(f"{verb.name} does not run as a Ray job; leave hydra/launcher={RAY_JOBS} out")
    return [verb.check]


def _sweep(verb: Verb, options: argparse.Namespace, first: Any) -> int:
    """Run the members into one folder, whichever the sweeper and the launcher, and rank them."""
    folder = Path(first.output)
    named = {"output": str(folder)}
    if verb.trains:
        if not first.resume and (old := members_in(folder)):
            sentence = f"output={folder} holds the sweep of {old[0]}; give another folder, or resume=auto"
            return fault(verb.name, UserError(sentence), USAGE_FAULT)
        named["logging.group"] = first.logging.group or folder.name
    options.overrides = with_values(options.overrides, named)
    try:
        code = _run(verb, options)
    except SystemExit as error:
        # A member raised or was stopped; the others, if any, are still ranked.
        if not any(folder.glob("*/")):
            raise
        code = int(error.code or RUN_FAULT)
    if not verb.trains:
        return code
    from launch.command.sweep import finish_sweep

    try:
        return max(code, finish_sweep(folder, first.logging.rank_by))
    except UserError as error:
        return fault(verb.name, error, RUN_FAULT)


def _run(verb: Verb, options: argparse.Namespace) -> int:
    """Let Hydra run the jobs; return the worst of their exit codes."""
    codes = [0]

    def job(composed: DictConfig) -> float | None:
        code, value = _run_job(verb, composed, options)
        codes.append(code)
        if code in INTERRUPTED:
            # The rest of a sweep is not begun.
            raise SystemExit(code)
        return value

    flags = ["--multirun"] * options.multirun + (["--cfg", options.cfg] if options.cfg else [])
    run_jobs(str(CONF), verb.name, [*flags, *options.overrides, *options.hydra_arguments], job)
    return max(codes)


def _run_job(verb: Verb, composed: DictConfig, options: argparse.Namespace) -> tuple[int, float | None]:
    """Return the exit code and, for a member of a sweep, the number that ranks it."""
    hydra_config = HydraConfig.get()
    remember(composed, hydra_config.overrides.task, verb.schema, verb.unread, verb.stages)
    if hydra_config.mode is not RunMode.MULTIRUN:
        with invoked(_invocation(verb, options.typed)):
            return _run_main(verb, composed, composed.output)[0], None
    folder = Path(composed.output) / hydra_config.sweep.subdir
    flags = ["--config-dir", str(options.config_dir)] if options.config_dir else []
    with invoked(_invocation(verb, [*with_values(hydra_config.overrides.task, {"output": str(folder)}), *flags])):
        return _run_member(verb, composed, folder)


def _invocation(verb: Verb, typed: Sequence[str]) -> Invocation:
    """Return the invocation by the words `typed` after the verb."""
    hydra_config = HydraConfig.get()
    options = hydra_config.runtime.choices
    return Invocation(
        command=shlex.join(["assay", verb.name, *typed]),
        **{group: options.get(group) or "" for group in ("experiment", "algo", "reward")},
        overrides=telling(hydra_config.overrides.task),
    )


def _run_member(verb: Verb, composed: DictConfig, folder: Path) -> tuple[int, float | None]:
    """Run a member of a sweep into its folder."""
    if verb.trains:
        begin_member(folder, HydraConfig.get().overrides.task)
    code, sentence = _run_main(verb, composed, str(folder))
    if code == USAGE_FAULT:
        # The sweep has begun, so it is a run of its that failed.
        code = RUN_FAULT
    if not verb.trains:
        return code, None
    if code:
        fail_member(folder, sentence)
    return code, member_value(folder, composed.logging.rank_by)


def _run_main(verb: Verb, composed: DictConfig, output: str) -> tuple[int, str]:
    """Run the verb into the folder `output`; return the exit code and, if it is not 0, the reason."""
    # In a member of a sweep, ${output} means its own folder.
    composed.output = output
    try:
        code = verb.run(to_dataclass(composed, verb.schema))
        return code, f"exit code {code}"
    except Exception as error:  # noqa: BLE001 - each ends in a sentence, after the traceback if it is a bug
        told = RunFailure(sentence_of(error, output))
        # A run that has begun ends in a RunFailure, so a UserError is about what it was given.
        code = USAGE_FAULT if isinstance(error, UserError) else RUN_FAULT
        return fault(verb.name, told, code), str(told)


def fault(verb: str, error: Exception, code: int) -> int:
    """Print what went wrong; return the code."""
    print(f"assay {verb}: {error}", file=sys.stderr, flush=True)
    return code
