"""Checks of this machine, each with the command that fixes a problem."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from metaser.diagnostics.check import Check, State
from metaser.diagnostics.device import Device, read_device
from metaser.diagnostics.doctor_providers import FINE, provider_findings, verified
from metaser.diagnostics.energy import find_meter
from metaser.diagnostics.energy_rapl import FIX, REASON
from metaser.diagnostics.versions import onnxruntime_wheels, versions
from metaser.runtime.bundles.bundle import Bundle, open_bundle
from metaser.runtime.enrolment.profile import Profile
from metaser.runtime.errors import InputError, MetaserError, MissingDependencyError, WorkError
from metaser.runtime.providers.integer_products import fast_kernels_are_exact
from metaser.runtime.providers.session import import_onnxruntime
from metaser.runtime.system.user_folders import cache_folder, can_write, default_profile, state_folder
from metaser.runtime.words import counted

LIST_MICROPHONES = "arecord --list-devices shows the devices of the system; sudo usermod --append --groups audio $USER"


def examine(bundle: str | None, profile: Path | None, root: Path = Path("/")) -> Iterator[Check]:
    """Check the machine whose file system begins at `root`; yields each check as soon as it is done.

    Parameters:
        profile: the profile's file; None is the user's default one.
    """
    with suppress(InputError):  # no home folder, which `_storage` reports
        profile = profile or default_profile()
    device = read_device(root)
    yield _machine(device)
    yield _packages()
    runtime = _onnxruntime(onnxruntime_wheels())
    yield runtime
    yield _storage(profile)
    opened = _bundle(bundle)
    if isinstance(opened, Check):
        yield opened
    elif runtime.state is not State.problem:
        yield from _running(opened, profile)
    if runtime.state is not State.problem:
        yield _int8(device)
    if device.jetson:
        yield _jetson(device, runtime)
    yield _microphone()
    yield _energy(root)


def _machine(device: Device) -> Check:
    name = device.model if device.model == device.processor else f"{device.model} ({device.processor})"
    modes = ", ".join(mode for mode in (device.power_mode, device.governor) if mode)
    clock = f", {device.cpu_mhz[0]:.0f} of {device.cpu_mhz[1]:.0f} MHz" if device.cpu_mhz else ""
    installed = os.cpu_count() or 1
    cores = f"{device.cores} of {installed} cores" if device.cores < installed else f"{device.cores} cores"
    found = f"{name}, {cores}{clock}, {device.system}"
    return Check("machine", State.fine, found + (f", power mode: {modes}" if modes else ""))


def _packages() -> Check:
    found = ", ".join(f"{name} {version}" for name, version in versions().items() if "onnxruntime" not in name)
    return Check("packages", State.fine, found)


def _onnxruntime(wheels: dict[str, str]) -> Check:
    """Check that exactly one wheel provides onnxruntime: several overwrite each other in one folder."""
    found = ", ".join(f"{name} {version}" for name, version in wheels.items())
    if len(wheels) > 1:
        kept = next((name for name in wheels if name != "onnxruntime"), "onnxruntime")
        fix = f"pip uninstall --yes {' '.join(wheels)} && pip install {kept}"
        return Check("onnxruntime", State.problem, f"{found}: they overwrite each other, keep only one", fix)
    try:
        ort = import_onnxruntime()
        available = ort.get_available_providers()
    except MissingDependencyError as error:
        fix = f"pip install --force-reinstall {' '.join(wheels)}" if wheels else "pip install 'metaser[cpu]'"
        return Check("onnxruntime", State.problem, str(error), fix)
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in available)
    return Check("onnxruntime", State.fine, f"{found or f'onnxruntime {ort.__version__}'}, built with {providers}")


def _storage(profile: Path | None) -> Check:
    """Check that the profile, the caches and the state can be written."""
    fix = "export METASER_PROFILE=FILE, in a folder that you can write to, or give --profile FILE"
    if profile is None:
        return Check("storage", State.problem, "no home folder to store a profile in", fix)
    folder = profile.resolve().parent
    if not can_write(folder):
        state = State.notice if os.access(profile, os.R_OK) else State.problem
        return Check("storage", state, f"{folder} is not writable: profiles in it cannot be created or changed", fix)
    for variable, find in (("XDG_CACHE_HOME", cache_folder), ("XDG_STATE_HOME", state_folder)):
        try:
            kept = find()
        except WorkError as error:
            return Check(
                "storage", State.notice, str(error), f"export {variable}=DIR, with a folder that you can write to"
            )
        if not can_write(kept):
            found = f"{kept} is not writable: results and notices are not stored and will be repeated"
            return Check("storage", State.notice, found, f"export {variable}=DIR, with a folder that you can write to")
    return Check("storage", State.fine, f"{folder} is writable; caches are in {cache_folder()}")


def _bundle(bundle: str | None) -> Bundle | Check:
    try:
        return open_bundle(bundle)
    except MetaserError as error:
        return Check(
            "bundle", State.problem, str(error), "pip install --force-reinstall metaser" if not bundle else None
        )


def _running(bundle: Bundle, profile: Path | None) -> Iterator[Check]:
    """Checks that need both a bundle and onnxruntime."""
    found = verified(bundle, "cpu")
    wheel = next(iter(onnxruntime_wheels()), "onnxruntime")
    fix = None if found.startswith(FINE) else f"pip install --force-reinstall {wheel}"
    yield Check("bundle", State.problem if fix else State.fine, f"{bundle.manifest.name} {found}", fix)
    for finding in provider_findings(bundle):
        state = State.fine if finding.runs_bundle else State.notice
        yield Check(f"provider {finding.provider}", state, finding.found, finding.fix)
    if profile:
        yield _profile(bundle, profile)


def _profile(bundle: Bundle, path: Path) -> Check:
    fix = "metaser enroll support/"
    if not os.path.lexists(path):
        return Check("profile", State.notice, f"none at {path} yet", fix)
    try:
        profile = Profile.load(path)
    except (MetaserError, OSError) as error:
        return Check("profile", State.problem, str(error), fix)
    found = f"{counted(len(profile.clips), 'clip')} of {', '.join(profile.labels)}"
    if profile.model_id != bundle.manifest.model_id or not bundle.manifest.reproduces(profile.graph_id):
        found += f"; made with the bundle {profile.bundle_name}, not {bundle.manifest.name}"
        return Check("profile", State.problem, found, fix)
    return Check("profile", State.fine, found)


def _int8(device: Device) -> Check:
    flags = ", ".join(device.flags) or "no relevant CPU flags"
    if fast_kernels_are_exact():
        return Check("int8", State.fine, f"uses the fast kernels, which are exact on this processor ({flags})")
    slower = f"uses the exact kernels, because the fast ones overflow on this processor ({flags})"
    return Check("int8", State.fine, f"{slower}; `metaser bench` shows whether fp32 is faster here")


def _jetson(device: Device, runtime: Check) -> Check:
    found = f"Jetson Linux {device.jetson}, power mode {device.power_mode or 'not known'}"
    if runtime.state is State.fine and "Tensorrt" not in runtime.found:
        fix = "install NVIDIA's onnxruntime wheel for this JetPack; PyPI's wheel has no TensorRT: docs/jetson.md"
        return Check("jetson", State.notice, f"{found}; this onnxruntime has no TensorRT", fix)
    return Check("jetson", State.fine, found)


def _microphone() -> Check:
    try:
        sounddevice = import_module("sounddevice")
    except OSError as error:
        return Check("microphone", State.notice, f"{error}", "sudo apt install libportaudio2")
    except ImportError as error:
        return Check("microphone", State.notice, f"{error}", "pip install sounddevice")
    try:
        devices = sounddevice.query_devices()
    except sounddevice.PortAudioError as error:
        return Check("microphone", State.notice, str(error), LIST_MICROPHONES)
    inputs = [
        f"{device['name']} ({device['default_samplerate']:g} Hz)" for device in devices if device["max_input_channels"]
    ]
    if not inputs:
        return Check("microphone", State.notice, "PortAudio is installed but finds no microphone", LIST_MICROPHONES)
    return Check("microphone", State.fine, ", ".join(inputs))


def _energy(root: Path) -> Check:
    try:
        return Check("energy", State.fine, find_meter(root).name)
    except MetaserError as error:
        if str(error).startswith(REASON):
            return Check("energy", State.notice, REASON, FIX)
        return Check("energy", State.fine, str(error))
