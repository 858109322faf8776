"""The devices that a run occupies, in words, and for how long."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from actors.peers import counted
from actors.placement import Slot

DIGITS = 4


@dataclass(kw_only=True)
class Devices:
    """Devices of a run; all fields are empty until its actors have started."""

    slots: Sequence[Slot] = ()
    """Room that the run has reserved."""
    names: Sequence[str] = ()
    """Name of each learner's GPU or processor."""
    num_machines: int = 0

    def occupy(self, slots: Sequence[Slot], names: Sequence[str], places: Sequence[str]) -> None:
        """Take note of the room, of the learners' devices, and of the places (`Peer.place`) of all actors."""
        self.slots, self.names = slots, names
        self.num_machines = len({place.partition(",")[0] for place in places})

    @property
    def gpus(self) -> float:
        return sum(slot.gpus for slot in self.slots)

    @property
    def cores(self) -> float:
        return sum(slot.cpus for slot in self.slots)

    def in_words(self) -> str:
        """Return the kind and number of devices and machines; "" before the actors have started.

        >>> devices = Devices()
        >>> devices.occupy([Slot(kind="learner", cpus=4, gpus=2)] * 2, ["NVIDIA H200"] * 2, ["node a, pid 1"])
        >>> devices.in_words()
        '4 GPUs (NVIDIA H200) on 1 machine'
        """
        if not self.slots:
            return ""
        kind, amount = ("GPU", self.gpus) if self.gpus else ("CPU core", self.cores)
        names = Counter(self.names)
        each = ", ".join(f"{count} × {name}" if len(names) > 1 else name for name, count in names.items())
        number = f"{amount:g} {kind}" if amount == 1 else f"{amount:g} {kind}s"
        # These are the shares that Ray plans with, which are not the cores of the machines.
        number += "" if self.gpus else " reserved in Ray"
        return f"{number} ({each}) on {counted(self.num_machines, 'machine')}"

    def hours(self, seconds: float) -> dict[str, float]:
        """Return the device-hours of so many seconds as an entry of the summary; {} before the actors have started.

        >>> devices = Devices(slots=[Slot(kind="learner", cpus=4, gpus=0.5)] * 2)
        >>> devices.hours(1800)
        {'gpu_hours': 0.5}
        """
        if not self.slots:
            return {}
        name, amount = ("gpu_hours", self.gpus) if self.gpus else ("core_hours", self.cores)
        return {name: float(f"{amount * seconds / 3600:.{DIGITS}g}")}
