"""The metrics of a training step, and the meaning and reduction of every metric by its name."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from itertools import combinations
from math import sqrt
from statistics import StatisticsError, correlation, fmean

from rl.contrast import lacks_contrast
from rl.roles import Metrics
from rl.types import DEFECTIVE, NORMAL, Group, Origin, Score

HELD_OUT = "eval/heldout"
"""Prefix of the metrics of the held-out samples."""
EDGE_STEPS = 10
"""Maximum number of steps at each end of a run whose rewards are compared."""
LEAST_PAIRS = 3
"""Minimum pairs of values for a correlation; two points always lie on a line."""


class Reduction(Enum):
    """The reduction of a metric's values over a run to the one number that a summary shows."""

    mean = "mean"
    maximum = "max"
    last = "last"


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """The explanation of a metric, and its reduction over a run."""

    text: str
    reduction: Reduction = Reduction.last


MEANINGS = {
    "reward/mean": Meaning(text="total reward, averaged over the completions that could be judged"),
    "reward/*/mean": Meaning(text="one reward component, unweighted, averaged over the completions it could judge"),
    "reward/*/std": Meaning(text="standard deviation of a component over the completions it could judge"),
    "reward/correlation/*": Meaning(
        text="correlation of two components over the step's completions; near 1, one of them is redundant"
    ),
    "reward/length_correlation": Meaning(text="correlation of a completion's length with its total reward"),
    "reward/unjudged": Meaning(text="share of completions that a reward could not judge", reduction=Reduction.mean),
    "reward/zero_std_groups": Meaning(text="share of groups whose completions all earned the same: no learning signal"),
    "contrastive/left": Meaning(text="share of groups whose completions all earn the same even after repair"),
    "contrastive/repaired_all_wrong": Meaning(text="share of groups to which the reference text gave contrast"),
    "contrastive/repaired_all_right": Meaning(text="share of groups to which a teacher's negatives gave contrast"),
    "contrastive/left_out": Meaning(text="share of the groups drawn that the batch leaves out"),
    "response/length/mean": Meaning(text="tokens of a completion, averaged"),
    "response/length/max": Meaning(text="tokens of the longest completion", reduction=Reduction.maximum),
    "response/well_formed": Meaning(text="share of the policy's completions in the form that is asked for"),
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
    "parity/logprob_abs_max": Meaning(
        text="largest |engine log-prob - learner log-prob| of a token", reduction=Reduction.maximum
    ),
    "attention/agreement_defective/mean": Meaning(
        text="J of answers to defective samples: the share of places that all of an answer's top tokens look at"
    ),
    "attention/agreement_normal/mean": Meaning(text="J of answers to normal samples, which should be low"),
    "attention/selected/mean": Meaning(
        text="share of tokens that count in the attention maps, since they are relevant and focused"
    ),
    "attention/lone/mean": Meaning(text="share of answers with a single top token, whose J is therefore 1"),
    "attention/entropy/mean": Meaning(text="scatter of a token's attention over the inspected image, in nats"),
    "preference/sft_loss/mean": Meaning(text="cross-entropy of the chosen answers, per token"),
    "preference/chosen_reward/mean": Meaning(text="implicit reward of the chosen answers, β log π/π_ref"),
    "preference/rejected_reward/mean": Meaning(text="implicit reward of the rejected answers, β log π/π_ref"),
    "preference/chosen_logprob/mean": Meaning(text="log-probability of a whole chosen answer"),
    "preference/rejected_logprob/mean": Meaning(text="log-probability of a whole rejected answer"),
    "preference/margin/mean": Meaning(text="implicit reward of the chosen answer minus that of the rejected one"),
    "preference/accuracy/mean": Meaning(text="share of pairs whose chosen answer has the higher implicit reward"),
    "preference/knowledge_margin/mean": Meaning(text="part of the margin that comes from the choice of knowledge"),
    "preference/knowledge_accuracy/mean": Meaning(text="share of pairs with a knowledge margin above 0"),
    "preference/reasoning_margin/mean": Meaning(text="part of the margin that comes from the reasoning"),
    "preference/reasoning_accuracy/mean": Meaning(text="share of pairs with a reasoning margin above 0"),
    "preference/kl/mean": Meaning(text="log π/π_ref of answers to other prompts; KTO measures its rewards from it"),
    "staleness/mean": Meaning(text="weight updates between sampling and training, averaged over completions"),
    "staleness/max": Meaning(text="most weight updates between sampling and training", reduction=Reduction.maximum),
    "perf/samples_per_s": Meaning(text="completions per second of the whole step", reduction=Reduction.mean),
    "perf/tokens_per_s": Meaning(text="completion tokens per second of the whole step", reduction=Reduction.mean),
    "perf/overhead": Meaning(
        text="share of the step spent neither generating nor computing gradients",
        reduction=Reduction.mean,
    ),
    "time/step": Meaning(text="seconds from one step's record to the next", reduction=Reduction.mean),
    "time/*": Meaning(text="seconds of the step spent in this stage", reduction=Reduction.mean),
    "fault/unjudged": Meaning(text="number of completions that could not be judged", reduction=Reduction.maximum),
    "warnings": Meaning(text="number of warnings so far"),
    f"{HELD_OUT}/accuracy": Meaning(text="share of right greedy answers to held-out samples"),
    f"{HELD_OUT}/balanced_accuracy": Meaning(text="mean of the accuracies on defective and on normal samples"),
    f"{HELD_OUT}/recall": Meaning(text="share of the defective held-out samples that are called defective"),
    f"{HELD_OUT}/precision": Meaning(text="share of the held-out samples called defective that are"),
    f"{HELD_OUT}/mean_iou": Meaning(text="overlap of the boxes with the true ones, over defective held-out samples"),
    f"{HELD_OUT}/iou50": Meaning(text="share of the defective held-out samples whose boxes have IoU ≥ 0.5"),
    f"{HELD_OUT}/format": Meaning(text="share of held-out answers in the form of their task"),
    f"{HELD_OUT}/reward": Meaning(text="mean reward of the greedy answers to held-out samples"),
    f"{HELD_OUT}/knowledge": Meaning(text="share of held-out answers that name the right piece of the knowledge"),
    f"{HELD_OUT}/samples": Meaning(text="number of held-out samples"),
    f"{HELD_OUT}/agreement_defective": Meaning(text="J of the greedy answers to defective held-out samples"),
    f"{HELD_OUT}/agreement_normal": Meaning(text="J of the greedy answers to normal held-out samples"),
    f"{HELD_OUT}/pixel_auroc": Meaning(text="AUROC of held-out attention maps as masks of the defective pixels"),
    f"{HELD_OUT}/pixel_aupr": Meaning(text="AUPR of held-out attention maps"),
    f"{HELD_OUT}/pixel_aupro": Meaning(text="AUPRO of held-out attention maps"),
    f"{HELD_OUT}/pixel_f1_max": Meaning(text="F1 of held-out attention maps at the best threshold"),
    f"{HELD_OUT}/pixel_accuracy": Meaning(text="share of right pixels of held-out attention maps"),
    f"{HELD_OUT}/pixel_auroc_all_tokens": Meaning(text="AUROC of the mean attention of all tokens"),
}
"""Meaning by metric name; `*` stands for any text. W&B's summaries and the report read this table."""
OF_COMPONENTS = ("reward/*/mean", "reward/*/std")
"""Names that hold a component of the reward."""


def step_metrics(groups: Sequence[Group], report: Metrics, timings: Metrics) -> Metrics:
    """Return all metrics of one step; those of the policy's report and the timings keep their names."""
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
        **_form(groups),
    }


def _form(groups: Sequence[Group]) -> Metrics:
    """Return the share of well-formed completions; those of another origin than the policy are so by construction."""
    answers = [answer for group in groups for answer in zip(group.completions, group.scores, strict=True)]
    in_form = [not score.malformed for completion, score in answers if completion.origin is Origin.policy]
    return {"response/well_formed": fmean(in_form)} if in_form else {}


def staleness(step: int, groups: Sequence[Group]) -> Metrics:
    """Return the metrics of the weight updates between sampling and step `step`; 0 if there is no lag."""
    completions = [completion for group in groups for completion in group.completions]
    own = [completion for completion in completions if completion.origin is Origin.policy]
    lags = [step - 1 - completion.policy_version for completion in own]
    return {"staleness/mean": fmean(lags), "staleness/max": float(max(lags))} if lags else {}


def reward_edges(rows: Sequence[Metrics]) -> tuple[list[float], list[float]]:
    """Return the mean rewards of the first and of the last steps: EDGE_STEPS of each, or half of a shorter run.

    A single step is a last one, with which no first one is compared.

    >>> reward_edges([{"reward/mean": reward} for reward in (0.1, 0.2, 0.3, 0.4, 0.5)])
    ([0.1, 0.2], [0.4, 0.5])
    """
    rewards = [row["reward/mean"] for row in rows if "reward/mean" in row]
    count = min(EDGE_STEPS, len(rewards) // 2)
    return rewards[:count], rewards[-max(1, count) :]


def component_means(scores: Sequence[Score]) -> Metrics:
    """Return the mean of each component over the scores in which it was judged.

    >>> component_means([Score(total=1.0, components={"box": 0.5}), Score(total=None, components={"box": None})])
    {'box': 0.5}
    """
    return {name: fmean(values) for name, values in _judged(scores).items()}


def component_names(rows: Sequence[Metrics]) -> list[str]:
    """Return the names of the components with a mean in any row, in the order of their first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name.split("/")[1] for name in names if fnmatchcase(name, "reward/*/mean")]


def component_correlations(scores: Sequence[Score]) -> Metrics:
    """Return the Pearson correlation of each pair of components over the scores that have both.

    A pair in which a component is constant, or with fewer than LEAST_PAIRS such scores, is left out.

    >>> earned = [(0, 1, 1), (1, 0, 1), (1, 0, 1)]
    >>> component_correlations([Score(total=1.0, components=dict(zip("abc", values))) for values in earned])
    {'a_b': -1.0}
    """
    names = dict.fromkeys(name for score in scores for name in score.components)
    correlations: Metrics = {}
    for first, second in combinations(names, 2):
        pairs = [(score.components.get(first), score.components.get(second)) for score in scores]
        value = _correlation([(x, y) for x, y in pairs if x is not None and y is not None])
        if value is not None:
            correlations[f"{first}_{second}"] = value
    return correlations


def _judged(scores: Sequence[Score]) -> dict[str, list[float]]:
    """Return the values of each component that was judged at least once, in the order of the scores' components."""
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
    """Return the Pearson correlation of the pairs; None if it is not defined."""
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
    """Return the share of the step spent neither generating nor computing gradients.

    Scoring counts as overhead only in so far as it goes on after generation has ended.
    """
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
    """Return the metrics of where the completions look; {} if the groups carry no looks."""
    looks = [look for group in groups for look in group.looks]
    agreement = {
        label: [look.agreement for group in groups if group.prompt.target.label == label for look in group.looks]
        for label in (DEFECTIVE, NORMAL)
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
    """Return the meaning of a metric by the first pattern that fits its name; None for a name that is not ours.

    >>> meaning("time/rollout").reduction.value
    'mean'
    """
    return next((explained for pattern, explained in MEANINGS.items() if fnmatchcase(name, pattern)), None)
