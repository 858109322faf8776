"""The console command: `assay <verb> …`, or `python -m launch <verb> …`."""

import sys
from collections.abc import Sequence

from launch.jobs.submit_help import SUMMARY
from launch.verbs import VERBS

SUBMIT = "submit"


def assay(argv: Sequence[str]) -> int:
    """Run the verb that argv names; return the exit code."""
    summaries = {name: verb.summary for name, verb in VERBS.items()} | {SUBMIT: SUMMARY}
    name, *rest = argv or ["--help"]
    if name in ("--help", "-h", "help"):
        print("usage: assay <verb> [key=value …]\n")
        print("\n".join(f"  {verb:<10}{summary}" for verb, summary in summaries.items()))
        print("\n`assay <verb> --help` lists the keys of a verb.")
        return 0
    # The list of verbs need not wait for Hydra.
    from launch.command.app import USAGE_FAULT, run_verb
    from launch.command.mistakes import meant

    if name not in summaries:
        hint = meant(name, summaries).rstrip() or f"there are {', '.join(summaries)}; see assay --help"
        print(f"assay: {name} is not a verb; {hint}", file=sys.stderr)
        return USAGE_FAULT
    if name == SUBMIT:
        from launch.jobs.submit import main as submit

        return submit(rest)
    from launch.chain.verb import TRAIN_OR_CHAIN
    from launch.jobs.ray_launcher import add_ray_jobs

    add_ray_jobs()
    return run_verb(TRAIN_OR_CHAIN if name == TRAIN_OR_CHAIN.name else VERBS[name], rest)


def main() -> int:
    """Entry point of the console script."""
    try:
        return assay(sys.argv[1:])
    except KeyboardInterrupt:
        print("assay: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
