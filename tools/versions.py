"""The runtime's tests under other Pythons and with the oldest dependencies: `python -m tools.versions [PYTHON ...]`.

Each run has an environment of its own, made by uv, with the wheel in dist/ and its extra `cpu`, as a person gets it.
A Python that is not on this machine is named and left out; nothing is fetched but packages.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OLDEST = PYTHONS[0]
FOR_TESTS = ("pytest", "hypothesis", "pytest-xdist")
SHOWN = """
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "safetensors", "soxr", "typer")))
"""


def find_python(version: str) -> str | None:
    """The interpreter of this version, on the path or under pyenv; a shim of pyenv's may answer for none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in (shutil.which(f"python{version}"), *pyenv.glob(f"{version}.*/bin/python{version}")):
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None


def run_tests(python: str, wheel: Path, *, oldest: bool) -> bool:
    """Make the environment, print what is in it, run the tests; whether they passed."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        inside = str(there / "venv" / "bin" / "python")
        install = [find_uv_bin(), "pip", "install", "--quiet", "--only-binary", ":all:", "--python", inside]
        subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", python, str(there / "venv")], check=True)
        resolution = "lowest-direct" if oldest else "highest"
        project = ["--requirements", str(ROOT / "pyproject.toml"), "--extra", "cpu"]
        subprocess.run([*install, "--resolution", resolution, *project], check=True)
        subprocess.run([*install, "--no-deps", str(wheel)], check=True)
        subprocess.run([*install, *FOR_TESTS], check=True)
        shutil.copytree(ROOT / "tests", there / "tests")
        subprocess.run([inside, "-c", SHOWN], check=True)
        words = ["pytest", "--quiet", "--import-mode=importlib", "--numprocesses", "2", "tests/runtime"]
        return subprocess.run([inside, "-m", *words], cwd=there, check=False).returncode == 0


def runs(wanted: list[str], *, only_oldest: bool) -> Iterator[tuple[str, bool]]:
    """(Python, whether with the oldest dependencies) of each run."""
    for version in wanted or PYTHONS:
        if not only_oldest:
            yield version, False
        if version == OLDEST or only_oldest:
            yield version, True


def main() -> None:
    """Run what was asked for; the exit code is 1 where tests failed or no Python was here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", nargs="*", help=f"{', '.join(PYTHONS)}; without any, all of them")
    parser.add_argument("--oldest", action="store_true", help="only with the oldest dependencies that are allowed")
    arguments = parser.parse_args()
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if not wheels:
        sys.exit("dist/ holds no wheel: make wheel")
    passed = []
    for version, oldest in runs(arguments.python, only_oldest=arguments.oldest):
        name = f"Python {version}, {'oldest' if oldest else 'newest'} dependencies"
        if python := find_python(version):
            print(f"== {name}", flush=True)
            passed.append(run_tests(python, wheels[-1], oldest=oldest))
        else:
            print(f"== {name}: NOT RUN, there is no Python {version} on this machine", flush=True)
    sys.exit(not (passed and all(passed)))


if __name__ == "__main__":
    main()
