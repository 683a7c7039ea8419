"""The list of benchmarks is complete and correct: every command, every result, and nothing else."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
LIST = (FOLDER / "README.md").read_text(encoding="utf-8")
FILES = sorted(path for path in FOLDER.rglob("results/*") if path.is_file())
RESULTS = sorted({path.stem for path in FILES})
ROWS = [line.split(" | ") for line in LIST.splitlines() if "`python -m " in line]
NAMED = {name: cell for *_, cell in ROWS for name in re.findall(r"`(\w+)`", cell)}


def test_every_benchmark_that_can_be_run_is_listed_and_no_other() -> None:
    paths = [path for path in FOLDER.rglob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    runnable = {".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__main__") for path in paths}
    listed = set(re.findall(r"`python -m benchmarks\.([\w.]+)", LIST))
    assert listed == {name for name in runnable if not name.endswith("worker")}


@pytest.mark.parametrize("result", RESULTS)
def test_every_result_is_listed(result: str) -> None:
    patterns = [name.replace("NAME", "*") for name in NAMED]
    assert any(fnmatch(result, pattern) or result.startswith(f"{pattern}_") for pattern in patterns)


@pytest.mark.parametrize("name", NAMED)
def test_a_listed_result_exists_unless_the_list_says_that_it_does_not(name: str) -> None:
    exists = any(fnmatch(result, name.replace("NAME", "*")) for result in RESULTS)
    assert exists != ("not measured yet" in NAMED[name])


@pytest.mark.parametrize("result", [path for path in FILES if path.suffix == ".json"], ids=lambda path: path.stem)
def test_every_result_states_its_machine_commit_and_a_command_that_exists(result: Path) -> None:
    document = json.loads(result.read_text(encoding="utf-8"))
    assert {"processor", "cores", "versions", "commit"} <= set(document["machine"])
    modules = [name.replace(".", "/") for name in re.findall(r"python -m benchmarks\.([\w.]+)", document["command"])]
    assert modules
    assert all((FOLDER / f"{name}.py").is_file() or (FOLDER / name / "__main__.py").is_file() for name in modules)
