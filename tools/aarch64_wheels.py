"""Check that all dependencies of the device part exist as aarch64 wheels: `python -m tools.aarch64_wheels`, seconds.

Resolves the dependencies as on a Jetson or a Pi: uv uses the markers of that machine, and no package that must be
built there. Nothing is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
PLATFORM = "aarch64-manylinux_2_28"
PYTHONS = ("3.10", "3.12")
"""Python versions of JetPack 6 and 7."""


def resolve(python: str, requirements: Path = ROOT / "pyproject.toml") -> list[str]:
    """`NAME==VERSION` of all packages that the extras `cpu` and `media` install there.

    Raises:
        RuntimeError: a wheel is missing; with uv's message, without addresses.
    """
    words = [find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"]
    words += ["--python-platform", PLATFORM, "--python-version", python, "--extra", "cpu", "--extra", "media"]
    words.append(str(requirements))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = re.sub(r"https?://[^\s`]+", "an index", done.stderr.strip())
        raise RuntimeError(f"{PLATFORM}, Python {python}: {reason}")
    return done.stdout.split()


def main() -> None:
    """Resolve for each Python; the exit code is 1 if something is missing."""
    for python in PYTHONS:
        try:
            packages = resolve(python)
        except RuntimeError as error:
            sys.exit(str(error))
        chosen = ", ".join(package for package in packages if package.split("==")[0] in ("av", "numpy", "onnxruntime"))
        print(f"{PLATFORM}, Python {python}: {len(packages)} packages as wheels, {chosen} among them")


if __name__ == "__main__":
    main()
