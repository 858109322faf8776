"""Claims that nothing is lost and nothing is silently wrong."""

import json

from benchmarks.evidence import Claim, Outcome, by_tests, run

PYTEST = ".venv/bin/pytest -rP -m '' --timeout 900"


def found_nothing(command: str) -> Outcome:
    """Judge a command that tries many cases, prints its counts as its last line, and fails if one case did."""
    done = run(command, timeout_s=3600)
    if not done.last_line.startswith("{"):
        return Outcome(holds=False, figure=done.fault or done.last_line)
    counts = json.loads(done.last_line)
    return Outcome(holds=done.code == 0, figure=", ".join(f"{name} {value}" for name, value in counts.items()))


CLAIMS = [
    Claim(
        text="Every flipped bit of a small checkpoint, of metrics and of journals is seen or without effect",
        command=f"{PYTEST} tests/rl/test_checkpoints.py tests/launch/run/test_rows.py "
        "tests/rl/data/pairs/test_journal.py -k 'flipped or another_checkpoint or moved_lost'",
        check=by_tests,
    ),
    Claim(
        text="Whatever operation on a file fails, once or from there on, the fault names its file and the act goes on",
        command=f"{PYTEST} tests/launch/run/test_failing_disk.py tests/rl/test_power_loss.py -k 'fail'",
        check=by_tests,
    ),
    Claim(
        text="A power loss after any operation leaves the newest checkpoint that was told to be written, whole",
        command=f"{PYTEST} tests/rl/test_power_loss.py -k 'power_loss_at_any or loses_what'",
        check=by_tests,
    ),
    Claim(
        text="10,000 simulated runs, killed, stopped, starved and damaged at random, end as the straight run does",
        command=".venv/bin/python -m tests.sim --seeds 10000",
        check=found_nothing,
    ),
    Claim(
        text="Each planted bug in loop, teaching, archive, checkpoints, record and brake is found within 500 seeds",
        command=".venv/bin/python -m tests.sim.mutants",
        check=found_nothing,
    ),
    Claim(
        text="A million hostile answers break no reward",
        command=".venv/bin/python -m tests.fuzz.answers --count 1000000",
        check=found_nothing,
    ),
    Claim(
        text="100,000 hostile lines, annotations, knowledge files and images are read or refused in a sentence",
        command=".venv/bin/python -m tests.fuzz.files --count 100000",
        check=found_nothing,
    ),
    Claim(
        text="What reads a text takes time linear in it: 16,000 characters at most 5 × 4,000",
        command=f"{PYTEST} tests/fuzz/test_linearity.py",
        check=by_tests,
    ),
    Claim(
        text="A real run whose disk lies passes over what was damaged, and ends as a straight one",
        command=f"{PYTEST} tests/e2e/test_storage.py",
        check=by_tests,
    ),
    Claim(
        text="Ray's control service stopped or killed, disk full, output moved away: a sentence, and the run goes on",
        command=f"{PYTEST} tests/e2e/test_ends_of_runs.py",
        check=by_tests,
    ),
    Claim(
        text="A reward in an endless regular expression or one that exits: a sentence, and resume as if nothing was",
        command=f"{PYTEST} tests/e2e/test_reward_faults.py",
        check=by_tests,
    ),
    Claim(
        text="A teacher that says 429 for a minute is waited for, and the run is the same",
        command=f"{PYTEST} tests/e2e/test_busy_teacher.py",
        check=by_tests,
    ),
]
