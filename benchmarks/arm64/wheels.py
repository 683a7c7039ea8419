"""The wheel and its dependencies for arm64: fetched on this machine, installed in the root."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.debian import Root, UnavailableError

PYTHON = "3.11"
"""Debian's own in the release that the root has."""

PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
ENVIRONMENT = "/opt/metaser"
MARKER = "installed-from.txt"


def fetch_wheels(wheel: Path, folder: Path, *packages: str) -> None:
    """Download the wheels that metaser's wheel needs on arm64, and those of more packages.

    Raises:
        UnavailableError: they cannot be fetched.
    """
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", *platforms]
    words += ["--python-version", PYTHON, "--dest", str(folder), f"{wheel}[cpu]", *packages]
    if subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode:
        raise UnavailableError("the wheels for arm64 cannot be fetched: is there a network?")


def install(root: Root, wheel: Path, wheels: Path, *packages: str) -> None:
    """Make the environment with metaser and more packages in the root, from a folder of wheels."""
    shutil.rmtree(_environment(root), ignore_errors=True)
    root.output("python3", "-m", "venv", ENVIRONMENT)
    pip = [f"{ENVIRONMENT}/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/mnt"]
    root.output(*pip, "metaser[cpu]", *packages, binds={"/mnt": wheels})
    (_environment(root) / MARKER).write_text(_description(wheel, packages))


def is_installed(root: Root, wheel: Path, *packages: str) -> bool:
    """Whether the environment in the root has this wheel and these packages."""
    marker = _environment(root) / MARKER
    return marker.exists() and marker.read_text() == _description(wheel, packages)


def _environment(root: Root) -> Path:
    return root.path / ENVIRONMENT.strip("/")


def _description(wheel: Path, packages: tuple[str, ...]) -> str:
    return " ".join([hashlib.sha256(wheel.read_bytes()).hexdigest(), *packages])
