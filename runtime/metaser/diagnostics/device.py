"""Model, processor, clocks and power mode of this machine, read from files of the Linux kernel.

All paths are below `root`, so that tests can use the file tree of another machine. The layouts follow these documents.
They were checked on an x86 machine; those of the boards only in file trees written from the documents:

- `/proc/device-tree/model` names a board: Linux, Documentation/devicetree/usage-model.
- `/sys/devices/system/cpu/cpufreq/policy*/`, in kHz: Linux, Documentation/admin-guide/pm/cpufreq.
- `/sys/class/devfreq/*/`, in Hz: Linux, Documentation/ABI/testing/sysfs-class-devfreq. `GPUS` are the names of a
  Jetson's GPU.
- `/etc/nv_tegra_release`: NVIDIA's Jetson Linux Developer Guide.
"""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from metaser.diagnostics.nvpmodel import read_power_modes
from metaser.runtime.system.cores import usable_cores
from metaser.runtime.system.kernel_files import read_number, read_text

CPU_FLAGS = ("avx2", "avx512f", "amx_bf16", "sve", "bf16", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Features that determine the speed of 8-bit and 32-bit matrix products."""

JETPACKS = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}


POLICIES = "sys/devices/system/cpu/cpufreq/policy*"
GPUS = ("sys/class/devfreq/*.gpu", "sys/class/devfreq/*.g[apv][0-9]*b", "sys/class/devfreq/gpu-gpc-*")
"""Patterns of a Jetson's GPU: `17000000.gpu` with JetPack 6, `17000000.ga10b` with JetPack 5, `gpu-gpc-0` on a Thor."""


@dataclass(frozen=True)
class Device:
    """The properties of a machine that benchmark results depend on."""

    model: str
    """Name of the board from its device tree, or else of the processor."""

    processor: str
    flags: tuple[str, ...]
    """The processor's features among `CPU_FLAGS`."""

    cores: int
    """Number of cores that this process may use, by CPU affinity and quota, rounded down."""

    system: str
    power_mode: str | None
    """nvpmodel's mode on a Jetson, the platform profile on a computer that has one."""

    governor: str | None
    cpu_mhz: tuple[float, float] | None
    """(current, maximum allowed) clock of the fastest cores."""

    gpu_mhz: tuple[float, float] | None
    jetson: str | None
    """The release of Jetson Linux, such as "36.4.3 (JetPack 6)"."""


def read_device(root: Path = Path("/")) -> Device:
    """Describe the machine whose file system begins at `root`."""
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    processor = _cpuinfo(cpuinfo, "model name") or platform.processor() or platform.machine()
    modes = read_power_modes(root)
    features = (_cpuinfo(cpuinfo, "flags") or _cpuinfo(cpuinfo, "Features") or "").split()
    return Device(
        model=read_text(root / "proc/device-tree/model") or processor,
        processor=processor,
        flags=tuple(flag for flag in CPU_FLAGS if flag in features),
        cores=usable_cores(root),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        power_mode=modes.current if modes else read_text(root / "sys/firmware/acpi/platform_profile"),
        governor=_governor(root),
        cpu_mhz=read_cpu_mhz(root),
        gpu_mhz=read_gpu_mhz(root),
        jetson=_jetson(root),
    )


def read_cpu_mhz(root: Path = Path("/")) -> tuple[float, float] | None:
    """(current, maximum allowed) clock of the fastest cores; None if the machine does not show it."""
    return _clock(root, POLICIES, "scaling_cur_freq", "scaling_max_freq", 1e3)


def read_gpu_mhz(root: Path = Path("/")) -> tuple[float, float] | None:
    """(current, maximum allowed) clock of a Jetson's GPU; None if the machine does not show it."""
    return next(filter(None, (_clock(root, name, "cur_freq", "max_freq", 1e6) for name in GPUS)), None)


def _cpuinfo(text: str, field: str) -> str | None:
    found = re.search(rf"^{field}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def _governor(root: Path) -> str | None:
    policies = sorted(root.glob(f"{POLICIES}/scaling_governor"))
    return "/".join(sorted({text for path in policies if (text := read_text(path))})) or None


def _clock(root: Path, folders: str, now: str, most: str, units_per_mhz: float) -> tuple[float, float] | None:
    pairs = [(read_number(folder / most), read_number(folder / now)) for folder in root.glob(folders)]
    known = [(limit / units_per_mhz, clock / units_per_mhz) for limit, clock in pairs if limit and clock]
    limit, clock = max(known, default=(0.0, 0.0))
    return (clock, limit) if known else None


def _jetson(root: Path) -> str | None:
    """`# R36 (release), REVISION: 4.3, GCID: ...` -> "36.4.3 (JetPack 6)"."""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", read_text(root / "etc/nv_tegra_release") or "")
    if not found:
        return None
    jetpack = JETPACKS.get(found[1])
    return f"{found[1]}.{found[2]}" + (f" (JetPack {jetpack})" if jetpack else "")
