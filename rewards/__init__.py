"""Rewards of inspection; `as_trl` and `as_verl` adapt them to other trainers."""

from rewards.adapters import as_trl, as_verl

__all__ = ["as_trl", "as_verl"]
