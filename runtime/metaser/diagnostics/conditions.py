"""What distorts a measurement on this machine: its power mode, clocks, heat and other programs.

All paths are below `root`, so that tests can use the file tree of another machine. The layouts follow Linux,
Documentation/admin-guide/pm/cpufreq, Documentation/ABI/testing/sysfs-class-devfreq, sysfs-class-power and
sysfs-platform_profile; proc_stat(5) for the load.
"""

from __future__ import annotations

import time
from pathlib import Path

from metaser.diagnostics.check import Check, State
from metaser.diagnostics.device import GPUS, POLICIES, Device, read_device
from metaser.diagnostics.nvpmodel import read_power_modes
from metaser.diagnostics.snapshot import read_snapshot
from metaser.runtime.system.kernel_files import read_number, read_text
from metaser.runtime.words import counted

THOR = "gpu-gpc"
"""Beginning of the name of a Thor's GPU: reading its lowest clock was reported to block for ever."""

BUSY_CORES = 0.3
"""Other programs that keep more cores busy than this distort a measurement."""

PERFORMANCE = "performance"
SET_GOVERNOR = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
SET_PROFILE = "echo performance | sudo tee /sys/firmware/acpi/platform_profile"
SET_ONLINE = "echo 1 | sudo tee /sys/devices/system/cpu/cpu*/online"
SET_CLOCKS = "sudo jetson_clocks"


def check_conditions(root: Path = Path("/"), load_s: float = 1.0) -> list[Check]:
    """Check what should be set before a measurement, each with what to do.

    Parameters:
        load_s: for how long other programs are watched.
    """
    device = read_device(root)
    found = [
        _power_mode(root), _supply(root), _cores(root, device), _cpu_clock(root, device), _gpu_clock(root, device),
        _heat(root), _load(root, load_s),
    ]  # fmt: skip
    return [check for check in found if check]


def _power_mode(root: Path) -> Check | None:
    modes = read_power_modes(root)
    if modes is None:
        return _profile(root)
    if not modes.names:
        return Check("power mode", State.fine, modes.current)
    if modes.chosen == modes.fastest:
        return Check("power mode", State.fine, f"{modes.current}, the fastest of this board")
    found = f"{modes.current}, not {modes.names[modes.fastest]}, the fastest of this board"
    return Check("power mode", State.notice, found, f"sudo nvpmodel -m {modes.fastest}")


def _profile(root: Path) -> Check | None:
    """The platform profile of a computer."""
    folder = root / "sys/firmware/acpi"
    profile, choices = (read_text(folder / name) for name in ("platform_profile", "platform_profile_choices"))
    if profile is None:
        return None
    if profile == PERFORMANCE or PERFORMANCE not in (choices or "").split():
        return Check("power mode", State.fine, profile)
    return Check("power mode", State.notice, f"{profile}, not {PERFORMANCE}", SET_PROFILE)


def _supply(root: Path) -> Check | None:
    supplies = sorted(root.glob("sys/class/power_supply/*"))
    mains = [read_number(folder / "online") for folder in supplies if read_text(folder / "type") == "Mains"]
    if not mains or any(mains):
        return None
    return Check("power supply", State.notice, "runs on its battery", "connect the power supply")


def _cores(root: Path, device: Device) -> Check | None:
    on, present = (_count(read_text(root / f"sys/devices/system/cpu/{name}")) for name in ("online", "present"))
    if not on or not present:
        return None
    if on == present:
        return Check("cores", State.fine, f"all {on} are on")
    fix = "choose a power mode with all cores" if device.jetson else SET_ONLINE
    return Check("cores", State.notice, f"{on} of {present} are on", fix)


def _count(ranges: str | None) -> int:
    """`0-3,6` -> 5."""
    ends = [part.split("-") for part in (ranges or "").split(",") if part]
    return sum(int(each[-1]) - int(each[0]) + 1 for each in ends)


def _cpu_clock(root: Path, device: Device) -> Check | None:
    policies = sorted(root.glob(POLICIES))
    limits = [[read_number(policy / f"scaling_{end}_freq") for end in ("min", "max")] for policy in policies]
    known = [(low, high) for low, high in limits if low and high]
    if not known:
        return None
    highest = max(high for _, high in known) / 1e3
    if all(low == high for low, high in known):
        return Check("cpu clock", State.fine, f"fixed at {highest:.0f} MHz")
    lowest = min(low for low, _ in known) / 1e3
    found = f"varies from {lowest:.0f} to {highest:.0f} MHz, governor {device.governor or 'not known'}"
    if device.governor == PERFORMANCE:
        return Check("cpu clock", State.fine, found)
    return Check("cpu clock", State.notice, found, SET_CLOCKS if device.jetson else SET_GOVERNOR)


def _gpu_clock(root: Path, device: Device) -> Check | None:
    folders = [folder for pattern in GPUS for folder in sorted(root.glob(pattern)) if THOR not in folder.name]
    for folder in folders if device.jetson else []:
        low, high = (read_number(folder / f"{end}_freq") for end in ("min", "max"))
        if low and high:
            if low == high:
                return Check("gpu clock", State.fine, f"fixed at {high / 1e6:.0f} MHz")
            found = f"varies from {low / 1e6:.0f} to {high / 1e6:.0f} MHz"
            return Check("gpu clock", State.notice, found, SET_CLOCKS)
    return None


def _heat(root: Path) -> Check | None:
    now = read_snapshot(root)
    if now.throttled:
        found = f"slowed down: {', '.join(now.throttled)}"
        return Check("heat", State.notice, found, "let the board cool down, add a fan, or use a stronger supply")
    if now.hottest_c is None:
        return None
    return Check("heat", State.fine, f"{now.hottest_c:.0f} °C at the hottest place")


def _load(root: Path, seconds: float) -> Check | None:
    """Other programs: this process sleeps meanwhile, so all work is that of others."""
    before = _busy(root)
    time.sleep(seconds)
    after = _busy(root)
    if not before or not after or after[1] <= before[1]:
        return None
    cores = (after[0] - before[0]) / (after[1] - before[1]) * after[2]
    found = f"other programs use {cores:.1f} of {counted(after[2], 'core')}"
    if cores > BUSY_CORES:
        return Check("load", State.notice, found, "end them, or wait until they are done")
    return Check("load", State.fine, found)


def _busy(root: Path) -> tuple[float, float, int] | None:
    """(busy, all) time of the cores since the start, without time that a host gave to others, and their number."""
    lines = (read_text(root / "proc/stat") or "").splitlines()
    if not lines:
        return None
    times = [float(word) for word in lines[0].split()[1:8]]  # user nice system idle iowait irq softirq
    idle = sum(times[3:5])
    return sum(times) - idle, sum(times), sum(line.startswith("cpu") for line in lines) - 1
