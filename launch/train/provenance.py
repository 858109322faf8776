"""How a run was made, for its report: the command, the code, the packages, and what differs from the default config."""

from operator import attrgetter

from conf.keys import as_typed, walk
from conf.schema import TrainConfig
from launch.pages.provenance import Provenance
from launch.run.invocation import invocation
from launch.run.paths import with_absolute_paths
from launch.run.software import TREE, commit_of, versions

WHERE = ("output", "resume")
"""Keys that say where a run is written, not what it does."""


def provenance(config: TrainConfig) -> Provenance:
    """Return the provenance of the run that this process is in."""
    return Provenance(
        command=invocation().command,
        folder=config.output,
        versions={"code": commit_of(TREE), **versions()},
        changed=changed_keys(config),
    )


def changed_keys(config: TrainConfig) -> list[tuple[str, str, str]]:
    """Return (key, default, value) of each key whose value is not the schema's default."""
    default = with_absolute_paths(TrainConfig())
    found = [(key.path, attrgetter(key.path)(default), attrgetter(key.path)(config)) for key in walk(TrainConfig)]
    return [(path, as_typed(old), as_typed(new)) for path, old, new in found if old != new and path not in WHERE]
