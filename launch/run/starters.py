"""A warning about a starter, or what comes from one, that meets photos which are not the demo's."""

from rl.model_config import model_config

MOST_TOKENS = 1000
"""Largest vocabulary of a starter; that of a pretrained model is a hundred times as large."""


def starter_warnings(model: str, photos: str, *, are_demo: bool) -> list[str]:
    """Return a warning if `model` is a starter and `photos`, as typed (input=new), are not the demo's; else [].

    `are_demo` says if `assay data` wrote all the photos.
    """
    num_tokens = model_config(model).text_config.vocab_size
    if num_tokens > MOST_TOKENS or are_demo:
        return []
    return [
        f"model.path={model} is a starter or comes from one: with its vocabulary of {num_tokens} tokens it is made for "
        f"the demo's generated parts, not for photos such as those of {photos}; take a pretrained model, e.g. "
        "model=qwen2_5_vl_3b"
    ]
