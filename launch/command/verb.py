"""The class of everything that `assay` does with a config."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from rl.faults import UserError


def nothing_to_check(config: Any) -> None:
    """Accept every config."""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """Word after `assay`, with its config and the function that runs it."""

    name: str
    """The word; conf/<name>.yaml is the primary config."""
    summary: str
    """Line in the list of verbs."""
    examples: tuple[str, ...]
    """Commands that work as they stand."""
    schema: type
    """Dataclass of the config; its key `output` names the folder or file that a run writes."""
    required: Mapping[str, str] = field(default_factory=dict)
    """Keys that have to be given, each with what to type, e.g. "input": "input=FOLDER"."""
    is_long: bool = False
    """True if a run takes minutes or more; without any key it is not started, and the usage is shown."""
    is_swept: bool = True
    """False if -m is refused: several runs would write into one file or folder, or one run takes several itself."""
    check: Callable[[Any], None] = nothing_to_check
    """Raises a UserError for a contradiction in the config."""
    check_here: Callable[[Any], None] = nothing_to_check
    """Raises a UserError for what this machine lacks, such as files and GPUs; skipped for a run on another machine."""
    run: Callable[[Any], int]
    """Takes the config, returns the exit code."""
    lists: tuple[str, ...] = ()
    """Keys whose value is a list of files with commas between; only -m makes jobs of them."""
    unnamed: str = ""
    """Key, a list, whose values are typed without it; "" if every value needs its key."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Keys and sections that this verb ignores, each with the reason."""
    is_stage: bool = False
    """True if a chain can have the verb as a stage; its run leaves summary.json in `output`."""
    trains: bool = False
    """True if a run makes a model: the next stages of a chain start from it, a sweep ranks such runs by an entry of
    their summaries, and they can run as Ray jobs."""

    stages: Mapping[str, "Verb"] = field(default_factory=dict)
    """Verbs that the stages of a chain can have, if the verb runs chains."""

    def check_required(self, config: Any) -> None:
        """Raise a UserError that names all required keys that are not given."""
        missing = [typed for path, typed in self.required.items() if not attrgetter(path)(config)]
        if missing:
            raise UserError(f"give {' and '.join(missing)}, e.g. {self.examples[0]}")
