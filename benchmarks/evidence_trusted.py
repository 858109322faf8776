"""Claims that nothing is lost and nothing is silently wrong."""

import json

from benchmarks.evidence import Claim, Outcome, by_tests, run

PYTEST = ".venv/bin/pytest -rP -m '' --timeout 900"


def found_nothing(command: str) -> Outcome:
    """Judge a command that tries many cases and prints its counts as its last line."""
    done = run(command, timeout_s=3600)
    if not done.last_line.startswith("{"):
        return Outcome(holds=False, figure=done.fault or done.last_line)
    counts = json.loads(done.last_line)
    return Outcome(holds=done.code == 0, figure=", ".join(f"{name} {value}" for name, value in counts.items()))
