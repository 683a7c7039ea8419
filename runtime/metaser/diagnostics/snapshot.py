"""Heat, clocks and over-current events of this machine at one moment.

All paths are below `root`, so that tests can use the file tree of another machine. The layouts follow Linux,
Documentation/driver-api/thermal/sysfs-api, and on a Jetson NVIDIA's Jetson Linux Developer Guide. They were checked in
file trees written from these documents:

    /sys/class/thermal/thermal_zone0/        type "cpu-thermal"           temp (thousandths of a degree)
    /sys/class/thermal/cooling_device0/      type "cpu-throttle-alert"    cur_state, above 0 if the part is slowed down
    /sys/class/hwmon/hwmon0/oc3_event_cnt    over-current events since the start
    /sys/devices/platform/soc/soc:firmware/get_throttled    of a Raspberry Pi: bits of the firmware's state
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from metaser.diagnostics.device import read_cpu_mhz, read_gpu_mhz
from metaser.runtime.system.kernel_files import read_number, read_text

ALERT = "-throttle-alert"
PI_FIRMWARE = "sys/devices/platform/soc/soc*firmware/get_throttled"
PI_STATES = ("undervoltage", "clock capped", "throttled", "soft temperature limit")
"""Of the lowest bits: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled."""


@dataclass(frozen=True)
class Snapshot:
    """Heat and clocks at one moment."""

    at_s: float
    """Seconds of a clock that never goes back."""

    temperatures_c: dict[str, float] = field(default_factory=dict)
    """Zone -> degrees Celsius."""

    cpu_mhz: float | None = None
    """Clock of the fastest cores."""

    gpu_mhz: float | None = None
    over_current: int | None = None
    """Events since the start; None if the board does not count them."""

    throttled: tuple[str, ...] | None = None
    """What is slowed down now; None if the machine does not show it."""

    @property
    def hottest_c(self) -> float | None:
        """The highest temperature."""
        return max(self.temperatures_c.values(), default=None)


def read_snapshot(root: Path = Path("/")) -> Snapshot:
    """Read temperatures, clocks and events of the machine whose file system begins at `root`."""
    cpu_mhz, gpu_mhz = read_cpu_mhz(root), read_gpu_mhz(root)
    zones = sorted(root.glob("sys/class/thermal/thermal_zone*"))
    temperatures_c: dict[str, float] = {}
    for name, value in ((read_text(zone / "type"), read_number(zone / "temp")) for zone in zones):
        if name and value:  # several zones may have one type
            temperatures_c[name] = max(value / 1e3, temperatures_c.get(name, value / 1e3))
    counters = root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")
    events = [number for path in counters if (number := read_number(path)) is not None]
    return Snapshot(
        at_s=time.monotonic(),
        temperatures_c=temperatures_c,
        cpu_mhz=cpu_mhz[0] if cpu_mhz else None,
        gpu_mhz=gpu_mhz[0] if gpu_mhz else None,
        over_current=int(sum(events)) if events else None,
        throttled=_throttled(root),
    )


class Watcher:
    """Snapshots at regular times in a thread, while this process waits for others; a context manager."""

    def __init__(self, root: Path, interval_s: float) -> None:
        self._root = root
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.snapshots: list[Snapshot] = []
        """The first one from before the work; replaced by a longer list, never changed."""

    def __enter__(self) -> Watcher:
        self.snapshots = [read_snapshot(self._root)]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._interval_s):
            self.snapshots = [*self.snapshots, read_snapshot(self._root)]


def _throttled(root: Path) -> tuple[str, ...] | None:
    firmware = next((number for path in root.glob(PI_FIRMWARE) if (number := read_text(path))), None)
    if firmware is not None:
        return tuple(name for bit, name in enumerate(PI_STATES) if int(firmware, 16) >> bit & 1)
    devices = [(read_text(folder / "type") or "", folder) for folder in root.glob("sys/class/thermal/cooling_device*")]
    alerts = sorted((name, folder) for name, folder in devices if name.endswith(ALERT))
    if not alerts:
        return None
    return tuple(name.removesuffix(ALERT) for name, folder in alerts if read_number(folder / "cur_state"))
