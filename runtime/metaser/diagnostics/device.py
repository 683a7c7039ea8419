"""What this machine is: model, processor, clocks and power mode, read from the files where Linux keeps them.

Every path lies under `root`, so that tests can give the file tree of another machine. Documented layouts, read on an
x86 machine and, for the boards, in trees written after these documents:

- `/proc/device-tree/model` names a board: Linux, Documentation/devicetree/usage-model.
- `/sys/devices/system/cpu/cpufreq/policy*/`, in kHz: Linux, Documentation/admin-guide/pm/cpufreq.
- `/sys/class/devfreq/*gpu*/`, in Hz: Linux, Documentation/ABI/testing/sysfs-class-devfreq. Jetson names its GPU so.
- `/etc/nv_tegra_release`, `/etc/nvpmodel.conf` and `/var/lib/nvpmodel/status`: NVIDIA's Jetson Linux Developer Guide,
  "Power Modes"; jetson-stats reads the first and `nvpmodel -q`, which prints what the other two say.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from metaser.runtime.system.cores import usable_cores
from metaser.runtime.system.kernel_files import read_number, read_text

CPU_FLAGS = ("avx2", "avx512f", "amx_bf16", "sve", "bf16", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Those that the speed of products of 8 bits and of 32 bits depends on."""

JETPACKS = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}


@dataclass(frozen=True)
class Device:
    """A machine, as far as its figures depend on it."""

    model: str
    """The board as its device tree names it, the processor where there is none."""

    processor: str
    flags: tuple[str, ...]
    """Those of the processor's features that matter here."""

    cores: int
    """How many this process may use: by its CPU affinity and quota, a part of a core not counted."""

    system: str
    power_mode: str | None
    """nvpmodel's mode on a Jetson, the platform profile on a computer that has one."""

    governor: str | None
    cpu_mhz: tuple[float, float] | None
    """(now, the most allowed), of the fastest cores."""

    gpu_mhz: tuple[float, float] | None
    jetson: str | None
    """The release of Jetson Linux, such as "36.4.3 (JetPack 6)"."""


def read_device(root: Path = Path("/")) -> Device:
    """Describe the machine whose file system begins at `root`."""
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    processor = _cpuinfo(cpuinfo, "model name") or platform.processor() or platform.machine()
    features = (_cpuinfo(cpuinfo, "flags") or _cpuinfo(cpuinfo, "Features") or "").split()
    return Device(
        model=read_text(root / "proc/device-tree/model") or processor,
        processor=processor,
        flags=tuple(flag for flag in CPU_FLAGS if flag in features),
        cores=usable_cores(root),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        power_mode=_power_mode(root) or read_text(root / "sys/firmware/acpi/platform_profile"),
        governor=_governor(root),
        cpu_mhz=_clock(root, "sys/devices/system/cpu/cpufreq/policy*", "scaling_cur_freq", "scaling_max_freq", 1e3),
        gpu_mhz=_clock(root, "sys/class/devfreq/*gpu*", "cur_freq", "max_freq", 1e6)
        or _clock(root, "sys/class/devfreq/*.g[apv][0-9]*b", "cur_freq", "max_freq", 1e6),
        jetson=_jetson(root),
    )


def _cpuinfo(text: str, field: str) -> str | None:
    found = re.search(rf"^{field}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def _governor(root: Path) -> str | None:
    policies = sorted(root.glob("sys/devices/system/cpu/cpufreq/policy*/scaling_governor"))
    return "/".join(sorted({text for path in policies if (text := read_text(path))})) or None


def _clock(root: Path, folders: str, now: str, most: str, units_a_mhz: float) -> tuple[float, float] | None:
    pairs = [(read_number(folder / most), read_number(folder / now)) for folder in root.glob(folders)]
    known = [(limit / units_a_mhz, clock / units_a_mhz) for limit, clock in pairs if limit and clock]
    limit, clock = max(known, default=(0.0, 0.0))
    return (clock, limit) if known else None


def _jetson(root: Path) -> str | None:
    """`# R36 (release), REVISION: 4.3, GCID: ...` -> "36.4.3 (JetPack 6)"."""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", read_text(root / "etc/nv_tegra_release") or "")
    if not found:
        return None
    jetpack = JETPACKS.get(found[1])
    return f"{found[1]}.{found[2]}" + (f" (JetPack {jetpack})" if jetpack else "")


def _power_mode(root: Path) -> str | None:
    """The name of the mode whose number nvpmodel keeps as `pmode:0002`, or of the default that it starts in."""
    modes = read_text(root / "etc/nvpmodel.conf") or ""
    chosen = re.search(r"pmode:(\d+)", read_text(root / "var/lib/nvpmodel/status") or "")
    chosen = chosen or re.search(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)", modes, re.MULTILINE)
    if not chosen:
        return None
    names = dict(re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", modes, re.MULTILINE))
    return str(names.get(str(int(chosen[1])), f"mode {int(chosen[1])}"))
