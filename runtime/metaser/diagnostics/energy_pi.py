"""Power of a Raspberry Pi 5 by its power management chip, which `vcgencmd pmic_read_adc` reads.

It ran on no hardware here. Raspberry Pi's documentation of vcgencmd names the command; its output, as people print it
in raspberrypi/linux issue 6473 and elsewhere, has a line for each rail's current and one for its voltage:

    VDD_CORE_A current(7)=2.16880000A
    VDD_CORE_V volt(15)=0.71620000V

The rails that have both are added. That covers what the chip supplies to the board, and neither its own losses nor what
hangs on the USB ports, so a meter at the plug shows more. A Pi 4 answers with an error and has no such chip.
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
        """The chip and how many rails are added."""
        return f"PMIC, {len(rails_w(self.read()))} rails"

    def watts(self) -> float:
        """The power at this moment."""
        rails = rails_w(self.read())
        if not rails:
            raise WorkError(f"{COMMAND} pmic_read_adc stopped to answer: measure again")
        return sum(rails.values())


def find_pmic(root: Path) -> Pmic | None:
    """The chip; None where this machine has none. A root other than / has commands that cannot run here."""
    command = shutil.which(COMMAND) if root == Path("/") else None
    if command is None:
        return None
    pmic = Pmic(lambda: _run(command))
    return pmic if rails_w(pmic.read()) else None


def rails_w(output: str) -> dict[str, float]:
    """Rail -> watts, of the rails whose current and voltage both are in the output."""
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
