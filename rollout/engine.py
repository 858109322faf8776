"""The sampling engine: vLLM in this process, fed with images that are processed already."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence

import rl.import_fixes  # noqa: F401

import torch

from rl.faults import UserError, one_line
from rl.model_config import family_of, model_config
from rl.types import Completion, Prompt
from rollout.banned import banned_token_ids
from rollout.config import RolloutConfig


def _prepare_process() -> None:
    """Set what vLLM reads while it is imported."""
    os.environ.update(
        # Weights are handed over as tensors, and a second process would take 20 s to start.
        VLLM_ENABLE_V1_MULTIPROCESSING="0",
        VLLM_NO_USAGE_STATS="1",
        VLLM_LOGGING_LEVEL="WARNING",
        TOKENIZERS_PARALLELISM="false",
        # Read on CPU hosts only: binding threads to cores would put several engines on the same ones.
        VLLM_CPU_OMP_THREADS_BIND="nobind",
    )


_prepare_process()

from vllm import EngineArgs, LLMEngine, ModelRegistry, SamplingParams  # noqa: E402
from vllm.inputs.engine import EngineInput, tokens_input  # noqa: E402
from vllm.outputs import CompletionOutput, RequestOutput  # noqa: E402
from vllm.sampling_params import RequestOutputKind  # noqa: E402
from vllm.utils.torch_utils import set_random_seed  # noqa: E402

from rollout.families import IMAGE_INPUTS  # noqa: E402

BLOCK_TOKENS = 32
"""Tokens of a cache block; completions share whole blocks of their prompt, so short blocks save prefill."""
GPU_SHARE = 0.05
"""Share of its GPU that vLLM wants free at the start; small, because kv_cache_mb sizes the cache and others share."""
STEP_TOKENS = 8192
"""Tokens of one forward pass: the prefill of many short prompts or a piece of a long one."""
NEVER = float("-inf")


class Engine:
    """vLLM in this process: samples completions and takes new weights in place."""

    def __init__(self, model_path: str, config: RolloutConfig, *, dtype: str, seed: int, sleeps: bool = False) -> None:
        self._config = config
        self._asleep = False
        self._version = 0
        self._generate_s = 0.0
        self._family = family_of(model_path)
        hf_config = model_config(model_path)
        self._tied = hf_config.tie_word_embeddings
        self.banned_token_ids = banned_token_ids(model_path)
        """Tokens that are never sampled; the learner leaves them out of its softmax too."""
        for name in hf_config.architectures:
            # vLLM imports a class that is not registered by hand in another process, which would lack import_fixes.
            ModelRegistry.register_model(name, ModelRegistry.models[name].load_model_cls())
        if config.enforce_eager:
            # Otherwise vLLM still compiles parts of its sampler, which costs a short run more than it saves.
            torch.compiler.set_stance("force_eager")
        self._engine = _started(_engine_args(model_path, config, dtype=dtype, seed=seed, sleeps=sleeps), config)
        self._tokenizer = self._engine.get_tokenizer()

    def generate(
        self, prompts: Sequence[Prompt], *, num_completions: int, greedy: bool, first_seed: int
    ) -> Iterator[tuple[int, tuple[Completion, ...]]]:
        """Yield (index of the prompt, its completions) as prompts finish; the same call gives the same completions."""
        self._wake()
        for prompt in prompts:
            self._check(prompt)
        # Not a seed for each request: on a CPU, vLLM dies where it splits the prefill of such a request over steps.
        set_random_seed(first_seed)
        sampling = self._sampling(num_completions, greedy)
        for index, output in self._outputs(prompts, [sampling] * len(prompts)):
            yield index, tuple(self._completion(answer) for answer in output.outputs)

    def next_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return, for each prompt, the log-probability of each of its choices as the next token, at temperature 1.

        A prompt may be longer than rollout.max_prompt_tokens by the tokens of a completion.
        """
        self._wake()
        samplings = [self._scoring(token_ids) for token_ids in choices]
        found = {index: output.outputs[0] for index, output in self._outputs(prompts, samplings)}
        # The sampled token comes first.
        return [list(found[index].logprobs.logprobs[1 : 1 + len(choices[index])]) for index in range(len(prompts))]

    def forget(self) -> None:
        """Drop what is cached of earlier prompts, so that the next call depends on none of them, to the last bit."""
        if not self._engine.reset_prefix_cache():
            raise RuntimeError("caches cannot be dropped while completions are sampled")
        self._engine.reset_mm_cache()
        self._engine.reset_encoder_cache()

    def load_weights(self, weights: Mapping[str, torch.Tensor], version: int) -> None:
        """Take weights by their transformers names; those that vLLM fuses (q, k, v; gate, up) must come together."""
        self._wake()
        if self._tied and self._family.embedding in weights:
            # vLLM keeps a packed copy of a tied output layer, which only a weight of its name updates.
            weights = {**weights, self._family.output_layer: weights[self._family.embedding]}
        self._engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights.items()})
        # The new weights must not meet keys, values and image features of the old ones.
        self.forget()
        self._version = version

    def sleep(self) -> None:
        """Move the weights to the host and free the memory of the GPU, until the next call."""
        # vLLM would free the same memory twice.
        if not self._asleep:
            self._engine.sleep(level=1)
            self._asleep = True

    def _wake(self) -> None:
        if self._asleep:
            self._engine.wake_up()
            self._asleep = False

    def drain_generate_s(self) -> float:
        """Return the seconds spent sampling since the last call."""
        seconds, self._generate_s = self._generate_s, 0.0
        return seconds

    def _outputs(
        self, prompts: Sequence[Prompt], samplings: Sequence[SamplingParams]
    ) -> Iterator[tuple[int, RequestOutput]]:
        """Yield (index of the prompt, its output) as prompts finish."""
        running = {str(index) for index in range(len(prompts))}
        try:
            for index, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True)):
                self._add(str(index), prompt, sampling)
            while running:
                for output in self._step():
                    running.remove(output.request_id)
                    yield int(output.request_id), output
        finally:
            # A caller that stops early must not leave its requests to the next call.
            self._engine.abort_request(list(running))

    def _add(self, request_id: str, prompt: Prompt, sampling: SamplingParams) -> None:
        start = time.perf_counter()
        self._engine.add_request(request_id, self._input(prompt), sampling)
        self._generate_s += time.perf_counter() - start

    def _input(self, prompt: Prompt) -> EngineInput:
        """Return the prompt in vLLM's own form."""
        if prompt.pixels is None:
            return tokens_input(list(prompt.token_ids))
        return IMAGE_INPUTS[self._family.model_type](prompt)

    def _step(self) -> list[RequestOutput]:
        start = time.perf_counter()
        outputs = self._engine.step()
        self._generate_s += time.perf_counter() - start
        return outputs

    def _sampling(self, num_completions: int, greedy: bool) -> SamplingParams:
        return SamplingParams(
            n=num_completions,
            temperature=0.0 if greedy else self._config.temperature,
            # Without effect at temperature 0.
            top_p=self._config.top_p,
            top_k=self._config.top_k,
            min_p=self._config.min_p,
            max_tokens=self._config.max_response_tokens,
            logit_bias=dict.fromkeys(self.banned_token_ids, NEVER),
            # Only the sampled token's.
            logprobs=0,
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _scoring(self, token_ids: Sequence[int]) -> SamplingParams:
        return SamplingParams(
            temperature=0.0,
            max_tokens=1,
            logit_bias=dict.fromkeys(self.banned_token_ids, NEVER),
            logprob_token_ids=list(token_ids),
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _completion(self, answer: CompletionOutput) -> Completion:
        token_ids = tuple(answer.token_ids)
        logprobs = tuple(answer.logprobs.logprobs)
        assert answer.finish_reason in ("stop", "length") and len(logprobs) == len(token_ids)
        return Completion(
            token_ids=token_ids,
            text=self._tokenizer.decode(token_ids, skip_special_tokens=True),
            logprobs=logprobs,
            finish_reason=answer.finish_reason,
            policy_version=self._version,
        )

    def _check(self, prompt: Prompt) -> None:
        """Refuse a prompt from which the engine would sample wrongly or not at all."""
        who, config = f"sample {prompt.sample.id}", self._config
        if len(prompt.token_ids) > config.max_prompt_tokens:
            raise UserError(
                f"{who}: its prompt has {len(prompt.token_ids)} tokens, more than rollout.max_prompt_tokens="
                f"{config.max_prompt_tokens}; raise that, lower data.max_pixels or shorten the question"
            )
        if len(prompt.image_spans) > config.max_images:
            raise UserError(
                f"{who}: its prompt has {len(prompt.image_spans)} images; raise rollout.max_images={config.max_images}"
            )
        wanted = prompt.pixels.num_tokens if prompt.pixels else []
        found = [end - start for start, end in prompt.image_spans]
        if wanted != found:
            raise UserError(f"{who}: its images need {wanted} tokens each, its prompt has {found}; build it anew")


def _engine_args(model_path: str, config: RolloutConfig, *, dtype: str, seed: int, sleeps: bool) -> EngineArgs:
    return EngineArgs(
        model=model_path,
        dtype=dtype,
        seed=seed,
        max_model_len=config.max_prompt_tokens + config.max_response_tokens,
        max_num_seqs=config.max_num_seqs,
        # Also the room for image features: an image fits whenever its prompt does.
        max_num_batched_tokens=max(STEP_TOKENS, config.max_prompt_tokens + config.max_response_tokens),
        block_size=BLOCK_TOKENS,
        kv_cache_memory_bytes=config.kv_cache_mb * 2**20,
        gpu_memory_utilization=GPU_SHARE,
        enforce_eager=config.enforce_eager,
        enable_sleep_mode=sleeps,
        limit_mm_per_prompt={"image": config.max_images, "video": 0},
        skip_mm_profiling=True,
        # Pixels arrive processed: vLLM must neither keep a copy nor normalize them again.
        mm_processor_cache_gb=0,
        mm_device_do_normalize=False,
        distributed_executor_backend="uni",
        logprobs_mode="processed_logprobs",
        disable_log_stats=True,
    )


def _started(arguments: EngineArgs, config: RolloutConfig) -> LLMEngine:
    try:
        return LLMEngine.from_engine_args(arguments)
    except ValueError as error:
        if "cache" not in str(error):
            raise UserError(f"vLLM does not start with {arguments.model}: {one_line(error)}") from error
        raise UserError(
            f"rollout.kv_cache_mb={config.kv_cache_mb} holds no sequence of rollout.max_prompt_tokens + "
            f"max_response_tokens = {arguments.max_model_len} tokens; raise it or shorten them ({error})"
        ) from error
