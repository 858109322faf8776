"""Claims about the first hour: what looks around, the page, wrong input, and real photos from folder to answers."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.evidence import Claim, Outcome, by_tests, run

ASSAY = ".venv/bin/assay"
PYTEST = ".venv/bin/pytest -rP --timeout 1800 -m ''"
REPEATS = 5
LONGEST_COMPLETION_S = 0.5
FEWEST_WRONG_INPUTS = 60
FOLDER = Path("runs/evidence") / time.strftime("elpv_%Y-%m-%d_%H-%M-%S")
"""Folder of everything that the claims about real photos make, one after another."""
ASKED = "input={folder}/new reference={folder}/photos/cell/train/good/cell0004.png"


def answers_soon(command: str) -> Outcome:
    times = [run(command, timeout_s=60) for _ in range(REPEATS)]
    fault = next((done.fault for done in times if done.code), "")
    middle = median(done.seconds for done in times)
    figure = fault or f"{middle:.2f} s, the median of {REPEATS}"
    return Outcome(holds=not fault and middle < LONGEST_COMPLETION_S, figure=figure)


def ends_well(command: str) -> Outcome:
    """Check that the command succeeds; the figure is its last line."""
    done = run(command.format(folder=FOLDER), timeout_s=3600)
    return Outcome(holds=not done.code, figure=f"{done.fault or done.last_line} ({done.seconds:.0f} s)")


def trains(command: str) -> Outcome:
    """Report the accuracies as found; the claim holds if the training ends."""
    done = run(command.format(folder=FOLDER), timeout_s=3600)
    if done.code:
        return Outcome(holds=False, figure=done.fault)
    found = json.loads(done.last_line)
    before, after = found["heldout_before"], found["heldout_after"]
    figure = (
        f"held-out accuracy {before['accuracy']:.1%} → {after['accuracy']:.1%} on {after['samples']:.0f} photos, "
        f"reward {found['reward_first']:.2f} → {found['reward_last']:.2f} ({done.seconds:.0f} s)"
    )
    return Outcome(holds=True, figure=figure)


def answers(command: str) -> Outcome:
    """Report as found how many new photos are judged right; the claim holds if each gets an answer."""
    done = run(command.format(folder=FOLDER), timeout_s=1800)
    if done.code:
        return Outcome(holds=False, figure=done.fault)
    lines = _predictions("asked")
    verdicts = {"good": "normal", "defective": "defective"}
    right = sum(line["verdict"] == verdicts[line["id"].partition("/")[0]] for line in lines)
    read = sum(line["verdict"] is not None for line in lines)
    found = sum(line["verdict"] == "defective" for line in lines)
    figure = (
        f"{right} of {len(lines)} new photos right, of which half are defective; {found} called defective, "
        f"{len(lines) - read} unreadable ({done.seconds:.0f} s)"
    )
    return Outcome(holds=bool(lines) and not any(line["error"] for line in lines), figure=figure)


def same_answers(command: str) -> Outcome:
    done = run(command.format(folder=FOLDER), timeout_s=1800)
    if done.code:
        return Outcome(holds=False, figure=done.fault)
    before, after = _predictions("asked"), _predictions("asked_again")
    same = sum(one == other for one, other in zip(before, after, strict=True))
    figure = f"{same} of {len(before)} answers the same: verdict, probability, words and boxes ({done.seconds:.0f} s)"
    return Outcome(holds=same == len(before) > 0, figure=figure)


def refuses(command: str) -> Outcome:
    """Check the rows of the table: `| typed | message | seconds | exit code |`."""
    done = run(command, timeout_s=3600)
    rows = [line.split(" | ") for line in done.output.splitlines() if line.startswith("| `assay")]
    if done.code or not rows:
        return Outcome(holds=False, figure=done.fault or "no row")
    seconds = [float(row[-2]) for row in rows]
    surprises = [row[0].strip("| ") for row in rows if row[1].startswith("not as expected")]
    if surprises:
        return Outcome(holds=False, figure=f"not as expected: {', '.join(surprises)}")
    figure = f"{len(rows)} inputs, each with its sentence after {median(seconds):.1f} s, at most {max(seconds):.1f} s"
    return Outcome(holds=len(rows) >= FEWEST_WRONG_INPUTS, figure=figure)


def _predictions(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name / "predictions.jsonl").read_text().splitlines()]


def _claim(text: str, command: str, check: Callable[[str], Outcome]) -> Claim:
    return Claim(text=text, command=command, check=check)


CLAIMS = [
    _claim("`assay --version` answers in half a second", f"{ASSAY} --version", answers_soon),
    _claim(
        "A completion in the shell takes less than half a second",
        f"{ASSAY} completion --candidates train experiment=",
        answers_soon,
    ),
    _claim("`assay doctor` finds nothing at fault after `make setup`", f"{ASSAY} doctor", ends_well),
    _claim(
        "The commands of docs/first-hour.md train, export and ask a model on 200 photos, and print what the page shows",
        f"{PYTEST} tests/test_first_hour.py",
        by_tests,
    ),
    _claim(
        "Wrong input of 60 kinds gets a sentence that says what to do, before an actor starts",
        ".venv/bin/python -m benchmarks.wrong_inputs",
        refuses,
    ),
    _claim(
        "Real photos of solar cells (ELPV, extra `elpv`) become a folder that Assay reads",
        ".venv/bin/python -m benchmarks.elpv_photos {folder}",
        ends_well,
    ),
    _claim(
        "The starter trains on 400 of them by one command, accuracy as found",
        f"{ASSAY} train data.root={{folder}}/photos data.square=112 reward=yes_no num_steps=60 output={{folder}}/run "
        "logging.wandb=disabled",
        trains,
    ),
    _claim(
        "The run answers about 60 new ones without a key of data",
        f"{ASSAY} predict model={{folder}}/run {ASKED} output={{folder}}/asked",
        answers,
    ),
    _claim(
        "It is exported by one command", f"{ASSAY} export checkpoint={{folder}}/run output={{folder}}/model", ends_well
    ),
    _claim(
        "The exported model gives the same answers",
        f"{ASSAY} predict model={{folder}}/model {ASKED} output={{folder}}/asked_again",
        same_answers,
    ),
]
