"""The gate of the rewards: too many completions that could not be judged stop the run."""

from collections import Counter
from collections.abc import Sequence

from rl.faults import UserError
from rl.types import Group, Score


def check_unjudged(groups: Sequence[Group], share: float) -> None:
    """Raise a UserError if more than `share` of the completions have no total reward."""
    scored = [(group.prompt.sample.id, score) for group in groups for score in group.scores]
    unjudged = [(sample, score) for sample, score in scored if score.total is None]
    if len(unjudged) <= share * len(scored):
        return
    name = guilty([score for _, score in scored])
    sample, score = next((sample, score) for sample, score in unjudged if score.components[name] is None)
    reason = next((sentence for sentence in score.unjudged if name in sentence), "no reason was given")
    raise UserError(
        f"{len(unjudged)} of {len(scored)} completions of a step could not be judged, more than "
        f"algo.max_unjudged={share:g} of them; most lack reward {name}, e.g. in sample {sample} ({reason}): give the "
        f"samples what it judges by, give it weight 0 or raise algo.max_unjudged"
    )


def guilty(scores: Sequence[Score]) -> str:
    """Return the name of the component that most often leaves a score without a total.

    A component that is missing in a score with a total has weight 0 and is not to blame.
    """
    lacking: Counter[str] = Counter()
    for score in scores:
        if score.total is None:
            lacking.update(name for name, value in score.components.items() if value is None)
    whole = [score.components for score in scores if score.total is not None]
    needless = {name for components in whole for name, value in components.items() if value is None}
    needed = [name for name, _ in lacking.most_common() if name not in needless]
    return (needed or list(lacking))[0]
