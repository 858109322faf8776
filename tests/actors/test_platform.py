import platform
from pathlib import Path

from actors.platform import processor


def test_the_processor_is_named_as_linux_names_it(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast 9 @ 3GHz\nmodel name\t: Fast 9 @ 3GHz\n")
    assert processor(tmp_path / "cpuinfo") == "Fast 9 @ 3GHz"


def test_elsewhere_its_architecture_has_to_do(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 243.75\n")
    assert processor(tmp_path / "cpuinfo") == processor(tmp_path / "none") == platform.machine()
