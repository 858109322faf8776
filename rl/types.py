"""The plain types that carry everything, from a sample to a scored group."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rl.family import FAMILIES, Grid

Box = tuple[float, float, float, float]
Cell = tuple[int, int]
NORMAL, DEFECTIVE = "normal", "defective"
"""The labels of a sample, which are the verdicts of an answer too."""


class Task(Enum):
    """The question of a sample, which also decides the form of its answer."""

    yes_no = "yes_no"
    """<think>…</think><answer>Yes or No</answer>"""
    boxes = "boxes"
    """As yes_no, and after Yes a box for each defect: {'bbox_2d': [x1, y1, x2, y2], 'label': '…'}."""
    choice = "choice"
    """<think>…</think><answer>B</answer>"""
    routed = "routed"
    """<knowledge>…</knowledge><think>…</think><answer>B</answer>, the knowledge being one of the pieces offered."""
    grid = "grid"
    """<seg>(r,c), (r,c1)-(r,c2), …</seg><think>…</think><answer>B</answer>"""
    grounding = "grounding"
    """<think>…</think><answer>[{"bbox_2d": [x1, y1, x2, y2], "label": "…"}]</answer>"""


class Origin(Enum):
    """The author of a completion."""

    policy = "policy"
    reference_text = "reference_text"
    """The verified text that the sample carries."""
    teacher = "teacher"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The truth about one inspected image."""

    label: str
    """NORMAL or DEFECTIVE; "" where it is not known."""
    kind: str = ""
    """Kind of defect, e.g. "scratch"; "" for a normal image or where it is not known."""
    boxes: tuple[Box, ...] = ()
    """Defect boxes [x1, y1, x2, y2], in pixels of the image that holds them (file, or model's view)."""
    box_labels: tuple[str, ...] = ()
    """Defect type of each box."""
    mask: Path | None = None
    """Pixel mask of the defects, same size as the image; None for a normal image or without a mask."""
    rationale: str = ""
    """A reference reasoning, without tags."""
    option: str = ""
    """Letter of the right option; "" without options."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Text of each option by its letter."""
    cells: frozenset[Cell] | None = None
    """Defective (row, column) cells of the 16x16 grid over the inspected image, from 0; None where unknown."""
    knowledge: str = ""
    """Knowledge of an expert about this kind of sample."""
    offered: tuple[str, ...] = ()
    """Names of the pieces of knowledge that the question offers, the right one first; () if it offers none."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A question about an inspected image."""

    id: str
    """Unique in its dataset, e.g. "leather/test/scratch/003"."""
    images: tuple[Path, ...]
    """Files in the order the model sees them: references first, the inspected image last; () for text only."""
    question: str
    """The user's question, without answer-form instructions."""
    target: Target
    """The truth; boxes in pixels of the image file."""
    category: str
    """Object or material, e.g. "leather"."""
    task: Task = Task.boxes
    heldout: bool | None = None
    """True for the data set's test split, False for its training split; None where it has no split of its own."""


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """The images of one prompt, processed once for a family of models."""

    model_type: str
    """The family, a key of FAMILIES."""
    values: Any
    """float32 array [patches, channels * temporal * patch * patch], all images in order."""
    grid: Grid
    """(t, h, w) of each image in patches, before they are merged to tokens."""

    @property
    def token_grid(self) -> Grid:
        """(t, rows, columns) of each image in tokens."""
        merge = FAMILIES[self.model_type].merge_size
        return tuple((t, height // merge, width // merge) for t, height, width in self.grid)

    @property
    def num_tokens(self) -> list[int]:
        """Tokens of each image."""
        return [prod(size) for size in self.token_grid]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A sample as the model sees it; made once, stored once for its whole group."""

    sample: Sample
    token_ids: tuple[int, ...]
    """Prompt tokens, image placeholders expanded."""
    pixels: Any
    """Pixels, or a Ray reference to them outside the actors; None for a text-only prompt."""
    image_spans: tuple[tuple[int, int], ...]
    """Per image, [start, end) of its placeholder tokens in token_ids."""
    image_size: tuple[int, int]
    """(width, height) of the inspected image as the model sees it; (0, 0) for text only."""
    target: Target
    """The truth; boxes in pixels of the image as the model sees it."""
    anomaly_tokens: tuple[int, ...] = ()
    """Indices in token_ids of the words that name an anomaly, data.anomaly_words."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """An answer to a prompt."""

    token_ids: tuple[int, ...]
    """Tokens of the answer; the end-of-turn token is included unless the answer was cut off."""
    text: str
    """Decoded token_ids, special tokens left out."""
    logprobs: tuple[float, ...]
    """Log-probability of each token under the engine's sampling distribution; () if the policy did not write it."""
    finish_reason: str
    """"stop" or "length"."""
    policy_version: int
    """Version of the weights that sampled it."""
    origin: Origin = Origin.policy
    knowledge: tuple[int, int] = (0, 0)
    """[start, end) of the tokens that choose and state a piece of knowledge; empty if there are none."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The reward of a completion."""

    total: float | None
    """Weighted sum of the components; None if a component could not be judged."""
    components: dict[str, float | None]
    """Unweighted value of each component by its name; None, never a silent 0, if it could not be judged."""
    malformed: tuple[str, ...] = ()
    """Faults of the answer's form, in words."""
    unjudged: tuple[str, ...] = ()
    """Reasons why components have no value, in words."""
    faults: tuple[str, ...] = ()
    """Those of the reasons that are faults of a reward: an exception, a timeout or a number that is not finite."""


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Attention of a completion over the tokens of the inspected image, [rows, columns] float32."""

    rdam: np.ndarray
    """The reasoning-driven anomaly map: Σ w_r A_r over the tokens of the completion."""
    every: np.ndarray
    """The mean of A_r over all tokens that could be selected, selected or not."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Small summary of the attention with which a completion's tokens are generated (ReAL)."""

    relevance: tuple[float, ...]
    """S_T of each token: its attention to the anomaly words of the prompt."""
    entropy: tuple[float, ...]
    """S_I of each token: the spatial entropy of its attention to the inspected image, in nats."""
    weights: tuple[float, ...]
    """w of each token; 0 if it is not selected."""
    top: tuple[int, ...]
    """The tokens with the largest weights, the largest first."""
    supports: np.ndarray
    """Packed bits [top tokens, bytes]: the places of the image that each top token attends to."""
    shape: tuple[int, int]
    """(rows, columns) of the inspected image's tokens."""
    agreement: float
    """J, in [0, 1]: the share of the places that all top tokens have in common."""
    maps: Maps | None = None
    """None unless asked for."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A prompt and its G completions: the unit of work everywhere."""

    prompt: Prompt
    completions: tuple[Completion, ...]
    scores: tuple[Score, ...] = ()
    """A score for each completion, once judged."""
    advantages: tuple[float, ...] = ()
    """A number for each completion, once judged; in teaching 1 for the better and -1 for the worse answer."""
    reference_logprobs: tuple[tuple[float, ...], ...] = ()
    """[completion][token] log-probabilities of the frozen reference; () without a KL term."""
    old_logprobs: tuple[tuple[float, ...], ...] = ()
    """[completion][token] log-probabilities of the policy before the update; () if the update computes them."""
    looks: tuple[Look, ...] = ()
    """A look for each completion; () if no reward asks where the policy looks."""


Logprobs = tuple[tuple[float, ...], ...]
"""[completion][token] of a group."""
Observed = tuple[Logprobs, tuple[Look, ...]]
"""Log-probs of a group, and a look for each completion."""
