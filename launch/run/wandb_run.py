"""A run in W&B: curves, tables of samples and pictures. No other file imports wandb; no fault of W&B ends a run."""

import netrc
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import wandb

from launch.run.ending import End, Ending
from launch.run.folder import REPORT
from rewards.answers.parse import parse_answer
from rl.data.images import open_image
from rl.evaluation.config import Backend, LoggingConfig, WandbMode
from rl.evaluation.kept_maps import kept_map
from rl.evaluation.look_pictures import inspected, with_map, with_truth
from rl.metrics import meaning
from rl.roles import Metrics
from rl.types import Box, Group

TABLE_ROWS = 8
"""Groups in one table of samples, each shown with its first completion."""
TABLE_PIXELS = 512
"""Longest side of a picture in a table."""
ALERT = "The run may mislead"
INIT_TIMEOUT_S = 15.0
FINISH_TIMEOUT_S = 60.0
SECRET_ENDINGS = ("key", "token", "secret", "password")
NAME_LETTERS, TAG_LETTERS = 128, 64
"""Longest name of a run and longest tag that W&B accepts."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The entry of a run in W&B's lists."""

    name: str = ""
    """Experiment and overrides; "" for the name of the run folder."""
    tags: tuple[str, ...] = ()
    config: dict[str, Any]
    """The config without secrets."""


class WandbRun:
    """A W&B run that cannot stop ours: after its first failure, which is said, it records no more."""

    def __init__(
        self,
        folder: Path,
        config: LoggingConfig,
        listing: Listing,
        say: Callable[[str], None],
        resumed_id: str,
    ) -> None:
        self._say = say
        self._folder = folder
        self._known: set[str] = set()
        self._run: wandb.Run | None = None
        options = {
            "project": config.project,
            "name": shortened(config.run_name or listing.name or folder.resolve().name, NAME_LETTERS),
            "tags": [shortened(tag, TAG_LETTERS) for tag in listing.tags],
            "group": config.group or None,
            "id": resumed_id or None,
            "resume": "allow" if resumed_id else None,
            "dir": str(folder),
            "config": without_secrets(listing.config),
            "settings": wandb.Settings(
                init_timeout=INIT_TIMEOUT_S,
                login_timeout=INIT_TIMEOUT_S,
                finish_timeout=FINISH_TIMEOUT_S,
                console="off",
                silent=True,
            ),
        }
        mode = chosen_mode(config.wandb)
        if Backend.wandb in config.backends and mode != WandbMode.disabled.value:
            self._guarded(lambda: self._start(mode, options))
        self.id = str(self._run.id) if self._run else resumed_id
        """Id of the run in W&B; "" while W&B has recorded nothing."""

    def log(self, step: int, metrics: Metrics) -> None:
        self._guarded(lambda: self._log(step, metrics))

    def log_samples(self, step: int, name: str, groups: Sequence[Group]) -> None:
        """Record a table of samples with their images, true and predicted boxes drawn."""
        self._guarded(lambda: self._log_table(step, name, groups[:TABLE_ROWS]))

    def log_maps(self, step: int, name: str, groups: Sequence[Group], resize: str) -> None:
        """Record maps of where answers look, each over its image."""
        self._guarded(lambda: self._log_maps(step, name, groups, resize))

    def warn(self, sentence: str) -> None:
        """Send an alert; that of a run recorded offline goes out when the run is uploaded."""
        self._guarded(lambda: self._warn(sentence))

    def finish(self, summary: dict[str, Any], end: End) -> None:
        """End the run with its summary and, unless its folder is lost, its page."""
        self._guarded(lambda: self._finish(summary, end))

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever W&B raises is said and must not stop the training
            self._run = None
            self._say(f"W&B failed ({_first_line(error)}); the run goes on without it, metrics.jsonl has everything")

    def _start(self, mode: str, options: dict[str, Any]) -> None:
        # Pictures of tables are staged there until they are uploaded; W&B's default is the home folder.
        os.environ["WANDB_DATA_DIR"] = str(Path(options["dir"]).resolve() / "wandb")
        if mode == WandbMode.online.value:
            try:
                self._run = wandb.init(**(options | {"mode": mode}))
                self._say(f"W&B: {self._run.url}")
                return
            except Exception as error:  # noqa: BLE001 - an unreachable server is said, and the run is kept offline
                self._say(
                    f"W&B is out of reach ({_first_line(error)}); recording offline, `wandb sync` uploads it later"
                )
                # W&B's own process still holds the id of a run that goes on.
                wandb.teardown()
        self._run = wandb.init(**(options | {"mode": WandbMode.offline.value}))

    def _log(self, step: int, metrics: Metrics) -> None:
        if self._run is None:
            return
        for name in metrics.keys() - self._known:
            explained = meaning(name)
            if explained:
                self._run.define_metric(name, summary=explained.reduction.value)
        self._known |= metrics.keys()
        self._run.log(metrics, step=step)

    def _warn(self, sentence: str) -> None:
        if self._run is not None:
            # By title W&B takes a second alert for a repetition within this time, where 0 means a minute.
            self._run.alert(title=ALERT, text=sentence, level="WARN", wait_duration=0.001)

    def _log_table(self, step: int, name: str, groups: Sequence[Group]) -> None:
        if self._run is None:
            return
        rows = [_judged_row(group) if group.scores else _taught_row(group) for group in groups]
        table = wandb.Table(columns=["id", "image", "truth", *rows[0]])
        for group, row in zip(groups, rows, strict=True):
            picture = boxed_image(group) if group.prompt.sample.images else None
            table.add_data(group.prompt.sample.id, picture, group.prompt.target.label, *row.values())
        self._run.log({name: table}, step=step)

    def _log_maps(self, step: int, name: str, groups: Sequence[Group], resize: str) -> None:
        if self._run is not None:
            self._run.log({name: [mapped_image(group, resize) for group in groups]}, step=step)

    def _finish(self, summary: dict[str, Any], end: End) -> None:
        if self._run is not None:
            self._run.summary.update(summary)
            report = self._folder / REPORT
            if report.exists() and not end.is_lost:
                self._run.log({"report": wandb.Html(str(report), inject=False)})
            if end.ending is Ending.stopped:
                self._run.mark_preempting()
            self._run.finish(exit_code=end.ending.value)


def chosen_mode(mode: WandbMode) -> str:
    """Resolve `auto`: WANDB_MODE if it is set, else online if a key is configured, else offline."""
    if mode is not WandbMode.auto:
        return mode.value
    return os.environ.get("WANDB_MODE") or (WandbMode.online if _has_key() else WandbMode.offline).value


def _has_key() -> bool:
    """Return True if W&B finds a key in the environment or in netrc."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    with suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    return False


def shortened(text: str, letters: int) -> str:
    """Cut a text to this many letters, and show that it was cut.

    >>> shortened("algo.lr=1e-5", 8)
    'algo.lr…'
    """
    return text if len(text) <= letters else text[: letters - 1] + "…"


def without_secrets(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config with the values of keys that name a secret starred out.

    >>> without_secrets({"teacher": {"api_key": "abc", "max_tokens": 8}})
    {'teacher': {'api_key': '***', 'max_tokens': 8}}
    """
    return {
        name: without_secrets(value)
        if isinstance(value, dict)
        else ("***" if value and name.lower().endswith(SECRET_ENDINGS) else value)
        for name, value in config.items()
    }


def _judged_row(group: Group) -> dict[str, Any]:
    """Return the first completion and its rewards."""
    score = group.scores[0]
    return {"completion": group.completions[0].text, "reward": score.total, **score.components}


def _taught_row(group: Group) -> dict[str, Any]:
    """Return the better answer and, for a pair, the worse one."""
    return {name: each.text for name, each in zip(("chosen", "rejected"), group.completions, strict=False)}


def boxed_image(group: Group) -> wandb.Image:
    """Draw the true boxes and those of the first completion on the inspected image."""
    prompt = group.prompt
    answer = parse_answer(group.completions[0].text, prompt.sample.task, prompt.image_size)
    picture = open_image(prompt.sample.images[-1])
    picture.thumbnail((TABLE_PIXELS, TABLE_PIXELS))
    labels = prompt.target.box_labels or ("",) * len(prompt.target.boxes)
    return wandb.Image(
        picture,
        file_type="jpg",
        boxes={
            "truth": drawn_boxes(prompt.target.boxes, labels, prompt.image_size),
            "prediction": drawn_boxes(answer.boxes, answer.labels, prompt.image_size),
        },
    )


def mapped_image(group: Group, resize: str) -> wandb.Image:
    """Lay the map of the first answer over the inspected image, with the true place and J."""
    kept, prompt = kept_map(group), group.prompt
    picture = with_truth(with_map(inspected(prompt, TABLE_PIXELS), kept, resize), prompt)
    return wandb.Image(picture, caption=f"{prompt.sample.id} · J {kept.agreement:.2f}", file_type="jpg")


def drawn_boxes(boxes: Sequence[Box], labels: Sequence[str], image_size: tuple[int, int]) -> dict[str, Any]:
    """Return boxes in W&B's form; corners are shares of the image, so that the size of the picture does not matter."""
    width, height = image_size
    data = [
        {
            "position": {"minX": x1 / width, "minY": y1 / height, "maxX": x2 / width, "maxY": y2 / height},
            "class_id": 0,
            "box_caption": label,
        }
        for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True)
    ]
    return {"box_data": data, "class_labels": {0: "defect"}}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
