"""The doctor on this machine, and on file trees of machines with problems."""

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import onnxruntime
import pytest

from metaser.diagnostics.check import Check, State
from metaser.diagnostics.doctor import examine
from metaser.diagnostics.doctor_providers import provider_findings
from metaser.diagnostics.versions import onnxruntime_wheels, versions
from metaser.runtime import Engine, Profile, WorkError
from metaser.runtime.bundles.bundle import default_bundle
from metaser.runtime.model.pooling_head import PoolingHead
from metaser.runtime.providers.session import PROVIDERS


def install(folder: Path, name: str, version: str, files: tuple[str, ...]) -> None:
    """The files that pip installs for a wheel, without its code."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (place / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def checks(bundle: str | None, profile: Path | None) -> dict[str, Check]:
    return {check.name: check for check in examine(bundle, profile)}


def test_wheels_that_overwrite_each_other_are_found(tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime", "1.32.0", ("onnxruntime/__init__.py",))
    assert onnxruntime_wheels([str(tmp_path)]) == {"onnxruntime": "1.32.0"}
    install(tmp_path, "onnxruntime-gpu", "1.31.0", ("onnxruntime/__init__.py",))
    install(tmp_path, "onnxruntime-extensions", "0.14.0", ("onnxruntime_extensions/__init__.py",))
    assert onnxruntime_wheels([str(tmp_path)]) == {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.0"}


def test_the_wheel_that_runs_here_is_the_one_that_is_installed() -> None:
    (version,) = onnxruntime_wheels().values()
    assert version == onnxruntime.__version__
    assert versions()["numpy"]


def test_a_sound_machine_has_no_problem(engine: Engine, profile: Profile, tmp_path: Path) -> None:
    path = tmp_path / "profile.safetensors"
    profile.save(path)
    found = checks(None, path)
    assert [check.name for check in found.values() if check.state is State.problem] == []
    assert found["bundle"].found.startswith(f"{default_bundle()} reproduces its golden vectors")
    assert found["profile"].found == f"{len(profile.clips)} clips of anger, joy, neutral, sadness"
    assert onnxruntime.__version__ in found["onnxruntime"].found
    assert engine.bundle.manifest.name in found["bundle"].found


def test_no_profile_yet_is_a_notice_and_a_damaged_one_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "profile.safetensors"
    absent = checks(None, path)["profile"]
    assert (absent.state, absent.fix) == (State.notice, "metaser enroll support/")
    path.write_bytes(b"no profile")
    assert checks(None, path)["profile"].state is State.problem


def test_a_jetson_without_tensorrt_gets_a_notice_and_its_energy_meter_is_found(tmp_path: Path) -> None:
    monitor = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
    tree = {
        "proc/device-tree/model": "NVIDIA Jetson Orin Nano\0",
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=MAXN_SUPER >",
        "var/lib/nvpmodel/status": "pmode:0002",
        **{f"{monitor}/{name}": text for name, text in (("in1_label", "VDD_IN"), ("in1_input", "5000"))},
        f"{monitor}/curr1_input": "900",
    }
    for name, text in tree.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {check.name: check for check in examine(None, tmp_path / "none", tmp_path)}
    assert found["machine"].found.startswith("NVIDIA Jetson Orin Nano (")
    assert found["jetson"].found.startswith("Jetson Linux 36.4.3 (JetPack 6), power mode MAXN_SUPER")
    lacks_tensorrt = PROVIDERS["tensorrt"] not in onnxruntime.get_available_providers()
    assert (found["jetson"].state is State.notice) == lacks_tensorrt
    assert found["energy"].found == "INA3221 VDD_IN"


def test_a_damaged_bundle_is_a_problem(bundle_copy: Path, tmp_path: Path) -> None:
    (bundle_copy / "head.onnx").unlink()
    bundle = checks(str(bundle_copy), tmp_path / "none")["bundle"]
    assert bundle.state is State.problem
    assert "lacks head.onnx" in bundle.found


def test_every_known_provider_of_this_onnxruntime_is_tried(engine: Engine) -> None:
    known = {name for name in onnxruntime.get_available_providers() if name in PROVIDERS.values()}
    tried = [PROVIDERS[finding.provider] for finding in provider_findings(engine.bundle)]
    assert sorted(tried) == sorted(known - {PROVIDERS["cpu"]})


@pytest.fixture
def cpu_called_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that every wheel has, used in place of one that few wheels have."""
    for provider in ("cuda", "tensorrt"):
        monkeypatch.delitem(PROVIDERS, provider)
    monkeypatch.setitem(PROVIDERS, "openvino", PROVIDERS["cpu"])


@pytest.mark.usefixtures("cpu_called_openvino")
@pytest.mark.filterwarnings("ignore:Duplicate provider")
def test_a_provider_that_starts_is_tried_with_the_head_and_the_whole_bundle(engine: Engine) -> None:
    (finding,) = provider_findings(engine.bundle)
    assert finding.runs_bundle
    assert finding.fix is None
    assert finding.found.startswith(f"starts; {engine.bundle.manifest.name} on it reproduces its golden vectors")


@pytest.mark.usefixtures("cpu_called_openvino")
@pytest.mark.filterwarnings("ignore:Duplicate provider")
def test_a_provider_that_fails_at_the_head_starts_and_needs_another_bundle(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise WorkError("the model failed to run: no kernel")

    monkeypatch.setattr(PoolingHead, "pool", fails)
    (finding,) = provider_findings(engine.bundle)
    assert not finding.runs_bundle
    name = engine.bundle.manifest.name
    assert finding.found == f"starts; {name} on it cannot be run: the model failed to run: no kernel"
    assert finding.fix == "run with --provider cpu, or use a bundle that was exported for it"


@pytest.mark.parametrize(
    ("module", "content", "expected", "fix"),
    [
        ("onnxruntime", "raise ImportError('libonnx')", "onnxruntime|problem", "pip install"),
        ("onnxruntime", "", "onnxruntime|problem", "pip install"),  # what uninstalling one of two wheels leaves
        ("sounddevice", "raise OSError('PortAudio library not found')", "microphone|notice", "libportaudio2"),
        ("sounddevice", "raise ImportError('not here')", "microphone|notice", "pip install sounddevice"),
        ("sounddevice", "query_devices = list", "microphone|notice", "arecord --list-devices"),
    ],
)
def test_what_is_broken_is_named_with_the_command_that_fixes_it(
    module: str, content: str, expected: str, fix: str, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text(content)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from pathlib import Path
from metaser.diagnostics.doctor import examine
for check in examine(None, Path("none")):
    print(check.name, check.state.value, check.fix, sep="|")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(expected))
    assert fix in line


def test_a_folder_that_cannot_be_written_is_a_problem_until_a_profile_is_there(
    profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home" / "profile.safetensors"
    path.parent.mkdir()
    access = os.access

    def refused(place: Path, mode: int) -> bool:
        return not (Path(place).is_relative_to(path.parent) and mode & os.W_OK) and access(place, mode)

    monkeypatch.setattr(os, "access", refused)
    storage = checks(None, path)["storage"]
    assert storage.state is State.problem
    assert storage.found == f"{path.parent} is not writable: profiles in it cannot be created or changed"
    assert "METASER_PROFILE" in str(storage.fix)
    profile.save(path)
    assert checks(None, path)["storage"].state is State.notice


def test_caches_and_state_that_cannot_be_kept_are_a_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert checks(None, tmp_path / "none")["storage"].state is State.fine
    for variable in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "file"))
        storage = checks(None, tmp_path / "none")["storage"]
        fix = f"export {variable}=DIR, with a folder that you can write to"
        assert (storage.state, storage.fix) == (State.notice, fix)
        monkeypatch.setenv(variable, str(tmp_path))


def test_a_user_without_a_home_folder_is_asked_to_name_a_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(user: object) -> None:
        raise KeyError(user)

    for variable in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    storage = checks(None, None)["storage"]
    assert (storage.state, storage.found) == (State.problem, "no home folder to store a profile in")
    assert checks(None, tmp_path / "none")["storage"].state is State.fine
