"""The table of objectives: what a run of each one draws, compares and reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from rl.algorithm import AlgoConfig, Objective
from rl.preference_config import LossSpan


class Material(Enum):
    """Samples of a step, by who answers them."""

    prompts = "prompts"
    """Samples that the policy answers itself; rl/loop.py is the loop."""
    lessons = "lessons"
    """Samples with a right answer; rl/taught/teaching.py is the loop."""
    pairs = "pairs"
    """Samples with a better and a worse answer; the loop of lessons."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Demands of an objective on a run; its loss is in rl/loss.py, or in rl/taught/lesson_loss.py if it teaches."""

    draws: Material
    group_size: int | None
    """Answers behind one prompt; None for algo.num_completions."""
    needs_reference: Callable[[AlgoConfig], bool]
    """Return True if the loss reads log-probs of the frozen reference."""
    compares_prompts: bool = False
    """True if each prompt also gets the answers to another prompt, from which the loss takes a KL."""
    spans: tuple[LossSpan, ...] = (LossSpan.response,)
    """Values of algo.span that the loss can follow."""
    options: Callable[[AlgoConfig], str]
    """Return the options of the loss in the words of report.html."""

    @property
    def teaches(self) -> bool:
        """True if the answers are given, not sampled from the policy."""
        return self.draws is not Material.prompts


RECIPES: Mapping[Objective, Recipe] = {
    Objective.grpo: Recipe(
        draws=Material.prompts,
        group_size=None,
        needs_reference=lambda algo: algo.kl_weight > 0,
        options=lambda algo: f"KL weight {algo.kl_weight:g}",
    ),
    Objective.sft: Recipe(
        draws=Material.lessons,
        group_size=1,
        needs_reference=lambda algo: False,
        spans=tuple(LossSpan),
        options=lambda algo: f"loss of the {algo.span.value}",
    ),
    Objective.dpo: Recipe(
        draws=Material.pairs,
        group_size=2,
        needs_reference=lambda algo: True,
        spans=tuple(LossSpan),
        options=lambda algo: f"{algo.preference.loss.value} of the {algo.span.value}, β {algo.preference.beta:g}",
    ),
    Objective.kto: Recipe(
        draws=Material.pairs,
        # A pair, and the pair of another prompt.
        group_size=4,
        needs_reference=lambda algo: True,
        compares_prompts=True,
        options=lambda algo: f"β {algo.kto.beta:g}",
    ),
}
"""The recipe of every objective; launch, conf and actors read it and name no objective themselves."""
