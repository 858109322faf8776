"""The numbers of one training step: every name explained once, with how its values become one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from statistics import fmean

from rl.roles import Metrics
from rl.types import Group, Score


class Reduction(Enum):
    """How a metric's values over a run become the one number that a summary shows."""

    mean = "mean"
    maximum = "max"
    last = "last"


@dataclass(frozen=True, kw_only=True)
class Meaning:
    text: str
    reduction: Reduction = Reduction.last


MEANINGS = {
    "reward/mean": Meaning(text="total reward, averaged over the completions that could be judged"),
    "reward/*/mean": Meaning(text="one reward component before its weight, averaged likewise"),
    "reward/zero_std_groups": Meaning(text="share of groups whose completions all earned the same: no learning signal"),
    "response/length/mean": Meaning(text="tokens of a completion"),
    "response/length/max": Meaning(text="tokens of the longest completion", reduction=Reduction.maximum),
    "response/length/clipped": Meaning(text="share of completions cut off at rollout.max_response_tokens"),
    "actor/loss": Meaning(text="policy loss that the optimizer minimised, KL term included"),
    "actor/kl": Meaning(text="estimated KL from the reference policy, per token"),
    "actor/entropy": Meaning(text="entropy of the policy's next-token distribution, in nats"),
    "actor/clip_ratio": Meaning(text="share of tokens whose probability ratio was clipped"),
    "actor/grad_norm": Meaning(text="norm of the gradient before clipping", reduction=Reduction.mean),
    "actor/lr": Meaning(text="learning rate of the last optimizer step"),
    "parity/logprob_abs_mean": Meaning(
        text="|engine log-prob - learner log-prob| of the same tokens, averaged", reduction=Reduction.mean
    ),
    "parity/logprob_abs_max": Meaning(text="the largest such difference", reduction=Reduction.maximum),
    "staleness/mean": Meaning(text="updates between the weights that sampled and those that learned, averaged"),
    "staleness/max": Meaning(text="the most such updates", reduction=Reduction.maximum),
    "perf/samples_per_s": Meaning(text="completions a second of the whole step", reduction=Reduction.mean),
    "perf/tokens_per_s": Meaning(text="completion tokens a second of the whole step", reduction=Reduction.mean),
    "perf/overhead": Meaning(
        text="share of the step that neither generates nor computes gradients; scoring goes on while others generate",
        reduction=Reduction.mean,
    ),
    "time/step": Meaning(text="seconds from one step's record to the next", reduction=Reduction.mean),
    "time/*": Meaning(text="seconds of the step spent in this stage", reduction=Reduction.mean),
    "fault/unjudged": Meaning(text="completions that no reward could judge", reduction=Reduction.maximum),
    "eval/*": Meaning(text="held-out samples answered greedily"),
}
"""Meaning by name; `*` stands for any text. W&B's summaries and the report take their words from here."""


def step_metrics(groups: Sequence[Group], report: Metrics, timings: Metrics) -> Metrics:
    """Everything one step is recorded with; the policy's report and the timings pass through under their names."""
    return {
        **_rewards([group.scores for group in groups]),
        **_responses(groups),
        **_speed(groups, timings["time/step"]),
        **_overhead(timings),
        **report,
        **timings,
    }


def staleness(step: int, groups: Sequence[Group]) -> Metrics:
    """Updates between the weights that sampled and those that step `step` changed; 0 when training is in step."""
    lags = [step - 1 - completion.policy_version for group in groups for completion in group.completions]
    return {"staleness/mean": fmean(lags), "staleness/max": float(max(lags))}


def component_means(scores: Sequence[Score]) -> Metrics:
    """Mean of each component over the scores that have it judged.

    >>> component_means([Score(total=1.0, components={"box": 0.5}), Score(total=None, components={"box": None})])
    {'box': 0.5}
    """
    judged: dict[str, list[float]] = {}
    for score in scores:
        for name, value in score.components.items():
            if value is not None:
                judged.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in judged.items()}


def _rewards(scores: Sequence[Sequence[Score]]) -> Metrics:
    every = [score for of_group in scores for score in of_group]
    totals = [score.total for score in every if score.total is not None]
    metrics = {"reward/mean": fmean(totals)} if totals else {}
    metrics |= {f"reward/{name}/mean": value for name, value in component_means(every).items()}
    metrics["reward/zero_std_groups"] = fmean(_all_equal(of_group) for of_group in scores)
    metrics["fault/unjudged"] = float(len(every) - len(totals))
    return metrics


def _overhead(timings: Metrics) -> Metrics:
    """The share of the step that neither generated nor computed gradients; scoring beyond generating counts to it."""
    busy = sum(timings.get(f"time/{name}", 0.0) for name in ("generate", "gradient"))
    return {"perf/overhead": 1 - busy / timings["time/step"]}


def _all_equal(scores: Sequence[Score]) -> bool:
    return len({score.total for score in scores if score.total is not None}) <= 1


def _responses(groups: Sequence[Group]) -> Metrics:
    completions = [completion for group in groups for completion in group.completions]
    lengths = [len(completion.token_ids) for completion in completions]
    return {
        "response/length/mean": fmean(lengths),
        "response/length/max": float(max(lengths)),
        "response/length/clipped": fmean(completion.finish_reason == "length" for completion in completions),
    }


def _speed(groups: Sequence[Group], step_s: float) -> Metrics:
    completions = [completion for group in groups for completion in group.completions]
    return {
        "perf/samples_per_s": len(completions) / step_s,
        "perf/tokens_per_s": sum(len(completion.token_ids) for completion in completions) / step_s,
    }


def meaning(name: str) -> Meaning | None:
    """What a logged name means; the first pattern that fits wins, None for a name that is not ours.

    >>> meaning("time/rollout").reduction.value
    'mean'
    """
    return next((explained for pattern, explained in MEANINGS.items() if fnmatchcase(name, pattern)), None)
