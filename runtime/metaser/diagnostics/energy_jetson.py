"""Power of an NVIDIA Jetson, from the INA3221 and INA238 monitors on its board.

This code was not tested on hardware. The layouts follow Linux, Documentation/hwmon/ina3221.rst and ina238.rst, and
NVIDIA's Jetson Linux Developer Guide, "Jetson Module Power Monitor"; jetson-stats reads the same files.

    /sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/     JetPack 5 and later
        in1_label "VDD_IN"   in1_input (mV)   curr1_input (mA)      three channels; in4 and up are shunt voltages
    /sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon1/      the input of an AGX Thor
        label "VIN"   in1_input (mV)   curr1_input (mA)
    /sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/     JetPack 4
        rail_name_0 "POM_5V_IN"   in_voltage0_input (mV)   in_current0_input (mA)

If a board measures its own input (VDD_IN or a similar name), only that rail is used, because it feeds the others.
Otherwise, as on an AGX Orin, all rails of the module are added, without the carrier board and connected devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metaser.runtime.errors import WorkError
from metaser.runtime.system.kernel_files import read_number, read_text

INPUTS = ("VDD_IN", "POM_5V_IN", "5V_IN", "VIN")
"""NVIDIA's names of the rail that feeds the module, or on a Thor the whole board."""

UNUSED = "NC"


@dataclass(frozen=True)
class Rail:
    """One channel of a monitor."""

    monitor: str
    """The monitor's type."""

    name: str
    millivolts: Path
    milliamperes: Path

    def watts(self) -> float:
        """The current power, in watts."""
        voltage, current = read_number(self.millivolts), read_number(self.milliamperes)
        if voltage is None or current is None:
            raise WorkError(f"the power rail {self.name} stopped responding ({self.milliamperes}): measure again")
        return voltage * current / 1e6


@dataclass(frozen=True)
class Rails:
    """The rails that make up the power of the module or board."""

    rails: tuple[Rail, ...]

    @property
    def name(self) -> str:
        """The type of the monitor and the names of the rails that are added."""
        return f"{self.rails[0].monitor} {' + '.join(rail.name for rail in self.rails)}"

    def watts(self) -> float:
        """The current power, in watts."""
        return sum(rail.watts() for rail in self.rails)


def find_rails(root: Path) -> Rails | None:
    """The rails to add; None if the machine has no such monitor."""
    found = [rail for rail in (*_ina238(root), *_hwmon(root), *_iio(root)) if _answers(rail)]
    whole = [rail for name in INPUTS for rail in found if rail.name == name]
    rails = whole[:1] or found
    return Rails(tuple(rails)) if rails else None


def _ina238(root: Path) -> list[Rail]:
    labels = sorted(root.glob("sys/bus/i2c/drivers/ina238/*/hwmon/hwmon*/label"))
    return [
        Rail("INA238", read_text(label) or UNUSED, label.with_name("in1_input"), label.with_name("curr1_input"))
        for label in labels
    ]


def _hwmon(root: Path) -> list[Rail]:
    labels = sorted(root.glob("sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*/in[123]_label"))
    channels = [(label, label.name[2]) for label in labels]
    return [
        Rail("INA3221", read_text(label) or UNUSED, label.with_name(f"in{n}_input"), label.with_name(f"curr{n}_input"))
        for label, n in channels
    ]


def _iio(root: Path) -> list[Rail]:
    names = sorted(root.glob("sys/bus/i2c/drivers/ina3221*/*/iio:device*/rail_name_[0-2]"))
    channels = [(name, name.name[-1]) for name in names]
    return [
        Rail(
            "INA3221",
            read_text(name) or UNUSED,
            name.with_name(f"in_voltage{n}_input"),
            name.with_name(f"in_current{n}_input"),
        )
        for name, n in channels
    ]


def _answers(rail: Rail) -> bool:
    """Whether the channel is connected: otherwise it has no name, is named NC, or cannot be read."""
    values = (read_number(rail.millivolts), read_number(rail.milliamperes))
    return UNUSED not in rail.name.split("_") and None not in values
