"""When W&B is asked, and what it may be told; what it records of a run is in test_tracking.py."""

from pathlib import Path

import pytest

from launch.run.wandb_run import chosen_mode, drawn_boxes, without_secrets
from rl.evaluation.config import WandbMode


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("key", "netrc", "expected"),
    [
        ("", "", "offline"),
        ("sesame", "", "online"),
        ("", "machine api.wandb.ai login user password sesame", "online"),
        ("", "machine elsewhere login user password sesame", "offline"),
        ("", "not a netrc file", "offline"),
    ],
)
def test_auto_is_online_only_where_a_key_is_configured(
    key: str, netrc: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    (tmp_path / "netrc").write_text(netrc)
    assert chosen_mode(WandbMode.auto) == expected


def test_auto_follows_wandbs_own_variable_and_a_chosen_mode_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert chosen_mode(WandbMode.auto) == "disabled"
    assert chosen_mode(WandbMode.offline) == "offline"


def test_boxes_are_drawn_as_shares_of_what_the_model_saw() -> None:
    drawn = drawn_boxes([(2, 1, 6, 10)], ["cut"], (10, 20))
    assert drawn["box_data"] == [
        {"position": {"minX": 0.2, "minY": 0.05, "maxX": 0.6, "maxY": 0.5}, "class_id": 0, "box_caption": "cut"}
    ]


def test_only_names_of_secrets_are_starred() -> None:
    config = {"model": {"path": "x"}, "max_tokens": 8, "hub_token": "abc", "teacher": {"api_key": ""}}
    expected = {"model": {"path": "x"}, "max_tokens": 8, "hub_token": "***", "teacher": {"api_key": ""}}
    assert without_secrets(config) == expected
