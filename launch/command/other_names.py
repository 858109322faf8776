"""The names that other trainers give to our keys: TRL, verl, EasyR1, ms-swift and transformers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ours:
    """Key or config group of ours with the meaning of another trainer's key."""

    name: str
    difference: str = ""
    """How it differs, in words that follow its name; "" if the meaning is the same."""
    instead: str = ""
    """Name in the verbs that have no `name`."""

    @property
    def told(self) -> str:
        """Return the difference as it follows the name."""
        return f", {self.difference}" if self.difference else ""

    def among(self, known: Collection[str]) -> str:
        """Return the name that the verb with these keys and groups has; "" if it has none."""
        return next((name for name in (self.name, self.instead) if name in known), "")


PROMPTS = "which counts the prompts of a whole step on all devices, each with algo.num_completions answers"
KL = "for GRPO; for DPO it is algo.preference.beta, for KTO algo.kto.beta"
UPDATES = "the number of optimizer steps that share the prompts of a step, algo.num_prompts"
TOKENS = "which bounds a forward pass in tokens, not in answers"
STEPS_BOTH = "in optimizer steps; as a share of all steps it is algo.warmup_share"
ALGORITHMS = "whose options are listed by --help, e.g. algo=dr_grpo"
MODEL = "an option of --help, a folder or a hub id"
IMAGES = "a folder of images; docs/data.md has the layouts"
LORA = "the rank; 0 trains the full weights"
LENGTH = "which bounds the prompt; the answer is bounded by rollout.max_response_tokens"
CLIP = "and algo.clip_high, the lower and the upper clip"
GPUS = "e.g. cluster=1xh100, which sets cluster.gpus_per_actor, cluster.num_learners and more"
BACKENDS = "a list, e.g. [wandb,tensorboard]"
WANDB = "online, offline or disabled"
FUNCTIONS = "e.g. 'reward.functions=[{path: my_rewards.shininess}]'"


OTHER_NAMES: Mapping[str, Ours] = {
    # Optimizer and schedule.
    "learning_rate": Ours("algo.lr"),
    "actor_lr": Ours("algo.lr"),
    "warmup": Ours("algo.warmup_steps", STEPS_BOTH),
    "lr_warmup_steps": Ours("algo.warmup_steps"),
    "num_warmup_steps": Ours("algo.warmup_steps"),
    "warmup_ratio": Ours("algo.warmup_share"),
    "lr_warmup_ratio": Ours("algo.warmup_share"),
    "lr_warmup_steps_ratio": Ours("algo.warmup_share"),
    "lr_scheduler": Ours("algo.schedule"),
    "lr_scheduler_type": Ours("algo.schedule"),
    "warmup_style": Ours("algo.schedule"),
    "grad_clip": Ours("algo.max_grad_norm"),
    "clip_grad": Ours("algo.max_grad_norm"),
    "max_norm": Ours("algo.max_grad_norm"),
    # Batches and lengths.
    "batch": Ours("algo.num_prompts", PROMPTS),
    "batch_size": Ours("algo.num_prompts", PROMPTS, instead="batch"),
    "train_batch_size": Ours("algo.num_prompts", PROMPTS),
    "rollout_batch_size": Ours("algo.num_prompts", PROMPTS),
    "per_device_train_batch_size": Ours("algo.num_prompts", PROMPTS),
    "generation_batch_size": Ours("algo.num_prompts", PROMPTS),
    "ppo_mini_batch_size": Ours("algo.num_updates", UPDATES),
    "mini_batch_size": Ours("algo.num_updates", UPDATES),
    "steps_per_generation": Ours("algo.num_updates"),
    "rollout.batch_size": Ours("rollout.max_num_seqs", "which counts the answers that an engine writes at once"),
    "cluster.batch_size": Ours("cluster.micro_batch_tokens", TOKENS),
    "micro_batch_size": Ours("cluster.micro_batch_tokens", TOKENS),
    "gradient_accumulation_steps": Ours("cluster.micro_batch_tokens", TOKENS),
    "ppo_max_token_len_per_gpu": Ours("cluster.micro_batch_tokens"),
    "steps": Ours("num_steps"),
    "train_steps": Ours("num_steps"),
    "max_steps": Ours("num_steps"),
    "total_steps": Ours("num_steps"),
    "total_training_steps": Ours("num_steps"),
    "num_training_steps": Ours("num_steps"),
    "iterations": Ours("num_steps"),
    "epoch": Ours("num_epochs"),
    "epochs": Ours("num_epochs"),
    "num_train_epochs": Ours("num_epochs"),
    "total_epochs": Ours("num_epochs"),
    "max_completion_length": Ours("rollout.max_response_tokens"),
    "max_response_length": Ours("rollout.max_response_tokens"),
    "max_new_tokens": Ours("rollout.max_response_tokens"),
    "max_tokens": Ours("rollout.max_response_tokens"),
    "max_prompt_length": Ours("rollout.max_prompt_tokens"),
    "max_length": Ours("rollout.max_prompt_tokens", LENGTH),
    "max_seq_length": Ours("rollout.max_prompt_tokens", LENGTH),
    "max_model_len": Ours("rollout.max_prompt_tokens", LENGTH),
    "cutoff_len": Ours("rollout.max_prompt_tokens", LENGTH),
    # Algorithm.
    "kl": Ours("algo.kl_weight"),
    "beta": Ours("algo.kl_weight", KL),
    "kl_beta": Ours("algo.kl_weight"),
    "kl_coef": Ours("algo.kl_weight"),
    "kl_loss_coef": Ours("algo.kl_weight"),
    "init_kl_coef": Ours("algo.kl_weight"),
    "kl_loss_type": Ours("algo.kl_estimator"),
    "kl_penalty": Ours("algo.kl_estimator"),
    "n": Ours("algo.num_completions"),
    "group_size": Ours("algo.num_completions"),
    "num_generations": Ours("algo.num_completions"),
    "num_return_sequences": Ours("algo.num_completions"),
    "n_samples_per_prompt": Ours("algo.num_completions"),
    "epsilon": Ours("algo.clip_low", CLIP),
    "clip_ratio": Ours("algo.clip_low", CLIP),
    "cliprange": Ours("algo.clip_low", CLIP),
    "epsilon_high": Ours("algo.clip_high"),
    "clip_ratio_low": Ours("algo.clip_low"),
    "clip_ratio_high": Ours("algo.clip_high"),
    "loss_agg_mode": Ours("algo.aggregation"),
    "scale_rewards": Ours("algo.normalize_std"),
    "norm_adv_by_std_in_grpo": Ours("algo.normalize_std"),
    "dynamic_sample": Ours("algo.max_refills", "the number of times that a step may draw new samples"),
    "loss_type": Ours("algo", ALGORITHMS),
    "adv_estimator": Ours("algo", ALGORITHMS),
    "rlhf_type": Ours("algo", ALGORITHMS),
    "algorithm": Ours("algo", ALGORITHMS),
    # Rewards.
    "reward_funcs": Ours("reward.functions", FUNCTIONS),
    "reward_func": Ours("reward.functions", FUNCTIONS),
    "reward_function": Ours("reward.functions", FUNCTIONS),
    "reward_fn": Ours("reward.functions", FUNCTIONS),
    "custom_reward_function": Ours("reward.functions", FUNCTIONS),
    # Model.
    "base_model": Ours("model", MODEL),
    "model_id": Ours("model", MODEL),
    "model_name": Ours("model", MODEL),
    "model_path": Ours("model", MODEL),
    "model_name_or_path": Ours("model", MODEL),
    "name_or_path": Ours("model", MODEL),
    "model.name": Ours("model", MODEL),
    "pretrained_model_name_or_path": Ours("model", MODEL),
    "dtype": Ours("model.precision"),
    "torch_dtype": Ours("model.precision"),
    "bf16": Ours("model.precision", "bf16 or fp32"),
    "fp16": Ours("model.precision", "bf16 or fp32"),
    "r": Ours("model.lora.rank"),
    "lora": Ours("model.lora.rank", LORA),
    "lora_r": Ours("model.lora.rank"),
    "lora_rank": Ours("model.lora.rank"),
    "lora_alpha": Ours("model.lora.alpha"),
    "lora_dropout": Ours("model.lora.dropout"),
    "use_peft": Ours("model.lora.rank", LORA),
    "use_lora": Ours("model.lora.rank", LORA),
    "train_type": Ours("model.lora.rank", LORA),
    "freeze_vit": Ours("model.freeze_vision"),
    "freeze_vision_tower": Ours("model.freeze_vision"),
    "freeze_vision_modules": Ours("model.freeze_vision"),
    "freeze_aligner": Ours("model.freeze_projector"),
    "gpu": Ours("cluster", GPUS),
    "gpus": Ours("cluster", GPUS),
    "num_gpus": Ours("cluster", GPUS),
    "n_gpus_per_node": Ours("cluster", GPUS),
    "nproc_per_node": Ours("cluster", GPUS),
    "num_processes": Ours("cluster", GPUS),
    "gpu_memory_utilization": Ours("rollout.kv_cache_mb", "in MiB"),
    "vllm_gpu_memory_utilization": Ours("rollout.kv_cache_mb", "in MiB"),
    "limit_images": Ours("rollout.max_images"),
    "limit_mm_per_prompt": Ours("rollout.max_images"),
    # Data.
    "data.path": Ours("data.root", IMAGES),
    "data.folder": Ours("data.root", IMAGES),
    "dataset": Ours("data.root", IMAGES),
    "dataset_name": Ours("data.root", IMAGES),
    "dataset_path": Ours("data.root", IMAGES),
    "data_dir": Ours("data.root", IMAGES),
    "data_path": Ours("data.root", IMAGES),
    "train_data": Ours("data.root", IMAGES),
    "train_file": Ours("data.root", IMAGES),
    "train_files": Ours("data.root", IMAGES),
    "images": Ours("input", instead="data.root"),
    "image_dir": Ours("input", instead="data.root"),
    "image_folder": Ours("input", instead="data.root"),
    "input_dir": Ours("input", instead="data.root"),
    "test_size": Ours("data.heldout_share"),
    "val_size": Ours("data.heldout_share"),
    "split_dataset_ratio": Ours("data.heldout_share"),
    "max_eval_samples": Ours("data.num_heldout"),
    "image_size": Ours("data.square", "the side in pixels of a square"),
    "image_max_pixels": Ours("data.max_pixels"),
    "image_min_pixels": Ours("data.min_pixels"),
    # The run and what it writes.
    "output_dir": Ours("output"),
    "output_path": Ours("output"),
    "out": Ours("output"),
    "save_dir": Ours("output"),
    "default_local_dir": Ours("output"),
    "save_checkpoint_path": Ours("output"),
    "run_dir": Ours("output"),
    "eval_steps": Ours("eval_every"),
    "eval_strategy": Ours("eval_every", "in steps"),
    "evaluation_strategy": Ours("eval_every", "in steps"),
    "eval_freq": Ours("eval_every"),
    "test_freq": Ours("eval_every"),
    "val_freq": Ours("eval_every"),
    "save_steps": Ours("checkpoint.every"),
    "save_every": Ours("checkpoint.every"),
    "save_freq": Ours("checkpoint.every"),
    "checkpoint.steps": Ours("checkpoint.every", "in steps"),
    "checkpoint.interval": Ours("checkpoint.every", "in steps"),
    "checkpoint.dir": Ours("output"),
    "checkpoint.path": Ours("output"),
    "save_strategy": Ours("checkpoint.every", "in steps"),
    "save_total_limit": Ours("checkpoint.keep_last"),
    "max_actor_ckpt_to_keep": Ours("checkpoint.keep_last"),
    "metric_for_best_model": Ours("checkpoint.best_metric"),
    "resume_from_checkpoint": Ours("resume", "e.g. resume=auto"),
    "resume_mode": Ours("resume", "e.g. resume=auto"),
    "load_checkpoint_path": Ours("resume"),
    "log_completions": Ours("logging.samples_every", "the steps between two tables of them"),
    "report_to": Ours("logging.backends", BACKENDS),
    "logger": Ours("logging.backends", BACKENDS),
    "wandb_mode": Ours("logging.wandb", WANDB),
    "project_name": Ours("logging.project"),
    "wandb_project": Ours("logging.project"),
    "experiment_name": Ours("logging.run_name"),
    "logging.name": Ours("logging.run_name"),
    "wandb_name": Ours("logging.run_name"),
    "random_seed": Ours("seed"),
    "data_seed": Ours("seed"),
}
"""By the name in small letters, whole or its last part."""

OWN_INSTEAD: Mapping[str, str] = {
    "data": "images of your own are named by data.root=FOLDER",
    "reward": "a function of your own is named by reward.functions",
}
"""What to type for something of one's own that is no option of a group."""
