"""File trees of four Jetson boards, with values that were recorded on them and published.

Names, modes, clocks, rails and zones are from published copies of NVIDIA's nvpmodel files and from reports of owners:
Orin Nano Super and Orin NX with JetPack 6.2, AGX Orin with JetPack 6.2, AGX Thor with JetPack 7.0. Which cores share a
clock was recorded for the Orin Nano alone; the other policies follow the clusters that the nvpmodel files name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Tree: TypeAlias = dict[str, str]

HEADER = """\
# < POWER_MODEL ID=id_num NAME=mode_name >
# < PM_CONFIG DEFAULT=default_mode >
<PARAM TYPE=CLOCK NAME=EMC >
"""
"""As NVIDIA's files begin; none of these lines is a mode."""

R36_4_3 = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025"
)
R36_4_4 = (
    "# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic, EABI: aarch64, DATE: Mon Jun 16 16:07:13 UTC 2025"
)
R38_2_0 = (
    "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64, DATE: Fri Aug 22 00:55:42 UTC 2025"
)

ORIN_ZONES = ("cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj")


@dataclass(frozen=True)
class Board:
    """What differs between the boards; clocks in kHz for cores, Hz for GPUs."""

    model: str
    release: str
    modes: Sequence[str]
    default_mode: int
    cores: int
    policies: Sequence[int]
    cpu_khz: tuple[int, int]
    gpus: Mapping[str, tuple[int, int]]
    rails: Mapping[str, tuple[tuple[str, int, int], ...]]
    """Folder of an INA3221 -> (label, mV, mA) of its channels."""

    zones: Sequence[str] = ORIN_ZONES
    input_rail: tuple[str, int, int] | None = None
    """(label, mV, mA) of a Thor's INA238."""


ORIN_NANO = Board(
    model="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    release=R36_4_3,
    modes=("15W", "25W", "MAXN_SUPER"),
    default_mode=1,
    cores=6,
    policies=(0, 4),
    cpu_khz=(729600, 1728000),
    gpus={"17000000.gpu": (306000000, 1020000000)},
    rails={
        "1-0040/hwmon/hwmon1": (("VDD_IN", 5064, 1200), ("VDD_CPU_GPU_CV", 5064, 500), ("VDD_SOC", 5064, 300)),
    },
)
ORIN_NX = Board(
    model="NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super",
    release=R36_4_4,
    modes=("MAXN_SUPER", "10W", "15W", "25W", "40W"),
    default_mode=4,
    cores=8,
    policies=(0, 4),
    cpu_khz=(729600, 1984000),
    gpus={"17000000.gpu": (306000000, 1173000000)},
    rails={
        "1-0040/hwmon/hwmon1": (("VDD_IN", 5000, 2000), ("VDD_CPU_GPU_CV", 5000, 900), ("VDD_SOC", 5000, 400)),
    },
)
AGX_ORIN = Board(
    model="NVIDIA Jetson AGX Orin Developer Kit",
    release=R36_4_3,
    modes=("MAXN", "MODE_15W", "MODE_30W", "MODE_50W"),
    default_mode=2,
    cores=12,
    policies=(0, 4, 8),
    cpu_khz=(729600, 2201600),
    gpus={"17000000.gpu": (306000000, 1300500000)},
    rails={
        "1-0040/hwmon/hwmon3": (("VDD_GPU_SOC", 19000, 200), ("VDD_CPU_CV", 19000, 100), ("VIN_SYS_5V0", 5000, 900)),
        "1-0041/hwmon/hwmon4": (("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 60), ("NC", 0, 0)),
    },
)
AGX_THOR = Board(
    model="NVIDIA Jetson AGX Thor Developer Kit",
    release=R38_2_0,
    modes=("MAXN", "120W", "90W", "70W"),
    default_mode=1,
    cores=14,
    policies=(0, 2, 4, 6, 8, 10, 12),
    cpu_khz=(972000, 2601000),
    gpus={"gpu-gpc-0": (315000000, 1575000000), "gpu-nvd-0": (315000000, 1692000000)},
    rails={
        "2-0040/hwmon/hwmon2": (("VDD_GPU", 12040, 640), ("VDD_CPU_SOC_MSS", 12040, 500), ("VIN_SYS_5V0", 5000, 900)),
    },
    zones=("cpu", "gpu", "soc012", "soc345", "tj"),
    input_rail=("VIN", 20000, 1049),
)
BOARDS = {"orin nano": ORIN_NANO, "orin nx": ORIN_NX, "agx orin": AGX_ORIN, "agx thor": AGX_THOR}


def tree_of(board: Board, *, mode: int | None = None, fixed_clocks: bool = False, celsius: float = 48.5) -> Tree:
    """Path -> content of the board's files, in a mode and with or without jetson_clocks."""
    low_khz, high_khz = board.cpu_khz
    modes = [f"< POWER_MODEL ID={number} NAME={name} >" for number, name in enumerate(board.modes)]
    files = {
        "proc/device-tree/model": f"{board.model}\0",
        "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp\n",
        "etc/nv_tegra_release": f"{board.release}\n# KERNEL_VARIANT: oot\n",
        "etc/nvpmodel.conf": HEADER + "\n".join([*modes, f"< PM_CONFIG DEFAULT={board.default_mode} >", ""]),
        "sys/devices/system/cpu/present": f"0-{board.cores - 1}\n",
        "sys/devices/system/cpu/online": f"0-{board.cores - 1}\n",
        "sys/class/hwmon/hwmon5/oc1_event_cnt": "0\n",
        "sys/class/hwmon/hwmon5/oc3_event_cnt": "27\n",
        "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
        "sys/class/thermal/cooling_device0/cur_state": "2\n",
        "sys/class/thermal/cooling_device1/type": "cpu-throttle-alert\n",
        "sys/class/thermal/cooling_device1/cur_state": "0\n",
    }
    if mode is not None:
        files["var/lib/nvpmodel/status"] = f"pmode:{mode:04} fmode:fan_mode_quiet\n"
    for policy in board.policies:
        folder = f"sys/devices/system/cpu/cpufreq/policy{policy}"
        files[f"{folder}/scaling_governor"] = "schedutil\n"
        files[f"{folder}/scaling_min_freq"] = f"{high_khz if fixed_clocks else low_khz}\n"
        files[f"{folder}/scaling_max_freq"] = f"{high_khz}\n"
        files[f"{folder}/scaling_cur_freq"] = f"{high_khz if fixed_clocks else low_khz}\n"
    for name, (low_hz, high_hz) in board.gpus.items():
        folder = f"sys/class/devfreq/{name}"
        files[f"{folder}/min_freq"] = f"{high_hz if fixed_clocks else low_hz}\n"
        files[f"{folder}/max_freq"] = f"{high_hz}\n"
        files[f"{folder}/cur_freq"] = f"{high_hz if fixed_clocks else low_hz}\n"
    for number, zone in enumerate(board.zones):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = f"{zone}-thermal\n"
        files[f"sys/class/thermal/thermal_zone{number}/temp"] = f"{round(1e3 * celsius) + number}\n"
    return files | _meters(board)


def _meters(board: Board) -> Tree:
    files = {}
    for place, channels in board.rails.items():
        folder = f"sys/bus/i2c/drivers/ina3221/{place}"
        files[f"{folder}/in7_label"] = "sum of shunt voltages\n"
        for channel, (label, millivolts, milliamperes) in enumerate(channels, start=1):
            files[f"{folder}/in{channel}_label"] = f"{label}\n"
            files[f"{folder}/in{channel}_input"] = f"{millivolts}\n"
            files[f"{folder}/curr{channel}_input"] = f"{milliamperes}\n"
    if board.input_rail:
        label, millivolts, milliamperes = board.input_rail
        folder = "sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon3"
        files[f"{folder}/label"] = f"{label}\n"
        files[f"{folder}/in1_input"] = f"{millivolts}\n"
        files[f"{folder}/curr1_input"] = f"{milliamperes}\n"
    return files


def write_tree(root: Path, tree: Mapping[str, str]) -> Path:
    """Write the files below `root`."""
    for name, text in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
