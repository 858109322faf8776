"""One life of a run: a process of `assay train`, put together as launch/train does it, in a simulated world."""

import io
import json
import os
import random
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from actors.peers import while_alive
from launch.run.archive import RunArchive
from launch.run.ending import End, Ending, recorded_end
from launch.run.folder import run_folder
from launch.run.members import SUMMARY
from launch.run.resume import find_start, finished, prepare, take_over
from launch.run.signals import stop_on_signals
from rl.brake import Stopped
from rl.checkpoints import step_folders
from rl.data.stream import SampleStream
from rl.epochs import EPOCHS, newest_epoch
from rl.faults import AssayError, RunFailure, named, one_line
from rl.loop import Exam, Roles, train
from rl.taught.teaching import teach
from sim.clock import Clock, Died
from sim.disk import Disk
from sim.invariants import DATA_HASH, Ledger, facts
from sim.learners import SimulatedPolicy, Writing
from sim.record import Run
from sim.straight import Straight
from sim.swarm import IN_CALLS, IN_FILES, Fault
from sim.trace import Trace
from sim.world import World

POWER = ("power", "power_in_file")


@dataclass(frozen=True, kw_only=True)
class Start:
    """The options of a command."""

    folder: Path
    resume: str
    """auto, or the folder of the run to branch off from."""
    num_steps: int

    @property
    def source(self) -> Path:
        """Return the run whose checkpoint it goes on from."""
        return self.folder if self.resume == "auto" else Path(self.resume)


class Life:
    """A process from its start to its end; `live` returns how it ended."""

    def __init__(self, number: int, typed: Start, straight: Straight, ledger: Ledger, trace: Trace, root: Path) -> None:
        plan, self.typed, self.straight, self.ledger, self.trace = straight.plan, typed, straight, ledger, trace
        self.plan = plan
        faults = plan.faults(number)
        rng = random.Random(f"world {plan.seed} {number}")
        self.clock = Clock(None if plan.in_order else rng)
        in_files = [fault for fault in faults if fault.kind in IN_FILES]
        loses_power = any(fault.kind in POWER for fault in faults)
        self.disk = Disk(root, in_files, rng, trace, may_lose=loses_power)
        self.disk.renaming, self.disk.renamed = ledger.renaming, ledger.renamed
        self.clock.is_dead = lambda: self.disk.is_dead
        in_calls = [fault for fault in faults if fault.kind in IN_CALLS]
        self.world = World(straight, typed.num_steps, self.clock, in_calls, rng, trace)
        self.policy = SimulatedPolicy(self.world, num_ranks=rng.choice((1, 2)))
        self.orphan: Writing | None = None
        """A checkpoint that the learners of an earlier life go on writing."""
        self.said = io.StringIO()
        self.first_step = 0
        self.run: Run | None = None
        self.is_archived = False
        """True once the archive is closed; a stop before the training opens none."""
        self.is_done = False
        """True once the run has come to its end, even if the machine loses its power then."""
        self.signals: list[float] = []
        """Times at which a signal came."""
        self.signal_name, self.exit_code = "", 0
        """Name and exit code of the last signal."""
        self._loses_power_late = any(fault.kind == "power" for fault in faults)
        for fault in faults:
            self._place(fault)
        title = f"life {number} in {typed.folder.name}, resume={typed.resume}, num_steps={typed.num_steps}"
        trace.begin_life(f"{title}, faults: {', '.join(map(_words, faults)) or 'none'}", self.clock.time)
        ledger.begin_life(typed.num_steps)

    def _place(self, fault: Fault) -> None:
        match fault.kind:
            case "crash" | "power":
                self.clock.at_turn(fault.at, lambda: self._die(fault))
            case "stop" | "stop_twice":
                self.clock.at_turn(fault.at, lambda: self._signal(fault))
                if fault.kind == "stop_twice":
                    self.clock.at_turn(fault.at + fault.span, lambda: self._signal(fault))
            case "death":
                self.clock.at_turn(fault.at, self.world.kill)
            case "rival":
                self.clock.at_turn(fault.at, lambda: self._lose_folder(fault))

    def _die(self, fault: Fault) -> None:
        self.trace.befall(fault.kind, "", f"callback {fault.at}")
        if fault.kind == "power":
            self.disk.lose_power()
        self.disk.die()

    def _lose_folder(self, fault: Fault) -> None:
        self.trace.befall(fault.kind, "another process has gone on with this run", f"callback {fault.at}")
        rival = self.typed.folder / EPOCHS / str(newest_epoch(self.typed.folder) + 1)
        # By another machine, on which no operation of this one counts.
        os.close(os.open(rival, os.O_CREAT | os.O_EXCL))

    def _signal(self, fault: Fault) -> None:
        number = signal.SIGINT if fault.at % 3 == 0 else signal.SIGTERM
        self.trace.befall(fault.kind, "", f"callback {self.clock.turns}")
        self.signals.append(self.clock.now)
        self.clock.send(number)
        self.world.stopped_at = self.signals[0]
        self.signal_name, self.exit_code = ("Ctrl-C", 130) if number == signal.SIGINT else ("SIGTERM", 143)

    def live(self) -> str:
        """Run the command; return done, finished, stopped, failed or died."""
        said = redirect_stdout(self.said), redirect_stderr(self.said)
        with said[0], said[1]:
            try:
                with self.clock.installed(), self.disk.installed():
                    how = self._command()
                    if self._loses_power_late and not self.trace.has_fired("power"):
                        self._die(Fault(kind="power", at=self.clock.turns))
            except Died:
                how = "died"
            except (AssayError, OSError) as error:
                how = "failed"
                self._check_failure(error)
            except BaseException as error:  # noqa: BLE001 - whatever comes is told with the seed
                how = "failed"
                self.trace.wrong(f"a bug: {named(error)}")
        self.clock.close()
        self._check_end(how)
        return how

    def _command(self) -> str:
        """Do as launch.train.begin.main."""
        config = self.plan.config(self.typed.folder, self.typed.num_steps, self.typed.resume)
        with run_folder(config.output) as folder:
            known = step_folders(folder)
            start = find_start(config, folder, print)
            self.ledger.check_start(self.typed.source, start)
            if finished(folder, start, config.num_steps) is not None:
                return "finished"
            epoch = take_over(folder)
            if step_folders(folder) != known:
                start = find_start(config, folder, print)
            prepare(folder, start, print)
            self.first_step = start.record.progress.step if start else 0
            self.ledger.check_prepared(folder, start, config.num_steps, epoch)
            self.run = Run(folder, config.logging, start, epoch, self)
            with recorded_end(self.run) as end:
                self.clock.run(self._start_and_train(self.run))
            self._check_recorded(end)
            return end.ending.name

    async def _start_and_train(self, run: Run) -> None:
        """Do as launch.train.run._start_team_and_train."""
        stop_on_signals(run.brake)
        if self.orphan:
            self.orphan.trouble(self.world)
        await run.brake.unless_pulled(while_alive(self.world.start(), [self.world.actor]))
        try:
            await while_alive(self._train(run), [self.world.actor])
        finally:
            await self.policy.end()

    async def _train(self, run: Run) -> None:
        """Do as launch.train.run._train."""
        plan, world, position = self.plan, self.world, 0
        if run.start:
            await self.policy.restore(run.start.folder, run.start.record.model)
            position = run.start.record.progress.position
        archive = RunArchive(
            run.place,
            plan.checkpoint,
            self.policy,
            run.tracker,
            facts={"epoch": run.epoch, "data_hash": DATA_HASH, "config": facts(plan.seed)},
            steps=range(self.first_step, self.typed.num_steps),
        )
        roles = Roles(
            sampler=world.sampler,
            judge=world.judge,
            policy=self.policy,
            reference=world.others if plan.has_reference else None,
            repairer=world.others if plan.contrastive else None,
            observer=world.others if plan.has_observer else None,
            lesson_maker=world.others if plan.teaches else None,
            tracker=run,
            archive=archive,
            brake=run.brake,
        )
        samples = [prompt.sample for prompt in self.straight.training.values()]
        stream = SampleStream(samples, plan.seed, position)
        exam = Exam(samples=[prompt.sample for prompt in self.straight.heldout.values()], every=plan.eval_every)
        loop = teach if plan.teaches else train
        await archive.open()
        try:
            await loop(plan.algo, roles, stream, exam, self.first_step, self.typed.num_steps)
        except Stopped:
            await archive.close()
            self.is_archived = True
            raise
        await archive.close()
        self.is_archived = True

    def _check_failure(self, error: Exception) -> None:
        """Check that a life that failed says why in a sentence, and how to go on."""
        sentence = one_line(error)
        self.trace.note(f"failed: {sentence}")
        if "a bug of Assay" in sentence or not any(words and words in sentence for _, words in self.trace.fired):
            self.trace.wrong(f"it failed with a sentence about none of the faults: {sentence}")
        if isinstance(error, RunFailure) and self.run is not None:
            self._check_advice(sentence, made_steps=self.run.last_step > self.first_step)
            if not self.trace.has_fired("full", "io"):
                self._check_summary("failed", sentence)

    def _check_advice(self, sentence: str, *, made_steps: bool) -> None:
        """Check the advice at the end of a sentence; a run that made no step may go without it."""
        newest, folder = self.ledger.newest(self.typed.folder), self.typed.folder
        if newest:
            advice = f"goes on from {folder}/checkpoints/step_{newest}"
        else:
            advice = "has no checkpoint yet" if made_steps else "nothing is lost"
        if not sentence.partition(advice)[1] and (made_steps or "the same command" in sentence):
            self.trace.wrong(f"the sentence does not say that it {advice}: {sentence}")

    def _check_summary(self, name: str, sentence: str) -> None:
        file = self.typed.folder / SUMMARY
        told = json.loads(file.read_text()) if file.exists() else {}
        if told.get(name) != sentence:
            self.trace.wrong(f"{SUMMARY} says {told}, not {name}: {sentence}")

    def _check_recorded(self, end: End) -> None:
        """Check a life that came to its end or was stopped."""
        run, folder = self.run, self.typed.folder
        assert run
        self.trace.note(end.sentence or "done")
        if self.ledger.surplus(folder) and self.is_archived:
            self.trace.wrong(f"checkpoints {sorted(self.ledger.surplus(folder))} were to be removed at the end")
        if end.ending is Ending.stopped:
            self._check_stopped(end, run)
            return
        self.is_done = True
        self.ledger.check_rows(folder, self.typed.num_steps, exactly=True)
        self.ledger.check_answers(folder, self.typed.num_steps, self.first_step)
        self.ledger.check_commits(self.first_step, self.typed.num_steps)
        steps = [evaluation.step for evaluation in run.tracker.evaluations]
        first = [group.completions[0].text for group in run.tracker.evaluations[0].groups]
        wanted = [group.completions[0].text for group in self.straight.examined(0)]
        if (steps != [0, self.typed.num_steps] or first != wanted) and not self.ledger.has_lost_power:
            self.trace.wrong(f"the report would compare the evaluations after {steps} steps, the first of {first}")

    def _check_stopped(self, end: End, run: Run) -> None:
        wanted = f"stopped by {self.signal_name} after step {run.last_step}", self.exit_code
        if (end.sentence, end.exit_code) != wanted:
            self.trace.wrong(f"it says {end.sentence}, exit code {end.exit_code}, not {wanted}")
        self._check_summary("stopped", end.sentence)
        newest = self.ledger.newest(self.typed.folder)
        if len(self.signals) == 1 and run.last_step > self.first_step and newest != run.last_step:
            self.trace.wrong(f"it was stopped after step {run.last_step}, but the newest checkpoint is step_{newest}")
        if len(self.signals) > 1 and self.clock.now > self.signals[1]:
            self.trace.wrong(f"it went on for {self.clock.now - self.signals[1]:g} s after the second signal")

    def _check_end(self, how: str) -> None:
        """Check what holds however a life ended."""
        self.trace.lines += [
            f"           says: {line}" for line in self.said.getvalue().splitlines() if "held-" not in line
        ]
        run = self.typed.folder
        self.ledger.told[run] |= {int(each.folder.name[5:]) for each in self.policy.writings if each.is_committed}
        self.ledger.told[run] &= self.ledger.whole[run]
        if self.trace.has_fired(*POWER):
            self.ledger.check_after_loss(run)
            return
        self.ledger.check_present(run)
        if how == "died":
            if not self.trace.fired:
                self.trace.wrong("it died of nothing")
        elif self.clock.left or self.world.num_open:
            self.trace.wrong(f"it left {', '.join(self.clock.left) or 'an open generator'} pending")
        if self.run:
            self.ledger.check_rows(run, self.typed.num_steps, exactly=False)


def _words(fault: Fault) -> str:
    return f"{fault.kind} at {fault.at}"
