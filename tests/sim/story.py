"""The story of a seed: life after life until the run is done, and what is done to its files between two lives."""

import random
import shutil
from pathlib import Path

from launch.run.folder import METRICS, run_folder
from rl.checkpoints import FOLDER, RECORD
from rl.epochs import EPOCHS
from sim.invariants import Ledger
from sim.learners import Writing
from sim.lives import POWER, Life, Start
from sim.straight import Straight
from sim.swarm import Plan
from sim.trace import Trace

SPARE_LIVES = 3
"""Lives without faults within which a run must come to its end."""

ENDS = ("done", "finished")
"""Ends of a life after which the run has nothing left to do."""


class Story:
    """All lives of a run in folders below `root`."""

    def __init__(self, plan: Plan, root: Path) -> None:
        self.plan = plan
        self.trace = Trace()
        self.num_lives = 0
        self._root = root
        self._straight = Straight(plan)
        self._ledger = Ledger(self._straight, self.trace)
        self._rng = random.Random(f"between {plan.seed}")
        self._typed = Start(folder=root / "run", resume="auto", num_steps=plan.first_num_steps)
        self._orphan: Writing | None = None
        self._done: set[int] = set()
        """num_steps of the lives that came to their end."""
        self._is_over = False
        """True once the run is done: later lives have no faults."""

    def tell(self) -> Trace:
        """Let the run live until it is done; return the trace."""
        self._root.mkdir()
        if set(POWER) & set(self.plan.kinds):
            # Nobody makes the name of a run folder safe.
            self._typed.folder.mkdir()
        if self._rng.random() < 0.3:
            # As many processes have trained there as decide the order of numbers by their value and not their text.
            for epoch in range(1, 9):
                (self._typed.folder / EPOCHS).mkdir(parents=True, exist_ok=True)
                (self._typed.folder / EPOCHS / str(epoch)).touch()
        is_done = False
        while not is_done and not self.trace.wrongs:
            how = self._live()
            self._check_progress(how)
            is_done = how in ENDS and self._typed.num_steps == self.plan.num_steps
            if not is_done:
                self._between(how)
        if not self.trace.wrongs:
            self._after_the_end()
        return self.trace

    def _check_progress(self, how: str) -> None:
        """Check that a life without faults comes to its end, and that none says so of a run that has not."""
        if how == "finished" and self._typed.num_steps not in self._done:
            self.trace.wrong("it says that it is done, but no life came to its end")
        if self.num_lives > self.plan.num_faulty and how not in ENDS:
            self.trace.wrong(f"a life without faults {how}")
        if self.num_lives > self.plan.num_faulty + SPARE_LIVES:
            self.trace.wrong("the run comes to no end")

    def _live(self) -> str:
        life = self._new_life()
        life.orphan, self._orphan = self._orphan, None
        how = life.live()
        if life.is_done:
            self._done.add(self._typed.num_steps)
        unfinished = [each for each in life.policy.writings if not (each.done and each.done.done())]
        if "orphan" in self.plan.kinds and how in ("died", "failed") and unfinished and not life.ledger.has_lost_power:
            self.trace.befall("orphan", "", unfinished[0].folder.name)
            self._orphan = unfinished[0]
        return how

    def _new_life(self) -> Life:
        number = self.num_lives if not self._is_over else self.num_lives + self.plan.num_faulty
        self.num_lives += 1
        return Life(number, self._typed, self._straight, self._ledger, self.trace, self._root)

    def _between(self, how: str) -> None:
        """Do what may happen between two lives."""
        typed = self._typed
        if self._orphan:
            self._outlive(self._orphan)
        if self.num_lives <= self.plan.num_faulty:
            for kind in ("damage", "flip"):
                if kind in self.plan.kinds and len(self._ledger.whole[typed.folder]) > 1 and self._rng.random() < 0.7:
                    self._damage(kind)
        resume, folder, num_steps = "auto", typed.folder, typed.num_steps
        if how in ENDS:
            num_steps = self.plan.num_steps
        newest = self._ledger.newest(typed.folder)
        if self.num_lives == self.plan.branches_after + 1 and newest and newest < self.plan.num_steps:
            resume, folder = str(typed.folder), self._root / "branch"
            folder.mkdir()
            self._orphan = None
        self._typed = Start(folder=folder, resume=resume, num_steps=num_steps)

    def _outlive(self, orphan: Writing) -> None:
        """Let the learners of a dead driver write on for a while, maybe to the end, before another driver comes."""
        orphan.outlive(self._rng.choice((0, 1, 3, 10)))
        if orphan.is_committed:
            self._ledger.renamed(orphan.folder.with_name("unfinished"), orphan.folder)
            self._ledger.told[self._typed.folder].add(int(orphan.folder.name[5:]))
            self._orphan = None

    def _damage(self, kind: str) -> None:
        """Damage the newest whole checkpoint."""
        run = self._typed.folder
        step = self._ledger.newest(run)
        assert step
        self.trace.befall(kind, "", f"step_{step}")
        self._ledger.whole[run].discard(step)
        self._ledger.told[run].discard(step)
        self._ledger.damaged[run].add(step)
        damage(run / FOLDER / f"step_{step}", kind, self._rng)

    def _after_the_end(self) -> None:
        """Check that a run that is done does nothing more, and what is refused after it."""
        self._is_over = True
        run, num_steps = self._typed.folder, self.plan.num_steps
        before = _content(run)
        self._typed = Start(folder=run, resume="auto", num_steps=num_steps)
        if self._live() != "finished" or _content(run) != before:
            self.trace.wrong("a run that is done was not left as it is")
        if self._rng.random() < 0.4:
            self._refuse_commands(run, num_steps)
        if max(self._straight.unjudged) > 0:
            self._judge_strictly()
        if self._rng.random() < 0.3:
            self._ruin(run)

    def _refuse_commands(self, run: Path, num_steps: int) -> None:
        """Check what is refused in the folder of a run."""
        self._refused(Start(folder=run, resume="", num_steps=num_steps), "holds a run")
        if num_steps > 1:
            self._refused(Start(folder=run, resume="auto", num_steps=num_steps - 1), "past num_steps")
        first, last = min(self._ledger.whole[run]), max(self._ledger.whole[run])
        if first < last:
            named = run / FOLDER / f"step_{first}"
            self._refused(Start(folder=run, resume=str(named), num_steps=num_steps), "has later checkpoints")
        if run.name == "branch":
            origin = str(self._root / "run")
            self._refused(Start(folder=run, resume=origin, num_steps=num_steps), "holds another run")
        with run_folder(str(run)):
            self._refused(self._typed, "another process runs in it")

    def _judge_strictly(self) -> None:
        """Check that a run ends at the first step with more unjudged answers than it allows."""
        most, kept = max(self._straight.unjudged), self._typed
        self.plan.algo.max_unjudged = most - 0.01
        self._typed = Start(folder=self._root / "strict", resume="auto", num_steps=self.plan.num_steps)
        life = self._new_life()
        self.trace.befall("refusal", "could not be judged")
        how, steps = life.live(), life.world.weights.step
        wanted = next(step for step, share in enumerate(self._straight.unjudged) if share > most - 0.01)
        if (how, steps) != ("failed", wanted):
            self.trace.wrong(f"it {how} after {steps} steps, though answers of step {wanted} could not be judged")
        self.plan.algo.max_unjudged, self._typed = most, kept

    def _ruin(self, run: Path) -> None:
        """Damage what the run needs to go on."""
        if self._rng.random() < 0.5:
            for step in self._ledger.whole.pop(run):
                damage(run / FOLDER / f"step_{step}", self._rng.choice(("damage", "flip")), self._rng)
            self._refused(self._typed, "none of its checkpoints can be read")
            return
        content = (run / METRICS).read_bytes()
        place = self._rng.randrange(content.index(b"\n"))
        # Either what the checkpoint needs is cut off, or the first row is another one.
        digit = b"1" if content[place : place + 1] != b"1" else b"2"
        changed = content[:place] + digit * (self._rng.random() < 0.5) + content[place + 1 :]
        (run / METRICS).write_bytes(changed if len(changed) == len(content) else content[:place])
        self._refused(self._typed, METRICS)

    def _refused(self, typed: Start, words: str) -> None:
        """Check that a command is refused with these words and changes nothing."""
        self._typed, kept = typed, self._typed
        before = _content(typed.folder)
        life = self._new_life()
        self.trace.befall("refusal", words)
        if life.live() != "failed" or _content(typed.folder) != before:
            self.trace.wrong(f"a command that {words} was not refused, or did not leave the run as it is")
        self._typed = kept


def damage(folder: Path, kind: str, rng: random.Random) -> None:
    """Change, cut, empty or remove a file of a checkpoint; a flip keeps its length."""
    file = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    content = file.read_bytes()
    if kind == "flip":
        place = rng.randrange(len(content))
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        return
    act = rng.choice(("cut", "empty", "remove", "remove folder"))
    if act == "remove":
        file.unlink()
    elif act == "remove folder" and file.name != RECORD:
        shutil.rmtree(file.parent)
    else:
        file.write_bytes(content[: rng.randrange(len(content))] if act == "cut" else b"")


def _content(run: Path) -> dict[str, bytes]:
    """Return the files of a run folder, apart from its lock."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}
