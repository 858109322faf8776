"""Config of sampling and of the engine."""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from rl.config import key
from rl.faults import UserError


class TeacherKind(Enum):
    """The author of wrong answers, written to order."""

    none = "none"
    policy = "policy"
    """The run's own rollout workers, which are told the hint."""
    borrowed = "borrowed"
    """Reference texts of samples for which the hint is true."""
    endpoint = "endpoint"
    """A larger model behind an OpenAI-compatible server."""


@dataclass(kw_only=True)
class TeacherConfig:
    kind: TeacherKind = key(
        TeacherKind.none, "Author of wrong answers for groups that are all right (algo.contrastive)."
    )
    url: str = key("", "Address of the endpoint, from http:// or https:// up to /v1.")
    model: str = key("", "Name of the model at the endpoint.")
    key_env: str = key("", "Environment variable that holds the key of the endpoint; empty sends none.")
    timeout_s: float = key(120.0, "Maximum wait for one answer of the endpoint.", gt=0)
    give_up_after_s: float = key(
        600.0,
        "Maximum time that a busy endpoint, or one that has answered before and is silent or away, is asked again.",
        ge=0,
    )
    max_concurrency: int = key(16, "Maximum number of requests at the endpoint at once.", ge=1)


class Row(Enum):
    """The position whose query stands for a token's attention."""

    producing = "producing"
    """The position before the token, at which it was decoded."""
    own = "own"
    """The token's own position."""


class Tokens(Enum):
    """The tokens of a completion that can be selected."""

    reasoning = "reasoning"
    """The tokens between <think> and </think>; all tokens if there are none."""
    response = "response"


class Cut(Enum):
    """The rule for the threshold above which a score selects a token of a response."""

    median = "median"
    chord = "chord"
    """The bend of the sorted scores as in Kneedle: the point farthest from the line between their ends."""
    curvature = "curvature"
    """The largest curvature of the sorted scores, κ = |y''| / (1 + y'^2)^(3/2), which a little noise moves far."""


class Selection(Enum):
    """The tokens that make up the map: the ablations of the paper's Table 3."""

    both = "both"
    relevance = "relevance"
    entropy = "entropy"
    all = "all"


class Resize(Enum):
    """The interpolation that enlarges a map to its image."""

    bilinear = "bilinear"
    bicubic = "bicubic"
    nearest = "nearest"


@dataclass(kw_only=True)
class LocalizeConfig:
    """Options of ReAL; what the paper leaves open is marked (ours)."""

    selection: Selection = key(
        Selection.both,
        "Tokens that make up the map: both scores high, one high, or all tokens with equal weights.",
    )
    tokens: Tokens = key(
        Tokens.reasoning, "Tokens that are compared and can be selected: those of the reasoning, or all (ours)."
    )
    row: Row = key(Row.producing, "Position whose attention is a token's: the one that produced it, or its own (ours).")
    layers: list[int] = key(list, "Layers to average, counted from 0; empty takes all.")
    heads: list[int] = key(list, "Heads of each layer to average, counted from 0; empty takes all.")
    blob_deviations: float = key(
        1.0,
        "Standard deviations above the mean of a token's map from which a place belongs to a blob; at 0, noise runs "
        "together into one blob and passes for attention to one place (ours).",
        ge=0,
    )
    relevance_cut: Cut = key(Cut.median, "Rule for the threshold of the relevance to the anomaly words.")
    entropy_cut: Cut = key(Cut.chord, "Rule for the threshold of the concentration on the image.")
    alpha: float = key(0.5, "Weight of a token's relevance (ours).", ge=0)
    beta: float = key(0.5, "Weight of a token's concentration (ours).", ge=0)
    num_top: int = key(3, "Number of tokens, those with the largest weights, that must agree on a place.", ge=1)
    percentile: float = key(95.0, "Percentile of a token's map above which it attends to a place.", ge=0, le=99.9)
    resize: Resize = key(Resize.bilinear, "Interpolation that enlarges a map to its image.")


def reads_words(config: LocalizeConfig) -> bool:
    """Return True if tokens are selected by their relevance to the anomaly words."""
    return config.selection in (Selection.both, Selection.relevance)


@dataclass(kw_only=True)
class RolloutConfig:
    temperature: float = key(1.0, "Sampling temperature of training rollouts.", gt=0)
    top_p: float = key(
        1.0,
        "Training rollouts sample among the likeliest tokens that reach this probability together; 1 keeps all.",
        gt=0,
        le=1,
    )
    top_k: int = key(0, "Training rollouts sample among this many likeliest tokens; 0 keeps all.", ge=0)
    min_p: float = key(
        0.0,
        "Training rollouts leave out tokens less likely than this share of the likeliest one; 0 keeps all.",
        ge=0,
        le=1,
    )
    max_prompt_tokens: int = key(2048, "Maximum tokens of a prompt, images included; a longer one is an error.", ge=1)
    max_images: int = key(2, "Maximum images of one prompt.", ge=0)
    max_response_tokens: int = key(512, "Maximum tokens of a completion.", ge=1)
    max_num_seqs: int = key(64, "Maximum sequences that the engine decodes at once.", ge=1)
    kv_cache_mb: int = key(64, "Size of one engine's key-value cache, in MiB.", ge=1)
    enforce_eager: bool = key(True, "Run the engine without CUDA graphs.")
    teacher: TeacherConfig = key(TeacherConfig, "Author of wrong answers.")


def check_teacher(config: TeacherConfig, *, is_asked: bool) -> None:
    """Raise a UserError for a teacher that is never asked or that cannot be asked."""
    check_no_secret(config.url)
    if config.kind is not TeacherKind.none and not is_asked:
        raise UserError(
            f"rollout.teacher.kind={config.kind.name} has nothing to do; set algo.contrastive=true or kind=none"
        )
    if config.kind is TeacherKind.endpoint:
        check_endpoint(config)


def check_no_secret(url: str) -> None:
    """Raise a UserError, which does not repeat it, for a url with a place for secrets: pages and files show urls."""
    if any(mark in url for mark in "@?#"):
        raise UserError(
            "rollout.teacher.url must hold no user:password@ and nothing after ? or #; give the address up to /v1, "
            "and name the variable that holds the key in rollout.teacher.key_env"
        )


def check_endpoint(config: TeacherConfig) -> None:
    """Raise a UserError for an endpoint that cannot be asked."""
    check_no_secret(config.url)
    if not _is_address(config.url):
        raise UserError(
            f"rollout.teacher.url='{config.url}' is no address; give that of a chat server, from http:// or "
            "https:// up to /v1, or choose another teacher"
        )
    if not config.model:
        raise UserError("rollout.teacher.model is empty; give the name under which the endpoint serves its model")
    if config.key_env and not config.key_env.isidentifier():
        # It might be the key itself, so it is not repeated.
        raise UserError("rollout.teacher.key_env is no name of an environment variable; give one, never the key")


def _is_address(url: str) -> bool:
    try:
        address = urlsplit(url)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        # A port beyond 65535, or half of an IPv6 address.
        return False
