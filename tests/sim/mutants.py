"""Bugs that the simulation of a run must find: each is planted in a copy of the code, which is then simulated.

`python -m tests.sim.mutants` says by which seed each one is found; it fails if one is not.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "conf", "launch", "rewards", "rl", "rollout", "tests")
"""What the simulation imports."""
AT_A_TIME = 2
TIMEOUT_S = 1800.0
FAILING_SEED = re.compile(r"^seed (\d+):", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """A bug, as a replacement in one file."""

    name: str
    file: str
    old: str
    """Text that occurs once in the file."""
    new: str
    seen: str
    """What a user would see, and when."""


LOOP, TEACHING, BRAKE = "rl/loop.py", "rl/taught/teaching.py", "rl/brake.py"
CHECKPOINTS, EPOCHS = "rl/checkpoints.py", "rl/epochs.py"
ARCHIVE, RESUME, ROWS = "launch/run/archive.py", "launch/run/resume.py", "launch/run/rows.py"
TRACKING = "launch/run/tracking.py"

MUTANTS = (
    Mutant(
        "loop: versions count from 0 in each process",
        LOOP,
        "load(await roles.policy.publish(), version=start)",
        "load(await roles.policy.publish(), version=0)",
        "After a resume the answers of the first step carry version 0, and its row says staleness N.",
    ),
    Mutant(
        "loop: the last weights are not loaded",
        LOOP,
        "            await roles.sampler.load(await roles.policy.publish(), version=step + 1)\n",
        "            if step + 1 < num_steps:\n"
        "                await roles.sampler.load(await roles.policy.publish(), version=step + 1)\n",
        "The final evaluation of every run is that of the weights one step before.",
    ),
    Mutant(
        "loop: a stop counts the samples on their way",
        LOOP,
        "keep(done, now=True)",
        "keep(Progress(step=done.step, position=stream.position), now=True)",
        "A run that is stopped while it samples goes on behind those prompts: no step trains them.",
    ),
    Mutant(
        "loop: a step is done once it is drawn",
        LOOP,
        "            if roles.reference:\n",
        "            done = Progress(step=step + 1, position=stream.position)\n            if roles.reference:\n",
        "A run that is stopped while its reference works writes a checkpoint of a step that was not trained.",
    ),
    Mutant(
        "loop: a resumed run takes the due evaluation for made",
        LOOP,
        "if exam.is_due(step):",
        "if exam.is_due(step) and (step == 0 or step > start):",
        "A run that goes on from a step with an evaluation has no row of it: the checkpoint was taken before it.",
    ),
    Mutant(
        "loop: no final evaluation without a step",
        LOOP,
        "        await roles.brake.unless_pulled(evaluate(roles, exam.samples, num_steps))\n",
        "        if start < num_steps:\n"
        "            await roles.brake.unless_pulled(evaluate(roles, exam.samples, num_steps))\n",
        "A run that was killed in its final evaluation is resumed, ends well and never has that evaluation.",
    ),
    Mutant(
        "loop: the position is computed from the step",
        LOOP,
        "done = Progress(step=step + 1, position=stream.position)",
        "done = Progress(step=step + 1, position=(step + 1) * config.num_prompts)",
        "With algo.max_refills a resumed run draws again the prompts that replaced others before the checkpoint.",
    ),
    Mutant(
        "loop: groups in the order in which they finish",
        LOOP,
        "[await scores[index] for index in range(len(samples))]",
        "[await score for score in scores.values()]",
        "The order of a batch depends on which engine is slow, so two runs of one seed differ.",
    ),
    Mutant(
        "loop: only a failure drops the scores",
        LOOP,
        "    finally:\n        await dropped(scores.values())\n",
        "    except Exception:\n        await dropped(scores.values())\n        raise\n",
        "After a stop the rewards of the dropped step go on working: a cancellation is no Exception.",
    ),
    Mutant(
        "loop: a stop drops the update",
        LOOP,
        "await roles.policy.update(groups)",
        "await roles.brake.unless_pulled(roles.policy.update(groups))",
        "A stop during an update, which the learners finish, writes their new weights as the step before.",
    ),
    Mutant(
        "loop: the checkpoint comes before the row",
        LOOP,
        "            roles.tracker.log(step + 1, drawn.sampled, report | drawn.metrics(config))\n"
        "            done = Progress(step=step + 1, position=stream.position)\n"
        "            await roles.archive.keep(done)\n",
        "            done = Progress(step=step + 1, position=stream.position)\n"
        "            await roles.archive.keep(done)\n"
        "            roles.tracker.log(step + 1, drawn.sampled, report | drawn.metrics(config))\n",
        "A resumed run lacks the row of the step that it goes on from.",
    ),
    Mutant(
        "loop: a failure writes a checkpoint as a stop does",
        LOOP,
        "    except Stopped:\n",
        "    except Exception:\n",
        "After a failure between update and row the new weights are written as the step before, then trained again.",
    ),
    Mutant(
        "loop: the final evaluation knows no brake",
        LOOP,
        "await roles.brake.unless_pulled(evaluate(roles, exam.samples, num_steps))",
        "await evaluate(roles, exam.samples, num_steps)",
        "A run that is stopped in its final evaluation does not stop.",
    ),
    Mutant(
        "teaching: the position counts the lessons read ahead",
        TEACHING,
        "            position = stream.position\n"
        "            coming = stream.take(config.num_prompts) if step + 1 < num_steps else []\n",
        "            coming = stream.take(config.num_prompts) if step + 1 < num_steps else []\n"
        "            position = stream.position\n",
        "Each resume of a taught run leaves out a batch.",
    ),
    Mutant(
        "teaching: no look at the brake between steps",
        TEACHING,
        "            roles.brake.check()\n",
        "",
        "A stop of SFT, which has no reference, waits for the next evaluation.",
    ),
    Mutant(
        "teaching: an evaluation at each start",
        TEACHING,
        "            if exam.is_due(step):\n",
        "            if step == start or exam.is_due(step):\n",
        "A taught run that goes on from a step without an evaluation has a row more than an uninterrupted one.",
    ),
    Mutant(
        "teaching: the last evaluation is of old weights if due",
        TEACHING,
        "is_published=start == num_steps",
        "is_published=exam.is_due(num_steps)",
        "If eval_every divides num_steps, the final evaluation is of the weights of the evaluation before.",
    ),
    Mutant(
        "archive: the interval counts from the last checkpoint",
        ARCHIVE,
        "self._config.every > 0 and step % self._config.every == 0",
        "self._config.every > 0 and step - self._kept >= self._config.every",
        "After a stop checkpoints are due at other steps, which have no evaluation: none of them is ever the best.",
    ),
    Mutant(
        "archive: the end removes before the last is written",
        ARCHIVE,
        "        await self._saver.finish_saving()\n        self._place.check()\n        self._prune()\n",
        "        self._prune()\n        await self._saver.finish_saving()\n        self._place.check()\n",
        "A run ends with a checkpoint more than it should keep.",
    ),
    Mutant(
        "checkpoints: in the order of their names",
        CHECKPOINTS,
        "return sorted(found, key=step_of)",
        "return sorted(found)",
        "step_10 counts as older than step_9: it is removed first, and a resume goes on from step_9.",
    ),
    Mutant(
        "checkpoints: named before the epoch is checked",
        CHECKPOINTS,
        "    check_epoch(folder.parent.parent, record.epoch)\n"
        "    if folder.exists():\n"
        "        # A damaged checkpoint; the run has resumed from an earlier one.\n"
        "        remove(folder)\n"
        "    written.rename(folder)\n",
        "    if folder.exists():\n"
        "        # A damaged checkpoint; the run has resumed from an earlier one.\n"
        "        remove(folder)\n"
        "    written.rename(folder)\n"
        "    check_epoch(folder.parent.parent, record.epoch)\n",
        "Learners that outlive their driver put a checkpoint into the folder of the run that went on.",
    ),
    Mutant(
        "checkpoints: all epochs write in one place",
        CHECKPOINTS,
        'f".{folder.name}.epoch_{epoch}.unfinished"',
        'f".{folder.name}.unfinished"',
        "Learners that outlive their driver write into the checkpoint that its successor is writing: a mixture.",
    ),
    Mutant(
        "checkpoints: a step can be set aside once",
        CHECKPOINTS,
        "    if aside.exists():\n        remove(aside)\n",
        "",
        "If the checkpoint of a step is damaged again after a resume, the run cannot start: Directory not empty.",
    ),
    Mutant(
        "epochs: compared as text",
        EPOCHS,
        'max((int(path.name) for path in (run / EPOCHS).glob("*") if path.name.isdecimal()), default=0)',
        'int(max((path.name for path in (run / EPOCHS).glob("*") if path.name.isdecimal()), default="0"))',
        "From the tenth process on, what is left of the ninth or a later one may write checkpoints beside the newest.",
    ),
    Mutant(
        "resume: only sizes are compared",
        RESUME,
        "def _newest(run: Path, say: Callable[[str], None], read: Reading = read_intact)",
        "def _newest(run: Path, say: Callable[[str], None], read: Reading = read_checkpoint)",
        "resume=auto goes on from a checkpoint with flipped bytes.",
    ),
    Mutant(
        "resume: a run that starts anew keeps the rows",
        RESUME,
        "file.truncate(start.record.metrics_bytes if start else 0)",
        "file.truncate(start.record.metrics_bytes if start else None)",
        "A run that was killed before its first checkpoint starts anew behind the rows of the first try.",
    ),
    Mutant(
        "resume: a run at its last step is refused",
        RESUME,
        "start.record.progress.step > config.num_steps",
        "start.record.progress.step >= config.num_steps",
        "A run that was killed in its final evaluation cannot be resumed: it is said to be past num_steps.",
    ),
    Mutant(
        "resume: one damaged checkpoint is set aside",
        RESUME,
        "for later in step_folders(folder):",
        "for later in step_folders(folder)[-1:]:",
        "Of two damaged checkpoints the older stays, counts among the newest, and the whole one is removed for it.",
    ),
    Mutant(
        "rows: the chain begins anew in each process",
        ROWS,
        "self.chain = before.chain",
        'self.chain = ""',
        "The second resume of a run is refused: the digests of its rows differ.",
    ),
    Mutant(
        "tracking: a checkpoint keeps all rows so far",
        TRACKING,
        "        return self._written\n",
        "        return Written(num_bytes=self._file.num_bytes, chain=self._file.chain)\n",
        "A run that is stopped after an evaluation has that evaluation's row twice once it is resumed.",
    ),
    Mutant(
        "tracking: a resumed run forgets its warnings",
        TRACKING,
        "        for row in self.rows:\n            self._watch.see(row)\n",
        "",
        "After a resume the rows count fewer warnings than those of an uninterrupted run, and old ones come again.",
    ),
    Mutant(
        "brake: what is dropped goes on",
        BRAKE,
        "await dropped([task, pulled])",
        "pulled.cancel()",
        "After a stop the engines go on with the step that was dropped while the last checkpoint is written.",
    ),
    Mutant(
        "brake: nobody waits for what is dropped",
        BRAKE,
        "await asyncio.gather(*tasks, return_exceptions=True)",
        "await asyncio.sleep(0)",
        "After a stop the dropped work is still winding up when the run ends, and asyncio logs lost exceptions.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of simulating one mutant."""

    mutant: Mutant
    seed: int | None
    """Seed that found it; None if none did."""
    error: str
    """Why the simulation did not end; "" if it did."""
    seconds: float

    def __str__(self) -> str:
        result = self.error or ("survived" if self.seed is None else f"seed {self.seed}")
        return f"{self.mutant.name:<58} {result:<10} {self.seconds:6.1f} s"


def mutated(mutant: Mutant) -> str:
    """Return the text of the mutant's file with the bug in it."""
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"mutant '{mutant.name}': its text occurs {text.count(mutant.old)} times in {mutant.file}")
    return text.replace(mutant.old, mutant.new)


def outcomes(mutants: Sequence[Mutant], num_seeds: int) -> Iterator[Outcome]:
    """Simulate each mutant, some at a time; yield the outcomes in the order of the mutants."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        yield from threads.map(lambda mutant: _tried(mutant, num_seeds), mutants)


def _tried(mutant: Mutant, num_seeds: int) -> Outcome:
    begun = time.perf_counter()
    seed, error = _simulated(mutant, num_seeds)
    return Outcome(mutant=mutant, seed=seed, error=error, seconds=time.perf_counter() - begun)


def _simulated(mutant: Mutant | None, num_seeds: int) -> tuple[int | None, str]:
    """Simulate a copy of the code, with the mutant if there is one; return the seed that failed and an error."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, copy / package)
        if mutant:
            (copy / mutant.file).write_text(mutated(mutant), encoding="utf-8")
        command = [sys.executable, "-m", "tests.sim", "--seeds", str(num_seeds), "--stop-at-first"]
        paths = os.pathsep.join([folder, str(copy / "tests")])
        try:
            done = subprocess.run(
                command,
                cwd=copy,
                env=os.environ | {"PYTHONPATH": paths},
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return None, f"error: no end after {TIMEOUT_S:g} s"
    # Python ends with 1 too if the simulation cannot be imported.
    failing = FAILING_SEED.search(done.stdout)
    if done.returncode == 1 and failing:
        return int(failing[1]), ""
    if done.returncode == 0:
        return None, ""
    return None, f"error: exit code {done.returncode}, {(done.stderr or done.stdout).strip()[-300:]}"


def main(num_seeds: int) -> int:
    """Print an outcome a line and a summary; return 1 if a mutant was not found."""
    begun = time.perf_counter()
    seed, error = _simulated(None, num_seeds)
    if error or seed is not None:
        print(f"without any mutant: {error or f'seed {seed}'}; nothing can be said of mutants")
        return 1
    tried = []
    for outcome in outcomes(MUTANTS, num_seeds):
        print(outcome, flush=True)
        tried.append(outcome)
    errors = [outcome.mutant.name for outcome in tried if outcome.error]
    survivors = [outcome.mutant.name for outcome in tried if outcome.seed is None and not outcome.error]
    told = {"mutants": len(tried), "found": len(tried) - len(survivors) - len(errors), "survivors": survivors}
    print(json.dumps(told | {"errors": errors, "seconds": round(time.perf_counter() - begun, 1)}))
    return int(bool(survivors or errors))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500)
    sys.exit(main(parser.parse_args().seeds))
