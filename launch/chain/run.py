"""Runs a chain: its stages one after the other, each from the model that the last training made."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from conf.schema import ExportConfig, TrainConfig
from launch.chain.stages import MODEL, Stage, stages_of
from launch.export.run import main as export
from launch.pages.chain_page import StageRow, chain_page
from launch.run.crash import sentence_of
from launch.run.ending import End, each_done
from launch.run.folder import CHAIN, CONFIG, METRICS, REPORT, dump_config, plain, run_folder, write_json, write_whole
from launch.run.invocation import invocation, invoked
from launch.run.members import SUMMARY, begin_summary, flattened, read_summary, why_ended_early
from launch.run.model_folder import MADE
from launch.run.wandb_run import without_secrets
from rl.checkpoints import WRITTEN_AT, step_folders
from rl.faults import RunFailure, UserError

AROUND = ("output", "resume", "logging", "checkpoint", "cluster")
"""Keys and sections that do not affect the result of a stage."""


class Chain:
    """Folder of a chain; its chain.json holds the config and the summary of each stage that is done."""

    def __init__(self, folder: Path, stages: Sequence[Stage], resume: str) -> None:
        """Raise a UserError when the folder holds something else, or stages that are not in this chain."""
        self.folder = folder
        self.stages = stages
        names = [stage.folder.name for stage in stages]
        before = _recorded(folder, resume)
        begun = [name for name in before["stages"] if (folder / name).exists()]
        strange = [name for name in begun if name not in names]
        if strange:
            raise UserError(f"output={folder} holds {strange[0]}, which is not in this chain; give another folder")
        num_done = next(
            (i for i, name in enumerate(names) if name not in before["done"] or name not in begun), len(names)
        )
        ahead = [name for name in names[num_done + 1 :] if name in begun]
        if ahead:
            raise UserError(f"{folder / ahead[0]}: {names[num_done]} is to run before it; remove it to run it anew")
        self._done: dict[str, dict[str, Any]] = {name: before["done"][name] for name in names[:num_done]}
        self._write()

    def is_done(self, stage: Stage) -> bool:
        return stage.folder.name in self._done

    def finish(self, stage: Stage) -> None:
        """Record that a stage has ended and left all that the next ones need."""
        self._done[stage.folder.name] = {"config": _facts(stage), "summary": read_summary(stage.folder)}
        self._write()

    def changes(self, stage: Stage) -> list[str]:
        """Return a sentence for each value of a finished stage that has changed since it ran."""
        before, now = self._done[stage.folder.name]["config"], _facts(stage)
        return [
            f"stage {stage.name} ran with {key}={before.get(key)}, not {value}; it is not run again"
            for key, value in now.items()
            if before.get(key) != value
        ]

    def summarize(self, ending: Mapping[str, str]) -> None:
        """Write the summary and the page: the last finished stage's summary, and all stages' under `stages`."""
        done = {stage.name: self._done[stage.folder.name]["summary"] for stage in self.stages if self.is_done(stage)}
        last = list(done.values())[-1] if done else {}
        seconds = round(sum(summary.get("seconds", 0.0) for summary in done.values()), 1)
        told = {**last, "output": str(self.folder), "seconds": seconds, **ending, "stages": done}
        rows = [
            StageRow(
                name=stage.name,
                folder=stage.folder.name,
                entries=flattened(done.get(stage.name, {})),
                done=self.is_done(stage),
                report=(stage.folder / REPORT).exists(),
            )
            for stage in self.stages
        ]
        page = chain_page(self.folder.name, rows, why_ended_early(ending))
        each_done(
            lambda: write_json(self.folder / SUMMARY, told),
            lambda: write_whole(self.folder / REPORT, page),
        )

    def _write(self) -> None:
        names = [stage.folder.name for stage in self.stages]
        write_json(self.folder / CHAIN, {"stages": names, "done": self._done, WRITTEN_AT: time.time()})


def main(config: TrainConfig) -> int:
    """Run the stages that are not done; the last printed line is the summary of the chain."""
    with run_folder(config.output) as folder:
        chain = Chain(folder.resolve(), stages_of(config), config.resume)
        write_whole(folder / CONFIG, dump_config(config))
        return run(chain)


def run(chain: Chain) -> int:
    """Run the stages that are not done; return 0, or the exit code of the stage that ended the chain early.

    However the chain ends, its summary says so; what goes wrong with that is told beside the fault that ended it.
    """
    code, ending, cause = 1, End().entry, None
    try:
        begin_summary(chain.folder)
        code, ending = _run_stages(chain)
    except Exception as error:  # noqa: BLE001 - raised below as a RunFailure
        cause, ending = error, {"failed": sentence_of(error, str(chain.folder))}
    finally:
        unrecorded = _record(chain, ending)
    if cause or unrecorded:
        raise RunFailure("; besides, ".join(filter(None, (why_ended_early(ending), unrecorded)))) from cause
    if code == 0:
        print(f"report: {chain.folder / REPORT}")
        print(json.dumps(read_summary(chain.folder)))
    return code


def _record(chain: Chain, ending: Mapping[str, str]) -> str:
    """Write summary and page; return what went wrong with that, "" if nothing did."""
    try:
        chain.summarize(ending)
    except Exception as error:  # noqa: BLE001 - told beside the fault that ended the chain
        return sentence_of(error, str(chain.folder))
    return ""


def _run_stages(chain: Chain) -> tuple[int, dict[str, str]]:
    """Run the stages that are not done; return the exit code and the summary's entry about an early end."""
    model = ""
    for number, stage in enumerate(chain.stages, start=1):
        named = f"stage {number} of {len(chain.stages)}, {stage.name},"
        if chain.is_done(stage):
            print("\n".join([f"{named} is done", *chain.changes(stage)]), flush=True)
        else:
            print(f"{named} runs in {stage.folder}", flush=True)
            code = _run(chain, stage, model)
            if code:
                return code, _early_end(stage, code)
            chain.finish(stage)
        if stage.verb.trains:
            model = str((stage.folder / MADE).resolve())
    return 0, {}


def _run(chain: Chain, stage: Stage, model: str) -> int:
    """Run a stage; return its exit code."""
    config = stage.config
    if model and MODEL not in stage.values:
        config = replace(config, model=replace(config.model, path=model))
    try:
        with invoked(replace(invocation(), stage=stage.name)):
            code = stage.verb.run(config)
        if code == 0 and stage.verb.trains:
            _export(stage)
    except Exception as error:
        raise RunFailure(f"stage {stage.name}: {sentence_of(error, str(chain.folder))}") from error
    return code


def _early_end(stage: Stage, code: int) -> dict[str, str]:
    """Return the summary's entry about a stage that ended with this code."""
    ended = read_summary(stage.folder)
    ending = "stopped" if "stopped" in ended else "failed"
    return {ending: f"stage {stage.name}: {why_ended_early(ended) or f'exit code {code}'}"}


def _export(stage: Stage) -> None:
    """Export the last checkpoint of the stage, in place of what an interrupted export left."""
    made = stage.folder / MADE
    if made.exists():
        shutil.rmtree(made)
    export(ExportConfig(checkpoint=str(stage.folder), output=str(made)))


def _recorded(folder: Path, resume: str) -> dict[str, Any]:
    """Read chain.json; return an empty record for a new folder."""
    if step_folders(folder) or (folder / METRICS).exists():
        raise UserError(f"output={folder} holds a run without stages; give another folder")
    file = folder / CHAIN
    if not file.exists():
        return {"stages": [], "done": {}}
    if not resume:
        raise UserError(f"output={folder} holds a chain; resume=auto goes on with it, or give another folder")
    return json.loads(file.read_text(encoding="utf-8"))


def _facts(stage: Stage) -> dict[str, Any]:
    """Return the values that affect the result of the stage, by dotted key."""
    values = without_secrets(plain(stage.config))
    return {key: value for key, value in _flat(values).items() if key.split(".")[0] not in AROUND}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat
