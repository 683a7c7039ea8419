"""Power modes of a Jetson, from the files of NVIDIA's nvpmodel.

They set how many cores are on and their highest clocks. The number of the fastest mode differs between boards: it is 0
on most, and 2 on an Orin Nano Super. The layouts follow NVIDIA's Jetson Linux Developer Guide, "Power Modes":

    /etc/nvpmodel.conf           < POWER_MODEL ID=0 NAME=15W >    < PM_CONFIG DEFAULT=1 >
    /var/lib/nvpmodel/status     pmode:0002
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from metaser.runtime.system.kernel_files import read_text

UNLIMITED = "MAXN"
"""Beginning of the names of modes that limit no clock; `MAXN_SUPER` is faster than `MAXN`."""


@dataclass(frozen=True)
class PowerModes:
    """The modes of a board."""

    names: dict[int, str]
    chosen: int

    @property
    def current(self) -> str:
        """Name of the chosen mode."""
        return self.names.get(self.chosen, f"mode {self.chosen}")

    @property
    def fastest(self) -> int:
        """Number of the mode with the highest limits: an unlimited one, or the one of the most watts."""
        return max(self.names, key=lambda number: _rank(self.names[number]), default=self.chosen)


def read_power_modes(root: Path = Path("/")) -> PowerModes | None:
    """The modes of the machine whose file system begins at `root`; None if it has none."""
    modes = read_text(root / "etc/nvpmodel.conf") or ""
    chosen = re.search(r"pmode:(\d+)", read_text(root / "var/lib/nvpmodel/status") or "")
    chosen = chosen or re.search(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)", modes, re.MULTILINE)
    if not chosen:
        return None
    named = re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", modes, re.MULTILINE)
    return PowerModes({int(number): name for number, name in named}, int(chosen[1]))


def _rank(name: str) -> tuple[bool, int, int]:
    watts = re.search(r"(\d+)W", name)
    return name.startswith(UNLIMITED), len(name) if name.startswith(UNLIMITED) else 0, int(watts[1]) if watts else 0
