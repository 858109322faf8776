"""The draws of a seed: a configuration, some kinds of faults that are switched on, and the faults of each life."""

import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from conf.schema import TrainConfig
from rl.algorithm import AlgoConfig, Objective
from rl.checkpoints import CheckpointConfig
from rl.evaluation.config import LoggingConfig, WandbMode
from rl.recipe import RECIPES

IN_TURNS = ("crash", "power", "stop", "stop_twice", "death", "rival")
"""At a callback: the process dies, the machine loses its power, a signal comes once or twice, an actor dies, a process
on another machine takes the run over. If no power loss came in time, there is one at the end of the life."""
IN_FILES = ("crash_in_file", "power_in_file", "torn", "full", "io")
"""At an operation of the disk: the process dies, or the machine loses its power, before it; the process dies within a
write; the disk is full for some operations; one operation fails."""
IN_CALLS = ("failure", "hang", "slow")
"""At a call of an actor: it raises, never answers, or answers late."""
BETWEEN = ("damage", "flip", "orphan")
"""Between two lives: the newest checkpoint is damaged, a bit of it changes, a dead driver's learners write on."""
WITHIN = (*IN_TURNS, *IN_FILES, *IN_CALLS)
KINDS = (*WITHIN, *BETWEEN)
"""Faults that the code withstands. A kind that it does not withstand yet is not among them; `--also` switches it on."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    kind: str
    at: int
    """Number of the callback, operation or call, from 1."""
    span: int = 0
    """Callbacks between two signals; operations for which the disk is full."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The configuration of a seed."""

    seed: int
    objective: Objective
    num_samples: int
    num_heldout: int
    num_prompts: int
    num_completions: int
    num_steps: int
    first_num_steps: int
    """num_steps of the first lives, until they reach it; the user raises it then."""
    max_refills: int
    contrastive: bool
    has_teacher: bool
    has_reference: bool
    has_observer: bool
    leaves_unjudged: bool
    """True if the judge cannot judge some answers."""
    eval_every: int
    checkpoint: CheckpointConfig
    in_order: bool
    """True if ready callbacks run in the order of real asyncio."""
    branches_after: int
    """Number of the life after which the run goes on in another folder; -1 for none."""
    saves_slowly: bool
    """True if the next steps are done before a checkpoint is written."""
    kinds: tuple[str, ...]
    """Kinds of faults that are switched on."""
    num_faulty: int
    """Lives with faults."""

    @property
    def teaches(self) -> bool:
        return RECIPES[self.objective].teaches

    @cached_property
    def algo(self) -> AlgoConfig:
        return AlgoConfig(
            objective=self.objective,
            num_prompts=self.num_prompts,
            num_completions=self.num_completions,
            max_refills=self.max_refills,
            contrastive=self.contrastive,
        )

    def config(self, folder: Path, num_steps: int, resume: str) -> TrainConfig:
        return TrainConfig(
            seed=self.seed,
            output=str(folder),
            resume=resume,
            num_steps=num_steps,
            eval_every=self.eval_every,
            algo=self.algo,
            checkpoint=self.checkpoint,
            logging=LoggingConfig(backends=[], wandb=WandbMode.disabled, samples_every=0),
        )

    def is_due(self, step: int, num_steps: int) -> bool:
        """Return True if a checkpoint is due after this step."""
        return step == num_steps or bool(self.checkpoint.every) and step % self.checkpoint.every == 0

    def faults(self, life: int) -> list[Fault]:
        """Draw the faults of a life; a later life has none."""
        rng = random.Random(f"faults {self.seed} {life}")
        if life >= self.num_faulty:
            return []
        within = [kind for kind in self.kinds if kind in WITHIN] or ["crash"]
        kinds = rng.choices(within, k=rng.choice((1, 1, 1, 2, 2, 3)))
        return [self._fault(kind, rng) for kind in kinds]

    def _fault(self, kind: str, rng: random.Random) -> Fault:
        """Place a fault anywhere in a run without faults; some come too late and do not happen."""
        exams = 2 + (self.num_steps // self.eval_every if self.eval_every else 0)
        steps, prompts = self.num_steps, self.num_prompts
        if kind in IN_CALLS:
            return Fault(kind=kind, at=rng.randint(1, 5 + steps * (2 * prompts + 3) + 2 * exams * self.num_heldout))
        if kind in IN_FILES:
            saved = 1 + (steps // self.checkpoint.every if self.checkpoint.every else 0)
            return Fault(
                kind=kind, at=rng.randint(1, 12 + steps + 20 * saved + 3 * exams), span=rng.choice((2, 4, 12, 10**6))
            )
        turns = 20 + steps * (24 + 10 * prompts * (not self.teaches)) + exams * (10 + 8 * self.num_heldout)
        return Fault(kind=kind, at=rng.randint(1, turns), span=rng.choice((1, 2, 5, 20)))


def plan_of(seed: int, also: tuple[str, ...] = ()) -> Plan:
    """Draw the plan of a seed; the kinds `also` are switched on in any case."""
    rng = random.Random(f"plan {seed}")
    objective = rng.choice((Objective.grpo,) * 4 + (Objective.sft, Objective.dpo, Objective.kto))
    num_steps = rng.choice((1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 8, 12))
    num_prompts = rng.choice((1, 2, 2, 3, 4))
    num_samples = rng.randint(3, 9)
    if RECIPES[objective].compares_prompts:
        # No step may hold one sample alone, as it would at the end of an epoch.
        num_prompts = rng.choice((2, 3))
        num_samples = num_prompts * rng.choice((1, 2, 3))
    samples_from_policy = objective is Objective.grpo
    return Plan(
        seed=seed,
        objective=objective,
        num_samples=num_samples,
        num_heldout=rng.randint(1, 3),
        num_prompts=num_prompts,
        num_completions=rng.choice((2, 2, 3)),
        num_steps=num_steps,
        first_num_steps=rng.randint(1, num_steps) if rng.random() < 0.2 else num_steps,
        max_refills=rng.choice((0, 0, 1, 2)) if samples_from_policy else 0,
        contrastive=samples_from_policy and rng.random() < 0.4,
        has_teacher=rng.random() < 0.5,
        has_reference=rng.random() < 0.4 or objective in (Objective.dpo, Objective.kto),
        has_observer=rng.random() < 0.3,
        leaves_unjudged=rng.random() < 0.3,
        eval_every=rng.choice((0, 1, 1, 2, 3)),
        checkpoint=CheckpointConfig(
            every=rng.choice((0, 1, 1, 1, 2, 3)),
            keep_last=rng.choice((1, 1, 2, 3)),
            keep_best=rng.choice((0, 1, 1, 2)),
            best_metric=rng.choice(("eval/heldout/accuracy", "eval/heldout/reward", "actor/loss", "actor/entropy")),
        ),
        in_order=rng.random() < 0.2,
        branches_after=rng.choice((0, 1)) if rng.random() < 0.15 else -1,
        saves_slowly=rng.random() < 0.4,
        kinds=(*also, *([kind for kind in KINDS if rng.random() < (0.6 if kind == "stop" else 0.4)] or ["stop"])),
        num_faulty=rng.choice((0, 1, 2, 3, 4, 5)),
    )
