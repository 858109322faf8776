"""`assay train` up to its first actor: open the folder, find the start, read the data.

ray, torch and transformers take many seconds to import, so what needs them is imported after what can be refused
without them: a folder that is taken, a missing checkpoint, a layout that is not known, a damaged image.
"""

import json
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from actors.config import profiled_steps
from conf.schema import TrainConfig
from launch.run.folder import REPORT, run_folder
from launch.run.paths import with_absolute_paths
from launch.run.resume import changes, check_first_model, find_start, finished, prepare, take_over, with_first_model
from launch.run.samples import read_split
from rewards.compose import check_boxes
from rewards.config import weights
from rl.checkpoints import Checkpoint, step_folders

if TYPE_CHECKING:
    from launch.train.data import Data


def main(config: TrainConfig) -> int:
    """Train from the data to the report; the last printed line is the summary."""
    with run_folder(config.output) as folder:
        config = with_absolute_paths(with_first_model(config, folder))
        data = None
        if config.num_epochs:
            data = _say_and_read_data(config)
            config = replace(config, num_steps=steps_of(config, len(data.training)))
            profiled_steps(config.profile, config.num_steps)
        known = step_folders(folder)
        start = find_start(config, folder, print)
        summary = finished(folder, start, config.num_steps)
        if summary is not None:
            print(f"{folder} has done its {config.num_steps} steps; raise num_steps or num_epochs to go on")
            print(f"report: {folder / REPORT}")
            print(json.dumps(summary))
            return 0
        data = data or _say_and_read_data(config)
        if start:
            _say_what_changed(start, config, data)
        epoch = take_over(folder)
        if step_folders(folder) != known:
            # Until then, what an earlier process left running may have committed another checkpoint.
            start = find_start(config, folder, print)
        prepare(folder, start, print)
        if start:
            print(f"going on from {start.folder}")
        from launch.train.run import open_run, train_and_record

        return train_and_record(open_run(config, folder, data, start, epoch))


def _say_and_read_data(config: TrainConfig) -> "Data":
    check_first_model(config)
    print("reading the data", flush=True)
    data = read_data(config)
    print(data.in_words, flush=True)
    return data


def _say_what_changed(start: Checkpoint, config: TrainConfig, data: "Data") -> None:
    if start.record.data_hash != data.hash:
        print(f"the data differs from that of {start.folder}: the run goes on at the same place among other samples")
    for change in changes(start, config):
        print(change)


def read_data(config: TrainConfig) -> "Data":
    """Open every file once, the images first, so that a bad one is named before an actor starts."""
    training, heldout = read_split(config.data, config.seed)
    # Of lessons, only the samples that they teach are trained on.
    check_boxes(heldout if config.data.lessons else training + heldout, weights(config.reward))
    from launch.train.data import read_and_check

    return read_and_check(config, training, heldout)


def steps_of(config: TrainConfig, num_samples: int) -> int:
    """Return the steps that draw num_epochs times the samples; the last step may reach into a further epoch."""
    return ceil(config.num_epochs * num_samples / config.algo.num_prompts)
