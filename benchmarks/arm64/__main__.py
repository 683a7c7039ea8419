"""Run the wheel on an emulated arm64 Debian and compare it with this machine: `python -m benchmarks.arm64 CORPORA`.

It installs the wheel with its real dependencies for arm64, runs doctor, verify and the demo, and compares embeddings,
labels and events of 100 clips with those on this machine. Writes `benchmarks/results/arm64.json`. With `--full` it also
runs the runtime's tests, and compares 500 clips with every shipped bundle, with the default one in float32, and with a
small wav2vec 2.0 in every form; it writes `arm64_full.json`, and continues where it was ended. Nothing is timed: an
emulator says nothing about speed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.arm64 import probe_worker
from benchmarks.arm64.compare import compared
from benchmarks.arm64.material import ROOT, prepare
from benchmarks.arm64.wheels import ENVIRONMENT, PYTHON, fetch_wheels, install, is_installed
from benchmarks.debian import Root, UnavailableError, emulator, exit_if_unavailable, parser_of
from benchmarks.machine import write_result

NAME = "benchmarks.arm64"
SUITE = "bookworm"
PACKAGES = ("python3-venv", "libportaudio2", "ca-certificates")
CLIPS, FULL_CLIPS = 100, 500
COMMANDS = (("doctor",), ("verify",), ("demo",))
MACHINES = ("x86_64", "aarch64")
TESTED = "tested.json"
FOR_CI = {"CI": "true"}
"""With this variable hypothesis sets no time limit for an example."""

FOR_TESTS = ("av", "hypothesis", "onnx", "pytest")


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Make the root, install the wheel, run the commands and compare."""
    if platform.machine() == "aarch64":
        raise UnavailableError("this machine is arm64 itself: run the tests as they are, with make test")
    root, work = Root(given.folder / "root", "arm64"), given.folder / ("full" if given.full else "work")
    root.check()
    if given.so_far:
        return {**described(root), **found_so_far(work)}
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    if not wheels:
        raise UnavailableError("there is no wheel in dist/: make wheel")
    prepare(work, given.corpora, FULL_CLIPS if given.full else CLIPS, wheels[-1], full=given.full)
    print(f"Debian {SUITE} for arm64 in {root.path}", flush=True)
    root.make(SUITE, PACKAGES, given.mirror)
    packages = FOR_TESTS if given.full else ()
    fetch_wheels(wheels[-1], work / "wheels", *packages)
    if not is_installed(root, wheels[-1], *packages):
        print("Installing the wheel", flush=True)
        install(root, wheels[-1], work / "wheels", *packages)
    shutil.copy(probe_worker.__file__, work)
    if given.full:
        bundles = json.loads((work / probe_worker.BUNDLES).read_text())
        with ThreadPoolExecutor(os.cpu_count()) as together:  # each is one process that works long
            tests = together.submit(tested, root, work)
            for done in [tests, *(together.submit(probed, root, work, name) for name in bundles)]:
                done.result()
        return {**described(root), **found_so_far(work)}
    last_lines = {}
    for words in COMMANDS:
        print(f"metaser {' '.join(words)}", flush=True)
        last_lines[" ".join(words)] = root.output("metaser", *words).splitlines()[-1]
    probed(root, work)
    return {**described(root), "last_lines": last_lines, "compared": compared(work, MACHINES)}


def described(root: Root) -> dict[str, Any]:
    """The system in the root and its packages."""
    return {
        "system": f"Debian {SUITE}, arm64, Python {PYTHON}, {emulator()}",
        "packages": root.output(f"{ENVIRONMENT}/bin/pip", "list", "--format", "freeze").split(),
    }


def found_so_far(work: Path) -> dict[str, Any]:
    """The tests that have run, and the bundles that both machines have answered for."""
    return {"tests": tests_so_far(work), "compared": compared(work, MACHINES)}


def probed(root: Root, work: Path, *names: str) -> None:
    """Ask bundles on this machine and in the root; without names all."""
    worker = Path(probe_worker.__file__).name
    subprocess.run([sys.executable, str(work / worker), str(work), *names], check=True)
    print(root.output("python", f"/mnt/{worker}", "/mnt", *names, binds={"/mnt": work}), end="", flush=True)


def tests_so_far(work: Path) -> dict[str, Any]:
    """Folder of tests -> what pytest counts, and the tests that did not pass."""
    done = work / TESTED
    return json.loads(done.read_text()) if done.exists() else {}


def tested(root: Root, work: Path) -> None:
    """Run the runtime's tests in the root, folder by folder.

    A folder whose tests have all passed is left out when a run that was ended continues.
    """
    tests, results = work / "tests", tests_so_far(work)
    shutil.copytree(ROOT / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for folder in test_folders(tests):
        if "passed" not in (summary := results.get(folder, {}).get("summary", "")) or "failed" in summary:
            words = ["python", "-m", "pytest", "--quiet", "-rfEs", "--import-mode=importlib", f"{folder}/test_*.py"]
            ran = root.started("sh", "-c", f"cd /mnt && exec {' '.join(words)}", binds={"/mnt": work}, env=FOR_CI)
            lines = ran.stdout.splitlines()
            shown = [line for line in lines if line.startswith(("FAILED", "ERROR", "SKIPPED"))]
            results[folder] = {"summary": lines[-1] if lines else "no output", "not_passed": shown}
            (work / TESTED).write_text(json.dumps(results))
        print(f"{folder}: {results[folder]['summary']}", flush=True)


def test_folders(tests: Path) -> list[str]:
    """The folders with tests of the runtime and the diagnostics, those with the least code first."""
    folders = [tests / "diagnostics", *(path.parent for path in (tests / "runtime").rglob("test_*.py"))]
    sizes = {folder: sum(path.stat().st_size for path in folder.glob("test_*.py")) for folder in folders}
    return [str(folder.relative_to(tests.parent)) for folder in sorted(sizes, key=lambda folder: sizes[folder])]


def main() -> int:
    """Run, and write the result; exit code 3 if this machine cannot."""
    parser = parser_of(NAME, __doc__.split("\n")[0], ROOT / "build" / "arm64")
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--full", action="store_true", help="more bundles and clips, and the runtime's tests; hours")
    parser.add_argument(
        "--so-far", action="store_true", help="with --full: run nothing, and write what was found so far"
    )
    given = parser.parse_args()
    with exit_if_unavailable():
        document = run(given)
    command = f"python -m {NAME} CORPORA"
    if given.full:
        write_result("arm64_full", {"command": f"{command} --full", **document})
    else:
        write_result("arm64", {"command": command, **document})
    return 0


if __name__ == "__main__":
    sys.exit(main())
