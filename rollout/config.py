"""Config of sampling and of the engine."""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from rl.config import key


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
    """Raises a ValueError for a teacher that nobody asks or that could not be asked."""
    if config.kind is not TeacherKind.none and not is_asked:
        raise ValueError(
            f"rollout.teacher.kind={config.kind.name} has nothing to do; set algo.contrastive=true or take none"
        )
    if config.kind is not TeacherKind.endpoint:
        return
    address = urlsplit(config.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(
            "rollout.teacher.url is no address; write one from http:// or https:// up to /v1, or take another kind"
        )
    if address.username or address.password:
        raise ValueError("rollout.teacher.url holds a password; name a variable that does in rollout.teacher.key_env")
    if not config.model:
        raise ValueError("rollout.teacher.model is empty; give the name under which the endpoint serves its model")
    if config.key_env and not config.key_env.isidentifier():
        # It might be the key itself, so it is not repeated.
        raise ValueError("rollout.teacher.key_env is no name of an environment variable; give one, never the key")
