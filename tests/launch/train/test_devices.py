from actors.placement import Slot
from launch.train.devices import Devices


def occupied(
    *names: str, cpus: float = 4.0, gpus: float = 0.0, places: tuple[str, ...] = ("node a, pid 1",)
) -> Devices:
    devices = Devices()
    devices.occupy([Slot(kind="learner", cpus=cpus, gpus=gpus)] * len(names), names, places)
    return devices


def test_gpus_are_counted_where_there_are_any_and_cores_elsewhere() -> None:
    assert occupied("H200", "H200", gpus=2.0).in_words() == "4 GPUs (H200) on 1 machine"
    assert occupied("Fast 9", "Fast 9", cpus=0.5).in_words() == "1 CPU core reserved in Ray (Fast 9) on 1 machine"


def test_different_devices_are_told_apart_and_machines_counted_by_their_nodes() -> None:
    places = ("node 1 a, pid 1, log x", "node 1 a, pid 2, log y", "node 2 b, pid 1, log x")
    devices = occupied("H200", "A100", "H200", gpus=1.0, places=places)
    assert devices.in_words() == "3 GPUs (2 × H200, 1 × A100) on 2 machines"


def test_device_hours_are_devices_times_hours() -> None:
    assert occupied("H200", "H200", gpus=0.5).hours(5400) == {"gpu_hours": 1.5}
    assert occupied("Fast 9", cpus=3.0).hours(1200) == {"core_hours": 1.0}


def test_a_run_whose_actors_never_started_has_cost_nothing() -> None:
    assert (Devices().in_words(), Devices().hours(60)) == ("", {})
