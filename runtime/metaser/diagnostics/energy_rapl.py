"""Energy of an x86 processor from RAPL, the counters that Linux exposes as power capping zones.

The layout follows Linux, Documentation/power/powercap/powercap.rst and
Documentation/ABI/testing/sysfs-class-powercap, for both Intel and AMD:

    /sys/class/powercap/intel-rapl:0/        name "package-0", energy_uj, max_energy_range_uj
    /sys/class/powercap/intel-rapl:0:0/      name "core", a part of the package
    /sys/class/powercap/intel-rapl:0:2/      name "dram", outside the package
    /sys/class/powercap/intel-rapl:1/        name "package-1", or "psys" for the whole platform

Packages and memory are counted. Core and uncore are parts of the package. psys, which few machines have, would count
the package twice. `energy_uj` wraps around to 0 after `max_energy_range_uj`, some minutes of full load. A measurement
that is longer than one such period misses whole periods. Since Linux 5.10 only root may read it (CVE-2020-8694).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from metaser.runtime.errors import MissingDependencyError, WorkError
from metaser.runtime.system.kernel_files import read_text

REASON = "only root may read RAPL"
FIX = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"


@dataclass
class Packages:
    """A meter of the processor's packages and their memory."""

    zones: list[Path]
    _began_uj: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """RAPL and the domains it covers."""
        return f"RAPL {' + '.join(read_text(zone / 'name') or zone.name for zone in self.zones)}"

    def start(self) -> None:
        """Store the current counters."""
        self._began_uj = [_read_uj(zone / "energy_uj") for zone in self.zones]

    def stop_j(self) -> float:
        """The joules since the start."""
        ended_uj = [_read_uj(zone / "energy_uj") for zone in self.zones]
        pairs = zip(self.zones, self._began_uj, ended_uj, strict=True)
        return sum(_passed_uj(zone, began, ended) for zone, began, ended in pairs) / 1e6


def find_packages(root: Path) -> Packages | None:
    """The RAPL domains to count; None if the machine has none.

    Raises:
        MissingDependencyError: the machine has them, but this user may not read them.
    """
    zones = sorted(path for path in root.glob("sys/class/powercap/intel-rapl:*") if _counts(path))
    for zone in zones:
        _read_uj(zone / "energy_uj")
    return Packages(zones) if zones else None


def _counts(zone: Path) -> bool:
    name = read_text(zone / "name") or ""
    return name.startswith("package") or name == "dram"


def _passed_uj(zone: Path, began: int, ended: int) -> int:
    if ended >= began:
        return ended - began
    return ended + _read_uj(zone / "max_energy_range_uj") - began


def _read_uj(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except PermissionError as error:
        raise MissingDependencyError(f"{REASON}; this command allows it until the next reboot: {FIX}") from error
    except (OSError, ValueError) as error:
        raise WorkError(f"{path} cannot be read ({error}): measure again") from error
