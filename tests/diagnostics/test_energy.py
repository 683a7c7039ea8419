"""Energy, read from file trees in the documented layouts of RAPL, Jetson and Raspberry Pi."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.diagnostics.energy import PowerSampler, find_meter, integrate_j, measure
from metaser.diagnostics.energy_jetson import find_rails
from metaser.diagnostics.energy_pi import find_pmic, rails_w
from metaser.diagnostics.energy_rapl import find_packages
from metaser.runtime import MissingDependencyError, WorkError

RANGE_UJ = 262_143_328_850  # of a Xeon
NOBODY = 65_534


def write(root: Path, tree: dict[str, object]) -> Path:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def rapl_zone(place: str, name: str, energy_uj: int) -> dict[str, object]:
    folder = f"sys/class/powercap/{place}"
    return {f"{folder}/name": name, f"{folder}/energy_uj": energy_uj, f"{folder}/max_energy_range_uj": RANGE_UJ}


def ina3221(driver: str, device: str, channels: dict[int, tuple[str, int, int]]) -> dict[str, object]:
    """Channel -> (label, mV, mA), as JetPack 5 and later show them."""
    folder = f"sys/bus/i2c/drivers/{driver}/{device}"
    shown: dict[str, object] = {f"{folder}/in7_label": "sum of shunt voltages", f"{folder}/in4_input": 560}
    for channel, (label, millivolts, milliamperes) in channels.items():
        shown |= {
            f"{folder}/in{channel}_label": label,
            f"{folder}/in{channel}_input": millivolts,
            f"{folder}/curr{channel}_input": milliamperes,
        }
    return shown


def test_rapl_adds_packages_and_memory_and_counts_nothing_twice(tmp_path: Path) -> None:
    before = {"intel-rapl:0": 1_000_000, "intel-rapl:1": 5_000_000, "intel-rapl:0:1": 300_000}
    names = {"intel-rapl:0": "package-0", "intel-rapl:1": "package-1", "intel-rapl:0:1": "dram"}
    for place, energy_uj in before.items():
        write(tmp_path, rapl_zone(place, names[place], energy_uj))
    for place, name in (("intel-rapl:0:0", "core"), ("intel-rapl:2", "psys"), ("intel-rapl-mmio:0", "package-0")):
        write(tmp_path, rapl_zone(place, name, 7))
    meter = find_packages(tmp_path)
    assert meter is not None
    assert meter.name == "RAPL package-0 + dram + package-1"
    meter.start()
    for place, energy_uj in before.items():
        write(tmp_path, rapl_zone(place, names[place], energy_uj + 2_500_000))
    write(tmp_path, rapl_zone("intel-rapl:0:0", "core", 9_000_000))
    assert meter.stop_j() == 3 * 2.5


@given(st.integers(0, RANGE_UJ - 1), st.integers(0, RANGE_UJ - 1))
def test_rapl_counts_on_where_the_counter_begins_again(began_uj: int, passed_uj: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder), rapl_zone("intel-rapl:0", "package-0", began_uj))
        meter = find_packages(root)
        assert meter is not None
        meter.start()
        write(root, rapl_zone("intel-rapl:0", "package-0", (began_uj + passed_uj) % RANGE_UJ))
        assert meter.stop_j() == pytest.approx(passed_uj / 1e6)


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Drop root rights for a moment if the test runs as root, because root may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_rapl_that_only_root_may_read_is_reported_with_the_command() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        root = write(Path(folder), rapl_zone("intel-rapl:0", "package-0", 5))
        root.chmod(0o755)
        (root / "sys/class/powercap/intel-rapl:0/energy_uj").chmod(0o400 if os.geteuid() == 0 else 0)
        with (
            as_an_ordinary_user(),
            pytest.raises(MissingDependencyError, match=r"only root may read RAPL.*sudo chmod a"),
        ):
            find_meter(root)


def test_rapl_that_breaks_off_is_an_error_and_no_figure(tmp_path: Path) -> None:
    meter = find_packages(write(tmp_path, rapl_zone("intel-rapl:0", "package-0", 5)))
    assert meter is not None
    meter.start()
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("")
    with pytest.raises(WorkError, match="cannot be read"):
        meter.stop_j()


def test_a_jetson_that_measures_its_input_takes_that_rail_alone(tmp_path: Path) -> None:
    channels = {1: ("VDD_IN", 5064, 1200), 2: ("VDD_CPU_GPU_CV", 5064, 500), 3: ("VDD_SOC", 5064, 300)}
    rails = find_rails(write(tmp_path, ina3221("ina3221", "1-0040/hwmon/hwmon1", channels)))
    assert rails is not None
    assert rails.name == "INA3221 VDD_IN"
    assert rails.watts() == pytest.approx(5.064 * 1.2)


def test_a_jetson_without_such_a_rail_adds_those_it_has(tmp_path: Path) -> None:
    first = {1: ("VDD_GPU_SOC", 19_000, 200), 2: ("VDD_CPU_CV", 19_000, 100), 3: ("VIN_SYS_5V0", 5_000, 900)}
    second = {1: ("NC", 0, 0), 2: ("VDDQ_VDD2_1V8AO", 5_000, 60), 3: ("NC", 0, 0)}
    write(tmp_path, ina3221("ina3221", "1-0040/hwmon/hwmon3", first))
    rails = find_rails(write(tmp_path, ina3221("ina3221", "1-0041/hwmon/hwmon4", second)))
    assert rails is not None
    assert rails.watts() == pytest.approx(3.8 + 1.9 + 4.5 + 0.3)


def test_a_channel_that_does_not_answer_is_left_out(tmp_path: Path) -> None:
    channels = {1: ("VDD_GPU_SOC", 19_000, 200), 2: ("VDD_CPU_CV", 19_000, 100)}
    write(tmp_path, ina3221("ina3221", "1-0040/hwmon/hwmon3", channels))
    current = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/curr2_input"
    current.write_text("")
    rails = find_rails(tmp_path)
    assert rails is not None
    assert [rail.name for rail in rails.rails] == ["VDD_GPU_SOC"]


def test_a_jetson_of_jetpack_4_shows_its_rails_elsewhere(tmp_path: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    for channel, (name, millivolts, milliamperes) in enumerate(
        (("POM_5V_IN", 5_100, 600), ("POM_5V_GPU", 5_100, 40), ("POM_5V_CPU", 5_100, 150))
    ):
        write(
            tmp_path,
            {
                f"{folder}/rail_name_{channel}": name,
                f"{folder}/in_voltage{channel}_input": millivolts,
                f"{folder}/in_current{channel}_input": milliamperes,
            },
        )
    rails = find_rails(tmp_path)
    assert rails is not None
    assert rails.name == "INA3221 POM_5V_IN"
    assert rails.watts() == pytest.approx(3.06)


def test_a_rail_that_stops_responding_is_an_error_and_no_figure(tmp_path: Path) -> None:
    rails = find_rails(write(tmp_path, ina3221("ina3221", "1-0040/hwmon/hwmon1", {1: ("VDD_IN", 5_000, 1_000)})))
    assert rails is not None
    (tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1/curr1_input").unlink()
    with pytest.raises(WorkError, match="VDD_IN stopped responding"):
        rails.watts()


PMIC = """\
     3V7_WL_SW_A current(0)=0.10000000A
        VDD_CORE_A current(7)=2.00000000A
     3V7_WL_SW_V volt(8)=3.70000000V
        VDD_CORE_V volt(15)=0.80000000V
         EXT5V_V volt(24)=5.10000000V
          BATT_V volt(25)=0.00000000V
"""


def test_a_pi_adds_the_rails_whose_current_and_voltage_are_known() -> None:
    assert rails_w(PMIC) == {"3V7_WL_SW": pytest.approx(0.37), "VDD_CORE": pytest.approx(1.6)}
    assert rails_w('error=1 error_msg="Command not registered"\n') == {}


@pytest.mark.parametrize(("output", "found"), [(PMIC, True), ('error=1 error_msg="Command not registered"\n', False)])
def test_a_pi_is_asked_through_its_command(
    output: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "vcgencmd"
    command.write_text(f'#!/bin/sh\ntest "$1" = pmic_read_adc && cat <<END\n{output}END\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    pmic = find_pmic(Path("/"))
    assert (pmic is not None) == found
    if pmic:
        assert pmic.name == "PMIC, 2 rails"
        assert pmic.watts() == pytest.approx(1.97)


def test_a_machine_without_a_meter_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="no meter"):
        find_meter(tmp_path)


def test_power_is_integrated_by_the_trapezoidal_rule() -> None:
    assert integrate_j([(10.0, 2.0), (11.0, 4.0), (13.0, 4.0)]) == 3.0 + 8.0
    assert integrate_j([(10.0, 2.0)]) == 0.0


def test_a_steady_power_gives_its_product_with_time() -> None:
    energy = measure(PowerSampler("ten watts", lambda: 10.0, interval_s=0.01), lambda: None, seconds=0.5)
    assert energy.seconds >= 0.5
    assert energy.joules == pytest.approx(10 * energy.seconds, rel=0.2)
    assert energy.joules_a_run == energy.joules / energy.runs


def test_a_reading_that_fails_in_between_fails_the_measurement() -> None:
    readings = iter([10.0, 10.0])

    def watts() -> float:
        try:
            return next(readings)
        except StopIteration:
            raise WorkError("the rail stopped responding") from None

    with pytest.raises(WorkError, match="stopped responding"):
        measure(PowerSampler("two readings", watts, interval_s=0.005), lambda: None, seconds=0.05)


def test_work_is_done_at_least_once_and_its_energy_counted(tmp_path: Path) -> None:
    meter = find_meter(write(tmp_path, rapl_zone("intel-rapl:0", "package-0", 1_000_000)))
    energy = measure(meter, lambda: write(tmp_path, rapl_zone("intel-rapl:0", "package-0", 4_000_000)), seconds=0.0)
    assert (energy.runs, energy.joules, energy.source) == (1, 3.0, "RAPL package-0")
