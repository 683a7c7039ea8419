"""Run the runtime's tests with other Pythons, the oldest dependencies and other wheels of ONNX Runtime.

`python -m tools.versions [PYTHON ...]`. Each run has its own environment, made by uv, with the wheel in dist/ and
its extra `cpu`, `openvino` or `gpu`, as a user installs it. With the last two only the tests of providers run. A Python
that is not on this machine is reported and skipped; only packages are downloaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from benchmarks.pythons import PYTHONS, find_python

ROOT = Path(__file__).parents[1]
OLDEST = PYTHONS[0]
FOR_TESTS = ("pytest", "hypothesis", "pytest-xdist")
WITH_PROVIDERS = "3.11"
PROVIDER_EXTRAS = ("openvino", "gpu")
FOR_PROVIDER_TESTS = ("pytest", "onnx")
RUNTIME_TESTS = (
    "tests/runtime",
    "tests/diagnostics",
)
PROVIDER_TESTS = (
    "tests/diagnostics/test_doctor.py",
    "tests/runtime/providers/test_check.py",
    "tests/runtime/providers/test_wheels.py",
)
PORTABLE_BUNDLES = "METASER_TEST_PORTABLE_BUNDLES"
"""Environment variable with the folder of portable bundles for the tests of OpenVINO."""

SHOWN = """
from importlib.metadata import version
from metaser.diagnostics.versions import onnxruntime_wheels
installed = {name: version(name) for name in ("numpy", "safetensors", "soxr", "typer")} | onnxruntime_wheels()
print(", ".join(f"{name} {number}" for name, number in installed.items()))
"""


@dataclass(frozen=True)
class Run:
    """One environment and the tests that run in it."""

    python: str
    """Its version."""

    oldest: bool = False
    """Use the oldest allowed dependencies."""

    extra: str = "cpu"
    """Its wheel of ONNX Runtime."""

    @property
    def name(self) -> str:
        """Description of the run."""
        return f"Python {self.python}, {'oldest' if self.oldest else 'newest'} dependencies, extra {self.extra}"

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that its tests need."""
        return FOR_PROVIDER_TESTS if self.extra in PROVIDER_EXTRAS else FOR_TESTS

    @property
    def pytest(self) -> list[str]:
        """Command line of pytest."""
        words = ["pytest", "--quiet", "-rs", "--import-mode=importlib"]
        if self.extra in PROVIDER_EXTRAS:
            return [*words, *PROVIDER_TESTS]
        return [*words, "--numprocesses", "2", *RUNTIME_TESTS]


def run_tests(run: Run, python: str, wheel: Path) -> bool:
    """Make the environment of a run, print its packages, run the tests; return whether they passed."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        inside = str(there / "venv" / "bin" / "python")
        install = [find_uv_bin(), "pip", "install", "--quiet", "--only-binary", ":all:", "--python", inside]
        subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", python, str(there / "venv")], check=True)
        resolution = "lowest-direct" if run.oldest else "highest"
        project = ["--requirements", str(ROOT / "pyproject.toml"), "--extra", run.extra]
        subprocess.run([*install, "--resolution", resolution, *project], check=True)
        subprocess.run([*install, "--no-deps", str(wheel)], check=True)
        subprocess.run([*install, *run.packages], check=True)
        shutil.copytree(ROOT / "tests", there / "tests")
        subprocess.run([inside, "-c", SHOWN], check=True)
        environment = dict(os.environ)
        if run.extra == "openvino":
            environment[PORTABLE_BUNDLES] = str(export_portable(there / "portable"))
        return subprocess.run([inside, "-m", *run.pytest], cwd=there, check=False, env=environment).returncode == 0


def export_portable(folder: Path) -> Path:
    """The folder with the smallest model as a portable bundle in fp32 and int8, exported by this environment."""
    for precision in ("fp32", "int8"):
        words = ["export", str(ROOT / "models" / "tiny"), str(folder / precision), "--portable", f"--{precision}"]
        subprocess.run([sys.executable, "-m", "metaser.cli", *words], check=True, stdout=subprocess.DEVNULL)
    return folder


def runs(wanted: list[str], *, only_oldest: bool, extra: str | None = None) -> Iterator[Run]:
    """The runs; by default every Python with the CPU wheel and one of them with each other wheel."""
    if extra:
        yield from (Run(version, only_oldest, extra) for version in wanted or [WITH_PROVIDERS])
        return
    for version in wanted or PYTHONS:
        if not only_oldest:
            yield Run(version)
        if version == OLDEST or only_oldest:
            yield Run(version, oldest=True)
    if not wanted and not only_oldest:
        yield from (Run(WITH_PROVIDERS, extra=each) for each in PROVIDER_EXTRAS)


def main() -> None:
    """Run the requested tests; the exit code is 1 if tests failed or no Python was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", nargs="*", help=f"{', '.join(PYTHONS)}; default: all")
    parser.add_argument("--oldest", action="store_true", help="only with the oldest allowed dependencies")
    parser.add_argument("--extra", choices=PROVIDER_EXTRAS, help="only with this wheel of ONNX Runtime")
    arguments = parser.parse_args()
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if not wheels:
        sys.exit("dist/ holds no wheel: make wheel")
    passed = []
    for run in runs(arguments.python, only_oldest=arguments.oldest, extra=arguments.extra):
        if python := find_python(run.python):
            print(f"== {run.name}", flush=True)
            passed.append(run_tests(run, python, wheels[-1]))
        else:
            print(f"== {run.name}: NOT RUN, there is no Python {run.python} on this machine", flush=True)
    sys.exit(not (passed and all(passed)))


if __name__ == "__main__":
    main()
