"""The numbers of one training step: every name explained once, with how its values become one number."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from itertools import combinations
from math import sqrt
from statistics import StatisticsError, correlation, fmean

from rl.contrast import lacks_contrast
from rl.roles import Metrics
from rl.types import Group, Origin, Score

HELD_OUT = "eval/heldout"
"""Where the metrics of the held-out samples are."""
LEAST_PAIRS = 3
"""Two points always lie on a line, so fewer than these are correlated with nothing."""


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
    "reward/*/std": Meaning(text="standard deviation of a component over all completions of the step"),
    "reward/correlation/*": Meaning(
        text="correlation of two components over the step's completions: 1 is one too many"
    ),
    "reward/length_correlation": Meaning(text="correlation of a completion's tokens with its total: what length earns"),
    "reward/unjudged": Meaning(text="share of completions that a reward could not judge", reduction=Reduction.mean),
    "reward/zero_std_groups": Meaning(text="share of groups whose completions all earned the same: no learning signal"),
    "contrastive/left": Meaning(text="share of them in which all earn the same after others joined too"),
    "contrastive/repaired_all_wrong": Meaning(text="share of groups to which the reference text gave contrast"),
    "contrastive/repaired_all_right": Meaning(text="share of groups to which a teacher's negatives gave contrast"),
    "contrastive/left_out": Meaning(text="share of groups that further ones replaced in the batch"),
    "response/length/mean": Meaning(text="tokens of a completion"),
    "response/length/max": Meaning(text="tokens of the longest completion", reduction=Reduction.maximum),
    "response/length/clipped": Meaning(text="share of completions cut off at rollout.max_response_tokens"),
    "actor/loss": Meaning(text="loss that the optimizer minimised, KL term included"),
    "actor/kl": Meaning(text="estimated KL from the reference policy, per token"),
    "actor/entropy": Meaning(text="entropy of the policy's next-token distribution, in nats"),
    "actor/clip_ratio": Meaning(text="share of tokens whose probability ratio was clipped"),
    "actor/grad_norm": Meaning(text="norm of the gradient before clipping", reduction=Reduction.mean),
    "actor/lr": Meaning(text="learning rate of the last optimizer step"),
    "parity/logprob_abs_mean": Meaning(
        text="|engine log-prob - learner log-prob| of the same tokens, averaged", reduction=Reduction.mean
    ),
    "parity/logprob_abs_max": Meaning(text="the largest such difference", reduction=Reduction.maximum),
    "attention/agreement_defective/mean": Meaning(
        text="J of answers to defective samples: how far their most telling tokens look at the same places"
    ),
    "attention/agreement_normal/mean": Meaning(text="the same of answers to normal samples, which should not agree"),
    "attention/selected/mean": Meaning(text="share of a step's tokens that make up its maps: relevant and focused"),
    "attention/lone/mean": Meaning(text="share of answers with a single selected token, whose look agrees with itself"),
    "attention/entropy/mean": Meaning(text="how scattered over the inspected image a token looks, in nats"),
    "preference/sft_loss/mean": Meaning(text="cross-entropy of the chosen answers, per token"),
    "preference/chosen_reward/mean": Meaning(text="β log π/π_ref of the chosen answers: what the policy gives them"),
    "preference/rejected_reward/mean": Meaning(text="the same of the rejected answers"),
    "preference/chosen_logprob/mean": Meaning(text="log-probability of a whole chosen answer"),
    "preference/rejected_logprob/mean": Meaning(text="the same of a rejected answer"),
    "preference/margin/mean": Meaning(text="reward of the chosen answer minus that of the rejected one"),
    "preference/accuracy/mean": Meaning(text="share of pairs whose chosen answer has the higher reward"),
    "preference/knowledge_margin/mean": Meaning(text="the part of the margin that the choice of knowledge has"),
    "preference/knowledge_accuracy/mean": Meaning(text="share of pairs in which that part is above 0"),
    "preference/reasoning_margin/mean": Meaning(text="the part of the margin that the reasoning has"),
    "preference/reasoning_accuracy/mean": Meaning(text="share of pairs in which that part is above 0"),
    "preference/kl/mean": Meaning(text="log π/π_ref of answers to other prompts: KTO's rewards are measured from it"),
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
    "warnings": Meaning(text="what the run was warned of so far: cases in which the reward may mislead"),
    "eval/*/agreement_*": Meaning(text="J of the greedy answers to held-out samples of this label"),
    "eval/*/knowledge": Meaning(text="share of held-out answers that name the right piece of the knowledge offered"),
    "eval/*/pixel_*": Meaning(text="how well the held-out samples' attention maps mark their defective pixels"),
    "eval/*": Meaning(text="held-out samples answered greedily"),
}
"""Meaning by name; `*` stands for any text. W&B's summaries and the report take their words from here."""


def step_metrics(groups: Sequence[Group], report: Metrics, timings: Metrics) -> Metrics:
    """Everything one step is recorded with; the policy's report and the timings pass through under their names."""
    return {
        **(_earnings(groups) if any(group.scores for group in groups) else {}),
        **_responses(groups),
        **_attention(groups),
        **_speed(groups, timings["time/step"]),
        **_overhead(timings),
        **report,
        **timings,
    }


def _earnings(groups: Sequence[Group]) -> Metrics:
    return {
        **_rewards([score for group in groups for score in group.scores]),
        **_length_correlation(groups),
        "reward/zero_std_groups": fmean(map(lacks_contrast, groups)),
    }


def staleness(step: int, groups: Sequence[Group]) -> Metrics:
    """Updates between the weights that sampled and those that step `step` changed; 0 when training is in step."""
    completions = [completion for group in groups for completion in group.completions]
    lags = [step - 1 - each.policy_version for each in completions if each.origin is Origin.policy]
    return {"staleness/mean": fmean(lags), "staleness/max": float(max(lags))} if lags else {}


def component_means(scores: Sequence[Score]) -> Metrics:
    """Mean of each component over the scores that have it judged.

    >>> component_means([Score(total=1.0, components={"box": 0.5}), Score(total=None, components={"box": None})])
    {'box': 0.5}
    """
    return {name: fmean(values) for name, values in _judged(scores).items()}


def component_names(rows: Sequence[Metrics]) -> list[str]:
    """The components that some of the rows have, in their order."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name.split("/")[1] for name in names if fnmatchcase(name, "reward/*/mean")]


def component_correlations(scores: Sequence[Score]) -> Metrics:
    """Pearson correlation of each two components over the scores that have both; without those that are constant.

    >>> earned = [(0, 1, 1), (1, 0, 1), (1, 0, 1)]
    >>> component_correlations([Score(total=1.0, components=dict(zip("abc", values))) for values in earned])
    {'a_b': -1.0}
    """
    names = dict.fromkeys(name for score in scores for name in score.components)
    found: Metrics = {}
    for one, other in combinations(names, 2):
        pairs = [(score.components.get(one), score.components.get(other)) for score in scores]
        value = _correlation([(x, y) for x, y in pairs if x is not None and y is not None])
        if value is not None:
            found[f"{one}_{other}"] = value
    return found


def _judged(scores: Sequence[Score]) -> dict[str, list[float]]:
    """The values of each component that has any, in the order of the scores' components."""
    judged: dict[str, list[float]] = {name: [] for score in scores for name in score.components}
    for score in scores:
        for name, value in score.components.items():
            if value is not None:
                judged[name].append(value)
    return {name: values for name, values in judged.items() if values}


def _rewards(scores: Sequence[Score]) -> Metrics:
    totals = [score.total for score in scores if score.total is not None]
    metrics = {"reward/mean": fmean(totals)} if totals else {}
    metrics |= {f"reward/{name}/mean": value for name, value in component_means(scores).items()}
    metrics |= {f"reward/{name}/std": _spread(values) for name, values in _judged(scores).items()}
    metrics |= {f"reward/correlation/{pair}": value for pair, value in component_correlations(scores).items()}
    unjudged = len(scores) - len(totals)
    return metrics | {"reward/unjudged": unjudged / len(scores), "fault/unjudged": float(unjudged)}


def _length_correlation(groups: Sequence[Group]) -> Metrics:
    answers = [answer for group in groups for answer in zip(group.completions, group.scores, strict=True)]
    value = _correlation(
        [(len(completion.token_ids), score.total) for completion, score in answers if score.total is not None]
    )
    return {} if value is None else {"reward/length_correlation": value}


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """None where it is not defined."""
    if len(pairs) < LEAST_PAIRS:
        return None
    xs, ys = zip(*pairs, strict=True)
    try:
        return correlation(xs, ys)
    except StatisticsError:  # one side is constant
        return None


def _spread(values: Sequence[float]) -> float:
    mean = fmean(values)
    return sqrt(fmean((value - mean) ** 2 for value in values))


def _overhead(timings: Metrics) -> Metrics:
    """The share of the step that neither generated nor computed gradients; scoring beyond generating counts to it."""
    busy = sum(timings.get(f"time/{name}", 0.0) for name in ("generate", "gradient"))
    return {"perf/overhead": 1 - busy / timings["time/step"]}


def _responses(groups: Sequence[Group]) -> Metrics:
    completions = [completion for group in groups for completion in group.completions]
    lengths = [len(completion.token_ids) for completion in completions]
    return {
        "response/length/mean": fmean(lengths),
        "response/length/max": float(max(lengths)),
        "response/length/clipped": fmean(completion.finish_reason == "length" for completion in completions),
    }


def _attention(groups: Sequence[Group]) -> Metrics:
    """Where the completions look; nothing where nobody asked."""
    looks = [look for group in groups for look in group.looks]
    agreement = {
        label: [look.agreement for group in groups if group.prompt.target.label == label for look in group.looks]
        for label in ("defective", "normal")
    }
    means: dict[str, list[float]] = {
        **{f"agreement_{label}": values for label, values in agreement.items()},
        "selected": [weight > 0 for look in looks for weight in look.weights],
        "lone": [len(look.top) == 1 for look in looks],
        "entropy": [value for look in looks for value in look.entropy],
    }
    return {f"attention/{name}/mean": fmean(values) for name, values in means.items() if values}


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
