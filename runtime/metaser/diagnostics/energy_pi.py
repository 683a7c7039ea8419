"""Power of a Raspberry Pi 5, from its power management chip, read with `vcgencmd pmic_read_adc`.

This code was not tested on hardware. Raspberry Pi's documentation of vcgencmd lists the command. Its output, as quoted
in raspberrypi/linux issue 6473 and elsewhere, has one line for the current of each rail and one for its voltage:

    VDD_CORE_A current(7)=2.16880000A
    VDD_CORE_V volt(15)=0.71620000V

The rails that have both are added. This covers the power that the chip supplies to the board, but neither its own
losses nor the devices on the USB ports, so a meter at the plug shows more. On a Pi 4, which has no such chip, the
command prints an error.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metaser.runtime.errors import WorkError

COMMAND = "vcgencmd"
TIMEOUT_S = 5


@dataclass(frozen=True)
class Pmic:
    """The power management chip, read through a command."""

    read: Callable[[], str]

    @property
    def name(self) -> str:
        """The chip and the number of rails that are added."""
        return f"PMIC, {len(rails_w(self.read()))} rails"

    def watts(self) -> float:
        """The current power, in watts."""
        rails = rails_w(self.read())
        if not rails:
            raise WorkError(f"{COMMAND} pmic_read_adc stopped responding: measure again")
        return sum(rails.values())


def find_pmic(root: Path) -> Pmic | None:
    """The chip; None if this machine has none, or if `root` is not /, because its commands cannot run here."""
    command = shutil.which(COMMAND) if root == Path("/") else None
    if command is None:
        return None
    pmic = Pmic(lambda: _run(command))
    return pmic if rails_w(pmic.read()) else None


def rails_w(output: str) -> dict[str, float]:
    """Rail -> watts, for the rails whose current and voltage are both in the output."""
    found = re.findall(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=([\d.]+)[AV]\s*$", output, re.MULTILINE)
    values = {(rail, unit): float(number) for rail, unit, number in found}
    return {
        rail: current * values[rail, "V"]
        for (rail, unit), current in values.items()
        if unit == "A" and (rail, "V") in values
    }


def _run(command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 # the path of vcgencmd
            [command, "pmic_read_adc"], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
