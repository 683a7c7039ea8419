"""What distorts a measurement on this machine: its power mode, clocks, heat and other programs.

All paths are below `root`, so that tests can use the file tree of another machine. The layouts follow Linux,
Documentation/admin-guide/pm/cpufreq and Documentation/ABI/testing/sysfs-class-devfreq; proc_stat(5) for the load.
"""

from __future__ import annotations

import time
from pathlib import Path

from metaser.diagnostics.check import Check, State
from metaser.diagnostics.device import read_device
from metaser.diagnostics.nvpmodel import read_power_modes
from metaser.diagnostics.snapshot import read_snapshot
from metaser.runtime.system.kernel_files import read_number, read_text
from metaser.runtime.words import counted

POLICIES = "sys/devices/system/cpu/cpufreq/policy*"
GPUS_WITH_LIMITS = ("sys/class/devfreq/*.gpu", "sys/class/devfreq/*.g[apv][0-9]*b")
"""Not a Thor's: reading the lowest clock of its GPU was reported to block for ever."""

BUSY_CORES = 0.3
"""Other programs that keep more cores busy than this distort a measurement."""

PERFORMANCE = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"


def check_conditions(root: Path = Path("/"), load_s: float = 1.0) -> list[Check]:
    """Check what should be set before a measurement, each with the command that sets it.

    Parameters:
        load_s: for how long other programs are watched.
    """
    found = [_power_mode(root), _cores(root), _cpu_clock(root), _gpu_clock(root), _heat(root), _load(root, load_s)]
    return [check for check in found if check]


def _power_mode(root: Path) -> Check | None:
    modes = read_power_modes(root)
    if modes is None:
        profile = read_text(root / "sys/firmware/acpi/platform_profile")
        if profile is None:
            return None
        fix = None if profile == "performance" else "powerprofilesctl set performance"
        return Check("power mode", State.notice if fix else State.fine, profile, fix)
    if modes.chosen == modes.fastest:
        return Check("power mode", State.fine, f"{modes.current}, the fastest of this board")
    found = f"{modes.current}, not {modes.names[modes.fastest]}, the fastest of this board"
    return Check("power mode", State.notice, found, f"sudo nvpmodel -m {modes.fastest}")


def _cores(root: Path) -> Check | None:
    on, present = (_count(read_text(root / f"sys/devices/system/cpu/{name}")) for name in ("online", "present"))
    if not on or not present:
        return None
    if on == present:
        return Check("cores", State.fine, f"all {on} are on")
    return Check("cores", State.notice, f"{on} of {present} are on", "choose a power mode with all cores")


def _count(ranges: str | None) -> int:
    """`0-3,6` -> 5."""
    ends = [part.split("-") for part in (ranges or "").split(",") if part]
    return sum(int(each[-1]) - int(each[0]) + 1 for each in ends)


def _cpu_clock(root: Path) -> Check | None:
    device = read_device(root)
    policies = sorted(root.glob(POLICIES))
    limits = [[read_number(policy / f"scaling_{end}_freq") for end in ("min", "max")] for policy in policies]
    known = [(low, high) for low, high in limits if low and high]
    if not known:
        return None
    highest = f"{max(high for _, high in known) / 1e3:.0f} MHz"
    if device.governor == "performance" or all(low == high for low, high in known):
        return Check("cpu clock", State.fine, f"fixed at its maximum, {highest}")
    lowest = min(low for low, _ in known) / 1e3
    fix = "sudo jetson_clocks" if device.jetson else PERFORMANCE
    return Check("cpu clock", State.notice, f"varies from {lowest:.0f} to {highest}", fix)


def _gpu_clock(root: Path) -> Check | None:
    for folder in (folder for pattern in GPUS_WITH_LIMITS for folder in sorted(root.glob(pattern))):
        low, high = (read_number(folder / f"{end}_freq") for end in ("min", "max"))
        if low and high:
            if low == high:
                return Check("gpu clock", State.fine, f"fixed at its maximum, {high / 1e6:.0f} MHz")
            found = f"varies from {low / 1e6:.0f} to {high / 1e6:.0f} MHz"
            return Check("gpu clock", State.notice, found, "sudo jetson_clocks")
    return None


def _heat(root: Path) -> Check | None:
    now = read_snapshot(root)
    if now.throttled:
        found = f"too hot, so that these are slowed down: {', '.join(now.throttled)}"
        return Check("heat", State.notice, found, "let the board cool down, or add a fan")
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
    """(busy, all) time of the cores since the start, and their number, from `/proc/stat`: man 5 proc_stat."""
    lines = (read_text(root / "proc/stat") or "").splitlines()
    if not lines:
        return None
    times = [float(word) for word in lines[0].split()[1:9]]
    idle = sum(times[3:5])
    return sum(times) - idle, sum(times), sum(line.startswith("cpu") for line in lines) - 1
