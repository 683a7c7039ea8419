"""Properties of machines, read from file trees in the documented layouts."""

from pathlib import Path

from metaser.diagnostics.device import read_device

XEON = (
    "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum\nflags\t\t: fpu sse2 avx2 avx512f avx512_vnni amx_int8\n"
)
CORTEX = "processor\t: 0\nFeatures\t: fp asimd asimddp lrcpc\nCPU implementer\t: 0x41\n"
MODES = "# < POWER_MODEL ID=9 NAME=OLD >\n< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
L4T = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025\n"


def write(root: Path, tree: dict[str, str]) -> Path:
    for name, text in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_computer_is_its_processor_with_the_flags_that_matter(tmp_path: Path) -> None:
    device = read_device(write(tmp_path, {"proc/cpuinfo": XEON}))
    assert device.model == device.processor == "Intel(R) Xeon(R) Platinum"
    assert device.flags == ("avx2", "avx512f", "avx512_vnni", "amx_int8")
    assert (device.jetson, device.power_mode, device.governor, device.cpu_mhz) == (None, None, None, None)


def test_a_jetson_tells_its_release_power_mode_and_clocks(tmp_path: Path) -> None:
    cpufreq = "sys/devices/system/cpu/cpufreq"
    root = write(
        tmp_path,
        {
            "proc/cpuinfo": CORTEX,
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
            "etc/nv_tegra_release": L4T,
            "etc/nvpmodel.conf": MODES + "< PM_CONFIG DEFAULT=0 >\n",
            "var/lib/nvpmodel/status": "pmode:0002\nfmode:quiet\n",
            f"{cpufreq}/policy0/scaling_governor": "schedutil\n",
            f"{cpufreq}/policy0/scaling_cur_freq": "729600\n",
            f"{cpufreq}/policy0/scaling_max_freq": "1344000\n",
            f"{cpufreq}/policy4/scaling_governor": "schedutil\n",
            f"{cpufreq}/policy4/scaling_cur_freq": "1728000\n",
            f"{cpufreq}/policy4/scaling_max_freq": "1728000\n",
            "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
        },
    )
    device = read_device(root)
    assert device.model == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert device.flags == ("asimddp",)
    assert device.jetson == "36.4.3 (JetPack 6)"
    assert (device.power_mode, device.governor) == ("MAXN_SUPER", "schedutil")
    assert (device.cpu_mhz, device.gpu_mhz) == ((1728.0, 1728.0), (306.0, 1020.0))


def test_a_power_mode_that_was_never_chosen_is_the_default(tmp_path: Path) -> None:
    assert read_device(write(tmp_path, {"etc/nvpmodel.conf": MODES + "< PM_CONFIG DEFAULT=0 >\n"})).power_mode == "15W"
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0007"})
    assert read_device(tmp_path).power_mode == "mode 7"


def test_jetpack_7_came_with_two_releases(tmp_path: Path) -> None:
    for release, revision in (("R38", "38.4.3"), ("R39", "39.4.3")):
        device = read_device(write(tmp_path, {"etc/nv_tegra_release": L4T.replace("R36", release)}))
        assert device.jetson == f"{revision} (JetPack 7)"


def test_a_future_release_is_reported_without_a_jetpack(tmp_path: Path) -> None:
    assert read_device(write(tmp_path, {"etc/nv_tegra_release": L4T.replace("R36", "R41")})).jetson == "41.4.3"
    assert read_device(write(tmp_path, {"etc/nv_tegra_release": "something else"})).jetson is None


def test_this_machine_is_described_without_an_error() -> None:
    device = read_device()
    assert device.model
    assert device.cores >= 1
