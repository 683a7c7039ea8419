"""What is read of four Jetson boards: their state, their meters and what distorts a measurement on them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from metaser.diagnostics.check import Check, State
from metaser.diagnostics.conditions import SET_GOVERNOR, SET_ONLINE, check_conditions
from metaser.diagnostics.device import read_device
from metaser.diagnostics.energy_jetson import find_rails
from metaser.diagnostics.nvpmodel import read_power_modes
from metaser.diagnostics.snapshot import read_snapshot
from metaser.runtime.system.kernel_files import read_text
from tests.diagnostics.boards import AGX_THOR, BOARDS, ORIN_NANO, ORIN_NX, tree_of, write_tree

FASTEST = {"orin nano": 2, "orin nx": 0, "agx orin": 0, "agx thor": 0}
FIX_CLOCKS = "sudo jetson_clocks"


def conditions(root: Path) -> dict[str, Check]:
    return {check.name: check for check in check_conditions(root, load_s=0.0)}


DELIVERED = {
    "orin nano": ("36.4.3 (JetPack 6)", "25W", (729.6, 1728.0), (306.0, 1020.0)),
    "orin nx": ("36.4.4 (JetPack 6)", "40W", (729.6, 1984.0), (306.0, 1173.0)),
    "agx orin": ("36.4.3 (JetPack 6)", "MODE_30W", (729.6, 2201.6), (306.0, 1300.5)),
    "agx thor": ("38.2.0 (JetPack 7)", "120W", (972.0, 2601.0), (315.0, 1575.0)),
}
"""Release, power mode and clocks in MHz."""


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_as_it_is_delivered_is_described(name: str, tmp_path: Path) -> None:
    device = read_device(write_tree(tmp_path, tree_of(BOARDS[name])))
    assert device.model == BOARDS[name].model
    assert (device.jetson, device.power_mode, device.cpu_mhz, device.gpu_mhz) == DELIVERED[name]


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_as_it_is_delivered_gets_the_commands_that_make_it_fastest(name: str, tmp_path: Path) -> None:
    board = BOARDS[name]
    found = conditions(write_tree(tmp_path, tree_of(board)))
    assert found["power mode"].fix == f"sudo nvpmodel -m {FASTEST[name]}"
    assert board.modes[FASTEST[name]] in found["power mode"].found
    assert found["cpu clock"].fix == FIX_CLOCKS
    assert ("gpu clock" in found) == (board is not AGX_THOR)
    if board is not AGX_THOR:
        assert found["gpu clock"].fix == FIX_CLOCKS
    assert found["heat"].state is State.fine


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_after_these_commands_has_nothing_left_to_change(name: str, tmp_path: Path) -> None:
    tree = tree_of(BOARDS[name], mode=FASTEST[name], fixed_clocks=True)
    assert [check for check in conditions(write_tree(tmp_path, tree)).values() if check.fix] == []


def test_without_an_unlimited_mode_the_one_of_the_most_watts_is_the_fastest(tmp_path: Path) -> None:
    modes = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >\n< PM_CONFIG DEFAULT=1 >\n"
    found = read_power_modes(write_tree(tmp_path, {"etc/nvpmodel.conf": modes}))
    assert found is not None
    assert (found.current, found.fastest) == ("7W", 0)


def test_the_super_mode_is_faster_than_the_other_unlimited_one(tmp_path: Path) -> None:
    modes = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=MAXN_SUPER >\n< POWER_MODEL ID=2 NAME=90W >\n"
    found = read_power_modes(
        write_tree(tmp_path, {"etc/nvpmodel.conf": modes, "var/lib/nvpmodel/status": "pmode:0000"})
    )
    assert found is not None
    assert (found.current, found.fastest) == ("MAXN", 1)


def test_a_mode_that_the_file_does_not_name_is_shown_by_its_number(tmp_path: Path) -> None:
    found = conditions(write_tree(tmp_path, {"var/lib/nvpmodel/status": "pmode:0003"}))
    assert (found["power mode"].found, found["power mode"].fix) == ("mode 3", None)


@pytest.mark.parametrize(
    ("name", "meter", "watts"),
    [
        ("orin nano", "INA3221 VDD_IN", 5.064 * 1.2),
        ("orin nx", "INA3221 VDD_IN", 10.0),
        ("agx orin", "INA3221 VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0 + VDDQ_VDD2_1V8AO", 3.8 + 1.9 + 4.5 + 0.3),
        ("agx thor", "INA238 VIN", 20.98),
    ],
)
def test_the_power_of_a_board_is_that_of_its_input_or_the_sum_of_its_rails(
    name: str, meter: str, watts: float, tmp_path: Path
) -> None:
    rails = find_rails(write_tree(tmp_path, tree_of(BOARDS[name])))
    assert rails is not None
    assert rails.name == meter
    assert rails.watts() == pytest.approx(watts)


def test_a_thor_whose_input_meter_does_not_answer_adds_its_rails(tmp_path: Path) -> None:
    root = write_tree(tmp_path, tree_of(AGX_THOR))
    (root / "sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon3/curr1_input").unlink()
    rails = find_rails(root)
    assert rails is not None
    assert rails.name == "INA3221 VDD_GPU + VDD_CPU_SOC_MSS + VIN_SYS_5V0"


def test_heat_clocks_and_events_are_read_and_a_fan_is_not_heat(tmp_path: Path) -> None:
    snapshot = read_snapshot(write_tree(tmp_path, tree_of(ORIN_NANO, celsius=61.0)))
    assert snapshot.hottest_c == pytest.approx(61.008)
    assert snapshot.temperatures_c["tj-thermal"] == snapshot.hottest_c
    assert (snapshot.cpu_mhz, snapshot.gpu_mhz) == (729.6, 306.0)
    assert (snapshot.over_current, snapshot.throttled) == (27, ())


def test_a_part_that_is_slowed_down_by_heat_is_named(tmp_path: Path) -> None:
    tree = tree_of(ORIN_NX) | {"sys/class/thermal/cooling_device1/cur_state": "1\n"}
    heat = conditions(write_tree(tmp_path, tree))["heat"]
    assert heat.state is State.notice
    assert heat.found.endswith(": cpu")


def test_cores_that_a_mode_has_switched_off_are_counted(tmp_path: Path) -> None:
    tree = tree_of(BOARDS["agx orin"], mode=1) | {"sys/devices/system/cpu/online": "0-3\n"}
    assert conditions(write_tree(tmp_path, tree))["cores"].found == "4 of 12 are on"
    tree["sys/devices/system/cpu/online"] = "0-1,4,6-7\n"
    assert conditions(write_tree(tmp_path, tree))["cores"].found == "5 of 12 are on"


def test_a_computer_with_another_governor_gets_the_command_for_it(tmp_path: Path) -> None:
    folder = "sys/devices/system/cpu/cpufreq/policy0"
    tree = {
        "proc/cpuinfo": "model name\t: a processor\n",
        "sys/firmware/acpi/platform_profile": "balanced\n",
        "sys/firmware/acpi/platform_profile_choices": "low-power balanced performance\n",
        f"{folder}/scaling_governor": "powersave\n",
        f"{folder}/scaling_min_freq": "800000\n",
        f"{folder}/scaling_max_freq": "4000000\n",
    }
    found = conditions(write_tree(tmp_path, tree))
    assert found["power mode"].fix == "echo performance | sudo tee /sys/firmware/acpi/platform_profile"
    assert found["cpu clock"].found == "varies from 800 to 4000 MHz, governor powersave"
    assert found["cpu clock"].fix == SET_GOVERNOR
    write_tree(tmp_path, {f"{folder}/scaling_governor": "performance\n"})
    assert conditions(tmp_path)["cpu clock"].state is State.fine
    write_tree(tmp_path, {"sys/firmware/acpi/platform_profile_choices": "low-power balanced\n"})
    assert conditions(tmp_path)["power mode"].fix is None


def test_a_board_that_is_no_jetson_gets_no_command_of_one(tmp_path: Path) -> None:
    gpu = "sys/class/devfreq/fb000000.gpu"
    tree = {
        f"{gpu}/min_freq": "300000000\n", f"{gpu}/max_freq": "1000000000\n",
        "sys/devices/system/cpu/present": "0-7\n", "sys/devices/system/cpu/online": "0-3\n",
    }  # fmt: skip
    found = conditions(write_tree(tmp_path, tree))
    assert list(found) == ["cores"]
    assert found["cores"].fix == SET_ONLINE


@pytest.mark.parametrize(("mains", "notices"), [("0", 1), ("1", 0)])
def test_a_laptop_on_its_battery_is_noticed(mains: str, notices: int, tmp_path: Path) -> None:
    tree = {
        "sys/class/power_supply/AC/type": "Mains\n", "sys/class/power_supply/AC/online": f"{mains}\n",
        "sys/class/power_supply/BAT0/type": "Battery\n",
    }  # fmt: skip
    assert len(conditions(write_tree(tmp_path, tree))) == notices


def test_other_programs_are_counted_in_cores_and_stolen_time_is_not_theirs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = "cpu  100 0 50 800 50 0 0 10 0 0\ncpu0 0\ncpu1 0\nintr 5\n"
    after = "cpu  130 0 70 900 50 0 0 900 0 0\ncpu0 0\ncpu1 0\nintr 5\n"
    write_tree(tmp_path, {"proc/stat": before})
    monkeypatch.setattr(time, "sleep", lambda _: write_tree(tmp_path, {"proc/stat": after}))
    load = conditions(tmp_path)["load"]
    assert load.found == "other programs use 0.7 of 2 cores"  # 50 of 150 ticks of two cores
    assert load.state is State.notice


def test_a_raspberry_pi_says_what_slows_it_down(tmp_path: Path) -> None:
    tree = {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"}
    assert read_snapshot(write_tree(tmp_path, tree)).throttled == ("undervoltage", "throttled")
    assert conditions(tmp_path)["heat"].found == "slowed down: undervoltage, throttled"
    write_tree(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "0\n"})
    assert read_snapshot(tmp_path).throttled == ()


def test_the_hottest_of_several_zones_of_one_type_counts(tmp_path: Path) -> None:
    tree = {}
    for number, temperature in enumerate((90_000, 30_000)):
        tree[f"sys/class/thermal/thermal_zone{number}/type"] = "acpitz\n"
        tree[f"sys/class/thermal/thermal_zone{number}/temp"] = f"{temperature}\n"
    snapshot = read_snapshot(write_tree(tmp_path, tree))
    assert (snapshot.hottest_c, snapshot.throttled) == (90.0, None)


def test_a_machine_that_shows_nothing_has_no_conditions(tmp_path: Path) -> None:
    assert conditions(tmp_path) == {}
    snapshot = read_snapshot(tmp_path)
    assert (snapshot.hottest_c, snapshot.cpu_mhz, snapshot.over_current) == (None, None, None)


def test_a_sensor_that_is_switched_off_has_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)  # reading it answers EAGAIN, as a sensor of a part that is off does
    monkeypatch.setattr(Path, "open", lambda *_, **__: os.fdopen(reader, "rb", buffering=0))
    assert read_text(Path("temp")) is None
    os.close(writer)
