"""Claims about clusters: jobs, nodes, faults and resuming."""

from benchmarks.evidence import Claim, by_tests

PYTEST = ".venv/bin/pytest -rP -m slow --timeout 900"
CLAIMS = [
    Claim(
        text="`assay submit` runs the demo on a Ray head to its end; a wrong override is one line; no secret kept",
        command=f"{PYTEST} tests/e2e/test_jobs.py -k 'submitted or override or secret'",
        check=by_tests,
    ),
    Claim(
        text="On three nodes each kind of actor has its own; a cluster too small is refused; a lost node is named",
        command=f"{PYTEST} tests/e2e/test_nodes.py",
        check=by_tests,
    ),
    Claim(
        text="A killed worker of each kind ends the run within 60 s with the sentence and no process left; it resumes",
        command=f"{PYTEST} tests/e2e/test_faults.py tests/e2e/test_going_on.py -k 'killed or hung'",
        check=by_tests,
    ),
    Claim(
        text="Ten steps straight equal a run that was stopped, lost a learner, was killed after seven steps and found "
        "its newest checkpoint truncated, bit for bit",
        command=f"{PYTEST} tests/e2e/test_going_on.py -k bit_for_bit",
        check=by_tests,
    ),
    Claim(
        text="A sweep of three side by side with one that fails: two results, one named failure, the ranking",
        command=f"{PYTEST} tests/e2e/test_jobs.py -k sweep",
        check=by_tests,
    ),
    Claim(
        text="An epoch's end, the last step and beyond, another model's checkpoint: right or a sentence",
        command=f"{PYTEST} -m '' tests/e2e/test_going_on.py tests/rl/data/test_stream.py "
        "tests/actors/test_learner_saving.py -k 'steps_says or past or goes_on_from_there or another_model'",
        check=by_tests,
    ),
    Claim(
        text="SIGTERM and Ctrl-C write a checkpoint and leave no process",
        command=f"{PYTEST} tests/e2e/test_going_on.py tests/e2e/test_chains.py -k 'sigterm or ctrl_c'",
        check=by_tests,
    ),
    Claim(
        text="A checkpoint of two ranks goes on bit for bit in two, and in one",
        command=f"{PYTEST} tests/actors/test_learner_saving.py -k 'bit_for_bit or goes_on_in_one'",
        check=by_tests,
    ),
]
