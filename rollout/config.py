"""Config of sampling and of the engine."""

from dataclasses import dataclass

from rl.config import key


@dataclass(kw_only=True)
class RolloutConfig:
    temperature: float = key(1.0, "Sampling temperature of training rollouts.", gt=0)
    max_prompt_tokens: int = key(2048, "Longest prompt, image tokens included; a longer one is an error.", ge=1)
    max_images: int = key(2, "Most images of one prompt.", ge=0)
    max_response_tokens: int = key(512, "Longest completion.", ge=1)
    max_num_seqs: int = key(64, "Sequences that the engine decodes at once.", ge=1)
    kv_cache_mb: int = key(64, "Key-value cache of one engine, in MiB.", ge=1)
    enforce_eager: bool = key(True, "Run the engine without CUDA graphs.")
