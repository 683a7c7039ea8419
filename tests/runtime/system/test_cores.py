"""How many cores a process may use, in file trees of machines, containers and services with and without a quota."""

import os
from pathlib import Path

import pytest

from metaser.diagnostics.device import read_device
from metaser.diagnostics.doctor import examine
from metaser.runtime.providers.session import session_options
from metaser.runtime.system.cores import limited_threads, usable_cores

HALF, ONE_AND_A_HALF, THREE = "50000 100000", "150000 100000", "30000 10000"
NO_QUOTA = "max 100000"
V2 = "0::/user.slice/app.service"
V1 = "9:name=systemd:/\n4:cpu,cpuacct:/docker/0123\n3:cpuset:/docker/0123\n0::/"


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight cores that the process may all run on."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """A file tree with the control groups of this process, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups + "\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": str(quota), f"{folder}/cpu.cfs_period_us": str(period)}


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("", {}, 8),
        (V2, {"user.slice/app.service/cpu.max": NO_QUOTA}, 8),
        (V2, {"user.slice/app.service/cpu.max": HALF}, 1),
        (V2, {"user.slice/app.service/cpu.max": ONE_AND_A_HALF}, 1),
        (V2, {"user.slice/app.service/cpu.max": THREE}, 3),
        (V2, {"user.slice/app.service/cpu.max": NO_QUOTA, "user.slice/cpu.max": THREE}, 3),
        (V2, {"user.slice/app.service/cpu.max": "900000 100000"}, 8),
        ("0::/", {"cpu.max": THREE}, 3),  # in a container with a namespace of its own
        ("0::/docker/0123", {"cpu.max": THREE}, 3),  # in one without: the path is the host's
        ("0::/../../other", {"cpu.max": THREE}, 3),
        (V2, {"unified/user.slice/app.service/cpu.max": THREE}, 3),
        (V1, v1("cpu,cpuacct/docker/0123", 200_000), 2),
        (V1, v1("cpu/docker/0123", 250_000), 2),
        (V1, v1("cpu,cpuacct/docker/0123", -1), 8),
        (V1, v1("cpu,cpuacct", 50_000), 1),
        (V1, {**v1("cpu/docker/0123", 500_000), **v1("cpu/docker", 300_000)}, 3),
        (V1, v1("cpuacct/docker/0123", 100_000), 8),  # not the folder of the quota
        (V2, {"user.slice/app.service/cpu.max": "nonsense"}, 8),
        (V2, {"user.slice/app.service/cpu.max": "100000 0"}, 8),
        ("nonsense", {"cpu.max": THREE}, 8),
    ],
)
def test_a_quota_of_a_control_group_or_of_one_above_it_limits_the_cores(
    groups: str, files: dict[str, str], cores: int, tmp_path: Path
) -> None:
    assert usable_cores(machine(tmp_path, groups, files)) == cores


def test_an_affinity_limits_the_cores_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine(tmp_path, V2, {"user.slice/app.service/cpu.max": THREE})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5})
    assert usable_cores(root) == 2


def test_the_default_number_of_threads_is_onnxruntimes_only_if_nothing_limits_the_process(tmp_path: Path) -> None:
    root = machine(tmp_path, V2, {"user.slice/app.service/cpu.max": NO_QUOTA})
    assert limited_threads(root) is None
    (root / "sys/fs/cgroup/user.slice/app.service/cpu.max").write_text(THREE)
    assert limited_threads(root) == 3


def test_two_logical_processors_of_a_core_get_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu in range(8):
        path = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        path.parent.mkdir(parents=True)
        path.write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4, 5})
    assert (usable_cores(tmp_path), limited_threads(tmp_path)) == (4, 2)


def test_sessions_take_no_more_threads_than_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert session_options().intra_op_num_threads == 1
    assert session_options(3).intra_op_num_threads == 3  # as asked for


def test_what_is_reported_of_a_machine_is_what_the_process_may_use(tmp_path: Path) -> None:
    root = machine(tmp_path, V2, {"user.slice/app.service/cpu.max": THREE})
    assert read_device(root).cores == 3
    assert "3 of 8 cores" in next(examine(None, tmp_path / "none", root)).found
