"""The console command: `assay <verb> …`, or `python -m launch <verb> …`."""

import os
import platform
import re
import select
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from actors.leaving import is_leaving
from launch.jobs.submit_help import HELP, SUMMARY
from launch.verbs import VERBS


@dataclass(frozen=True, kw_only=True)
class Command:
    """Word after `assay` that has no config."""

    summary: str
    """Line in the list of verbs."""
    run: Callable[[Sequence[str]], int]
    """Takes what stands after the word, returns the exit code."""


# A command's module is imported when it runs, as a verb's is.
def _submit(argv: Sequence[str]) -> int:
    from launch.jobs.submit import main

    return main(argv)


def _doctor(argv: Sequence[str]) -> int:
    from launch.doctor.run import main

    return main(argv)


def _completion(argv: Sequence[str]) -> int:
    from launch.command.completion import Words, main

    submitted = {"submit": VERBS["train"]}
    flags = re.findall(r"^  (--[\w-]+)", HELP, flags=re.MULTILINE)
    return main(argv, Words(names=list(SUMMARIES), verbs={**VERBS, **submitted}, flags={"submit": flags}))


COMMANDS: Mapping[str, Command] = {
    "submit": Command(summary=SUMMARY, run=_submit),
    "doctor": Command(summary="Check what runs need: Python, torch, GPU, vLLM, Ray, disks, W&B.", run=_doctor),
    "completion": Command(
        summary="Print the script that completes verbs, keys and options in bash, zsh or fish.", run=_completion
    ),
}
SUMMARIES = {name: verb.summary for name, verb in VERBS.items()} | {
    name: command.summary for name, command in COMMANDS.items()
}


def assay(argv: Sequence[str]) -> int:
    """Run the verb or command that argv names; return the exit code."""
    name, *rest = argv or ["--help"]
    if name in ("--help", "-h", "help"):
        print("usage: assay <verb> [key=value …]\n")
        print("\n".join(f"  {verb:<12}{summary}" for verb, summary in SUMMARIES.items()))
        print("\n`assay <verb> --help` lists the keys of a verb, `assay --version` says which Assay this is.")
        return 0
    if name == "--version":
        print(_version())
        return 0
    if name in COMMANDS:
        return COMMANDS[name].run(rest)
    return _run_verb(name, rest)


def _run_verb(name: str, rest: Sequence[str]) -> int:
    # The list of verbs need not wait for Hydra.
    from launch.command.app import USAGE_FAULT, run_verb
    from launch.command.mistakes import meant

    if name not in VERBS:
        hint = meant(name, SUMMARIES) or f"there are {', '.join(SUMMARIES)}; see assay --help"
        print(f"assay: {name} is not a verb; {hint}", file=sys.stderr)
        return USAGE_FAULT
    from launch.chain.verb import TRAIN_OR_CHAIN
    from launch.jobs.ray_launcher import add_ray_jobs

    add_ray_jobs()
    return run_verb(TRAIN_OR_CHAIN if name == TRAIN_OR_CHAIN.name else VERBS[name], rest)


def _version() -> str:
    try:
        installed = version("assay")
    except PackageNotFoundError:
        installed = "(not installed)"
    return f"assay {installed} from {Path(__file__).parents[1]}, Python {platform.python_version()}"


def main() -> int:
    """Entry point of the console script; a Ray that hangs does not hold its process, however the command ended."""
    code = _told(sys.argv[1:])
    if is_leaving():
        # Python's own end would wait for Ray. A pipe that nobody reads is no reason to stay.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    return code


def _told(argv: Sequence[str]) -> int:
    """Run the command, say what ended it early; return the exit code."""
    try:
        code = assay(argv)
        sys.stdout.flush()
        return code
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:
        print("assay: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - told as Python tells it
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            # As in `assay train --help | head`; Python's own flush at the end would complain again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        traceback.print_exc()
        return 1


def _reader_is_gone() -> bool:
    """Return True if stdout is a pipe that nobody reads any more."""
    stdout = select.poll()
    stdout.register(sys.stdout, 0)
    return any(event & select.POLLERR for _, event in stdout.poll(0))


if __name__ == "__main__":
    raise SystemExit(main())
