"""The run without faults, in plain synchronous Python: what each step trains, and what the records must hold.

It shares with the code under test the functions that are pure and tested elsewhere: how a group is repaired, compared
and measured. What is called when, with what and in which order is written here anew.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rl.advantage import group_advantages
from rl.alarms import Watch
from rl.contrast import joined, plan_repair
from rl.evaluation.metrics import evaluation_metrics
from rl.metrics import step_metrics
from rl.recipe import RECIPES
from rl.types import Group, Origin, Prompt
from sim import nature
from sim.nature import Weights
from sim.swarm import Plan

KNOWN_WARNING = "there are few samples"
Row = dict[str, Any]


class Straight:
    """The course of a plan's run; index i of a list is about the run after i steps, or about its step i."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.training = {prompt.sample.id: prompt for prompt in nature.prompts("s", plan.num_samples)}
        self.heldout = {prompt.sample.id: prompt for prompt in nature.prompts("h", plan.num_heldout)}
        self.weights = [Weights()]
        self.positions = [0]
        """Samples taken from the stream."""
        self.trained: list[list[str]] = []
        """Ids of the samples that each step trains, in order."""
        self.unjudged: list[float] = []
        """Share of each step's answers that the judge cannot judge."""
        self._rows: list[Row] = []
        self._order: dict[int, list[str]] = {}
        self._whole: dict[int, list[Row]] = {}
        for _ in range(plan.num_steps):
            self._teach() if plan.teaches else self._train()

        # As many as this are allowed.
        plan.algo.max_unjudged = max(self.unjudged)

    def rows(self, num_steps: int) -> list[Row]:
        """Return the rows of metrics.jsonl of a run of so many steps, without times."""
        if num_steps not in self._whole:
            self._whole[num_steps] = self._with_warnings(
                row for step in range(num_steps + 1) for row in self._rows_around(step, num_steps)
            )
        return self._whole[num_steps]

    def rows_until(self, step: int, num_steps: int) -> list[Row]:
        """Return the rows up to that of a training step, with which its checkpoint goes on."""
        rows = self.rows(num_steps)
        places = [index for index, row in enumerate(rows) if row["step"] == step and "actor/loss" in row]
        return rows[: places[0] + 1] if step else []

    def exams(self, num_steps: int) -> list[int]:
        """Return the steps after which the held-out samples are answered."""
        every = self.plan.eval_every
        return [step for step in range(num_steps + 1) if step in (0, num_steps) or every and step % every == 0]

    def examined(self, step: int) -> list[Group]:
        """Return the scored greedy answers after a step."""
        weights = self.weights[step]
        return [self._scored(nature.answered(prompt, weights, step, 1), weights) for prompt in self.heldout.values()]

    def best(self, steps: Sequence[int], rows: Sequence[Row]) -> set[int]:
        """Return those of the steps whose checkpoints are among the best by these rows."""
        name = self.plan.checkpoint.best_metric
        scores = {row["step"]: row[name] for row in rows if row.get(name) is not None}
        ranked = sorted((scores[step], step) for step in steps if step in scores)
        count = self.plan.checkpoint.keep_best
        return {step for _, step in ranked[-count:]} if count else set()

    def _rows_around(self, step: int, num_steps: int) -> list[Row]:
        """Return the row of the training step that ends at `step`, and of the evaluation after it."""
        rows = [self._rows[step - 1]] if step else []
        if step in self.exams(num_steps):
            metrics = evaluation_metrics(self.examined(step))
            rows.append({"step": step} | {f"eval/heldout/{name}": value for name, value in metrics.items()})
        return rows

    def _with_warnings(self, rows: Any) -> list[Row]:
        watch, whole = Watch(nature.RANGES, [KNOWN_WARNING]), []
        for row in rows:
            watch.see(row)
            whole.append(_as_written(row | {"warnings": float(len(watch.warnings))}))
        return whole

    def _take(self, position: int, count: int) -> list[Prompt]:
        return [self.training[self._id_at(position + offset)] for offset in range(count)]

    def _id_at(self, position: int) -> str:
        epoch, offset = divmod(position, self.plan.num_samples)
        if epoch not in self._order:
            self._order[epoch] = list(self.training)
            random.Random(f"{self.plan.seed}/{epoch}").shuffle(self._order[epoch])
        return self._order[epoch][offset]

    def _scored(self, group: Group, weights: Weights) -> Group:
        if self.plan.has_observer:
            group = nature.observed(group, weights)
        return nature.judged(group, self.plan.leaves_unjudged)

    def _train(self) -> None:
        """Make a step of GRPO."""
        plan, weights, position = self.plan, self.weights[-1], self.positions[-1]
        sampled: list[Group] = []
        mended: list[Group] = []
        missing, rounds = plan.num_prompts, 1 + plan.max_refills
        while missing and rounds:
            fresh = [
                self._scored(nature.answered(prompt, weights, weights.step, plan.num_completions), weights)
                for prompt in self._take(position, missing)
            ]
            position, rounds = position + missing, rounds - 1
            sampled += fresh
            mended += [self._mended(group) for group in fresh]
            missing = plan.num_prompts - sum(1 for group in mended if not lacks_contrast(group))
        batch = self._without_surplus(mended)
        batch = group_advantages(batch, plan.algo, nature.REWARDS)
        self._end_step(sampled, batch, position, self._contrast(mended))

    def _mended(self, group: Group) -> Group:
        """Return the repaired form of a group without contrast, if it has any."""
        if not self.plan.contrastive:
            return group
        step = self.weights[-1].step
        repair = plan_repair(group, step=step, has_teacher=self.plan.has_teacher)
        newcomers = nature.written(repair, step) if repair else ()
        if repair is None or not newcomers:
            return group
        candidate = self._scored(joined(repair, newcomers), self.weights[-1])
        return group if lacks_contrast(candidate) else candidate

    def _without_surplus(self, groups: list[Group]) -> list[Group]:
        """Leave out the first groups without contrast, as long as there are more groups than the batch has."""
        kept = list(groups)
        for group in groups:
            if len(kept) > self.plan.num_prompts and lacks_contrast(group):
                kept = [other for other in kept if other is not group]
        return kept

    def _contrast(self, groups: list[Group]) -> Row:
        def share(holds: Callable[[Group], bool]) -> float:
            return sum(map(holds, groups)) / len(groups)

        def has(origin: Origin) -> Callable[[Group], bool]:
            return lambda group: origin in [answer.origin for answer in group.completions]

        row = {"contrastive/left": share(lacks_contrast)}
        if self.plan.contrastive:
            row["contrastive/repaired_all_wrong"] = share(has(Origin.reference_text))
            row["contrastive/repaired_all_right"] = share(has(Origin.teacher))
        if self.plan.max_refills:
            row["contrastive/left_out"] = (len(groups) - self.plan.num_prompts) / len(groups)
        return row if self.plan.contrastive or self.plan.max_refills else {}

    def _teach(self) -> None:
        """Make a step of SFT, DPO or KTO."""
        prompts = self._take(self.positions[-1], self.plan.num_prompts)
        groups = [nature.lesson(prompt, group_size(self.plan)) for prompt in prompts]
        taught = _with_answers_before(groups) if RECIPES[self.plan.objective].compares_prompts else groups
        self._end_step(groups, taught, self.positions[-1] + len(prompts), {})

    def _end_step(self, sampled: list[Group], batch: list[Group], position: int, contrast: Row) -> None:
        if self.plan.has_reference:
            batch = [nature.compared(group) for group in batch]
        weights = nature.learned(self.weights[-1], batch)
        metrics = step_metrics(sampled, nature.report(weights) | contrast, {"time/step": 1.0})
        self._rows.append({"step": weights.step} | metrics | _staleness(weights.step, sampled))
        totals = [score.total for group in sampled for score in group.scores]
        self.unjudged.append(totals.count(None) / max(1, len(totals)))
        self.trained.append([group.prompt.sample.id for group in batch])
        self.weights.append(weights)
        self.positions.append(position)


def lacks_contrast(group: Group) -> bool:
    totals = [score.total for score in group.scores if score.total is not None]
    return all(total == totals[0] for total in totals)


def _with_answers_before(groups: list[Group]) -> list[Group]:
    """Add to each group, as neither better nor worse, the answers of the group before it; all samples differ."""
    return [
        replace(
            group,
            completions=group.completions + groups[index - 1].completions,
            advantages=(*group.advantages, 0.0, 0.0),
        )
        for index, group in enumerate(groups)
    ]


def _staleness(step: int, groups: list[Group]) -> Row:
    """Return the number of updates between an answer of the policy and step `step`: mean and maximum."""
    answers = [answer for group in groups for answer in group.completions if answer.origin is Origin.policy]
    lags = [step - 1 - answer.policy_version for answer in answers]
    return {"staleness/mean": sum(lags) / len(lags), "staleness/max": float(max(lags))}


def group_size(plan: Plan) -> int:
    """Return the answers of a lesson."""
    return 2 if RECIPES[plan.objective].group_size != 1 else 1


def without_times(row: Row) -> Row:
    """Return the row without times, and without the digest of the rows so far, which holds them."""
    return {name: value for name, value in row.items() if not name.startswith(("time", "perf/", "chain"))}


def _as_written(row: Row) -> Row:
    """Return the row as metrics.jsonl holds it."""
    return {name: value if math.isfinite(value) else None for name, value in without_times(row).items()}
