"""Config of sampling and of the engine."""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from rl.config import key
from rl.faults import UserError


class TeacherKind(Enum):
    """Who writes wrong answers to order."""

    none = "none"
    policy = "policy"
    """The run's own rollout workers, told the hint."""
    borrowed = "borrowed"
    """Nobody: the reference texts of samples whose truth is what the hint says."""
    endpoint = "endpoint"
    """A larger model behind an OpenAI-compatible server."""


@dataclass(kw_only=True)
class TeacherConfig:
    kind: TeacherKind = key(TeacherKind.none, "Who writes negatives for groups that are all right (algo.contrastive).")
    url: str = key("", "Endpoint's address, from http:// or https:// up to /v1.")
    model: str = key("", "Name that the endpoint has for its model.")
    key_env: str = key("", "Environment variable that holds the endpoint's key; empty sends none.")
    timeout_s: float = key(120.0, "Longest wait for one answer of the endpoint, which is asked three times.", gt=0)
    max_concurrency: int = key(16, "Requests that the endpoint gets at once.", ge=1)


class Row(Enum):
    """Whose query tells where a token looks."""

    producing = "producing"
    """That of the position before it, at which it was decoded."""
    own = "own"


class Tokens(Enum):
    """Which tokens of a completion can be selected."""

    reasoning = "reasoning"
    """Those between <think> and </think>; all where there are none."""
    response = "response"


class Cut(Enum):
    """How the threshold is found above which a score of a response's tokens selects."""

    median = "median"
    chord = "chord"
    """Where the sorted scores bend most, found as Kneedle does: farthest from the line between their ends."""
    curvature = "curvature"
    """The same by differences, κ = |y''| / (1 + y'^2)^(3/2), which a little noise moves far."""


class Selection(Enum):
    """Which tokens make up the map: the ablations of the paper's Table 3."""

    both = "both"
    relevance = "relevance"
    entropy = "entropy"
    all = "all"


class Resize(Enum):
    """How a map is enlarged to its image."""

    bilinear = "bilinear"
    bicubic = "bicubic"
    nearest = "nearest"


@dataclass(kw_only=True)
class LocalizeConfig:
    """ReAL; what the paper leaves open is marked (ours)."""

    selection: Selection = key(
        Selection.both, "Tokens that make up the map: both scores high, one of them, or all, each weighing the same."
    )
    tokens: Tokens = key(
        Tokens.reasoning, "Tokens that are compared and can be selected: those of the reasoning, or all (ours)."
    )
    row: Row = key(Row.producing, "A token's attention is that of the position that produced it, or its own (ours).")
    layers: list[int] = key(list, "Layers that are averaged, from 0; empty takes all.")
    heads: list[int] = key(list, "Heads of each layer that are averaged, from 0; empty takes all.")
    blob_deviations: float = key(
        1.0,
        "A place belongs to a blob of a token's map from so many standard deviations above the map's mean; at 0 noise "
        "runs together into one blob and passes for a look at one place (ours).",
        ge=0,
    )
    relevance_cut: Cut = key(Cut.median, "Threshold of the relevance to the anomaly words.")
    entropy_cut: Cut = key(Cut.chord, "Threshold of the concentration on the image.")
    alpha: float = key(0.5, "Weight of a token's relevance (ours).", ge=0)
    beta: float = key(0.5, "Weight of its concentration (ours).", ge=0)
    num_top: int = key(3, "Tokens of the largest weights that have to agree on a place.", ge=1)
    percentile: float = key(95.0, "A token looks at the places above this percentile of its map.", ge=0, le=99.9)
    resize: Resize = key(Resize.bilinear, "How a map is enlarged to its image.")


def reads_words(config: LocalizeConfig) -> bool:
    """Whether tokens are selected by their relevance to the anomaly words."""
    return config.selection in (Selection.both, Selection.relevance)


@dataclass(kw_only=True)
class RolloutConfig:
    temperature: float = key(1.0, "Sampling temperature of training rollouts.", gt=0)
    max_prompt_tokens: int = key(2048, "Longest prompt, image tokens included; a longer one is an error.", ge=1)
    max_images: int = key(2, "Most images of one prompt.", ge=0)
    max_response_tokens: int = key(512, "Longest completion.", ge=1)
    max_num_seqs: int = key(64, "Sequences that the engine decodes at once.", ge=1)
    kv_cache_mb: int = key(64, "Key-value cache of one engine, in MiB.", ge=1)
    enforce_eager: bool = key(True, "Run the engine without CUDA graphs.")
    teacher: TeacherConfig = key(TeacherConfig, "Who writes negatives.")


def check_teacher(config: TeacherConfig, *, is_asked: bool) -> None:
    """Raises a UserError for a teacher that nobody asks or that could not be asked."""
    if config.kind is not TeacherKind.none and not is_asked:
        raise UserError(
            f"rollout.teacher.kind={config.kind.name} has nothing to do; set algo.contrastive=true or take none"
        )
    if config.kind is TeacherKind.endpoint:
        check_endpoint(config)


def check_endpoint(config: TeacherConfig) -> None:
    """Raises a UserError for an endpoint that could not be asked."""
    address = urlsplit(config.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise UserError(
            "rollout.teacher.url is no address; write one from http:// or https:// up to /v1, or take another kind"
        )
    if address.username or address.password:
        raise UserError("rollout.teacher.url holds a password; name a variable that does in rollout.teacher.key_env")
    if not config.model:
        raise UserError("rollout.teacher.model is empty; give the name under which the endpoint serves its model")
    if config.key_env and not config.key_env.isidentifier():
        # It might be the key itself, so it is not repeated.
        raise UserError("rollout.teacher.key_env is no name of an environment variable; give one, never the key")
