"""Groups with given tokens, for the tests of batching, losses and the learner."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl.types import Completion, Group, Pixels, Prompt, Sample, Score, Target


def bare_prompt(
    token_ids: Sequence[int],
    grid: tuple[tuple[int, int, int], ...] = (),
    image_spans: tuple[tuple[int, int], ...] = (),
    sample_id: str = "steel/test/000",
) -> Prompt:
    """Make a prompt of given tokens with blank images."""
    patches = sum(t * height * width for t, height, width in grid)
    target = Target(label="normal")
    return Prompt(
        sample=Sample(id=sample_id, images=(Path("0.png"),) * len(grid), question="?", target=target, category="steel"),
        token_ids=tuple(token_ids),
        pixels=Pixels(model_type="qwen2_5_vl", values=np.zeros((patches, 6), np.float32), grid=grid) if grid else None,
        image_spans=image_spans,
        image_size=(28, 28) if grid else (0, 0),
        target=target,
    )


def token_group(
    prompt: Prompt,
    answers: Sequence[Sequence[int]],
    *,
    logprobs: Sequence[Sequence[float]] = (),
    totals: Sequence[float | None] = (),
    advantages: Sequence[float] = (),
    reference_logprobs: Sequence[Sequence[float]] = (),
) -> Group:
    """Make a group of given tokens; log-probs that are not given are 0."""
    given = logprobs or [[0.0] * len(answer) for answer in answers]
    return Group(
        prompt=prompt,
        completions=tuple(
            Completion(token_ids=tuple(answer), text="", logprobs=tuple(values), finish_reason="stop", policy_version=0)
            for answer, values in zip(answers, given, strict=True)
        ),
        scores=tuple(Score(total=total, components={}) for total in totals),
        advantages=tuple(advantages),
        reference_logprobs=tuple(tuple(values) for values in reference_logprobs),
    )


def random_group(prompt: Prompt, lengths: Sequence[int], *, seed: int = 0, unjudged: Sequence[int] = ()) -> Group:
    """Make random answers with advantages and reference log-probs; those at the indices `unjudged` have no score."""
    rng = np.random.default_rng(seed)
    return token_group(
        prompt,
        [[int(token) for token in rng.integers(0, 200, length)] for length in lengths],
        totals=[None if index in unjudged else float(rng.random()) for index in range(len(lengths))],
        advantages=[0.0 if index in unjudged else float(rng.normal()) for index in range(len(lengths))],
        reference_logprobs=[[float(value) for value in rng.normal(-5, 0.3, length)] for length in lengths],
    )
