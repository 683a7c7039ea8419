"""The shell lines of README and tutorial run as printed; each line that does not is a skipped test with its reason."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {"README": ROOT / "README.md", "tutorial": ROOT / "docs" / "tutorial.md"}

Execute: TypeAlias = Callable[[list[str], Path], str]

INSTALLS = "makes an environment; .ci/run does"
HUB, FROM_HUB = "needs the model hub", "needs the bundle that comes from the hub"
MICROPHONE = "needs a microphone and a person"
NOT_RUN = {
    "make demo    # make .venv, install .[cpu], run the main job on shipped clips": INSTALLS,
    "make test    # the same with the development extras, run the tests": "this is that run",
    "python3 -m venv .venv": INSTALLS,
    ". .venv/bin/activate": "the tests run in an environment of their own",
    "pip install '.[cpu]'": INSTALLS,
    "pip install '.[cpu,export]'": INSTALLS,
    "metaser record joy --count 5": MICROPHONE,
    "metaser stream --mic": MICROPHONE,
    "arecord -q -f S16_LE -r 16000 -c 1 -t raw | metaser stream -": MICROPHONE,
    "metaser export openai/whisper-base bundle/ --int8 --layers 2": HUB,
    "metaser enroll support/ --bundle bundle/": FROM_HUB,
    "metaser bench --bundle frozen --bundle bundle/": FROM_HUB,
}
EXPECTED = {
    "metaser demo": "Correct for ",
    "metaser enroll support/": "20 clips",
    "metaser classify": "joy",
    "metaser stream": "Real-time factor",
    "metaser enroll --remove": "19 clips",
    "metaser enroll --undo": "20 clips",
    "metaser calibrate": "--false-accepts",
    "metaser bench": "real-time factor",
    "metaser forget": "Deleted",
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page].read_text(encoding="utf-8"), flags=re.DOTALL)


def lines(page: str) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(page: str, person: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to run in: for the README one with clips and a recording, for the tutorial a clone."""
    if page == "README":
        return person
    clone = tmp_path_factory.mktemp("clone")
    (clone / "runtime").symlink_to(ROOT / "runtime")
    return clone


def test_every_line_of_the_page_runs_in_order(page: str, folder: Path, execute: Execute) -> None:
    to_run = [line for line in lines(page) if line not in NOT_RUN]
    assert {line.split()[1] for line in to_run if line.startswith("metaser")} >= {"enroll", "classify", "stream"}
    for line in to_run:
        printed = execute(["sh", "-ec", line], folder)
        for start, words in EXPECTED.items():
            if line.startswith(start) and not re.search("--(json|format)", line):
                assert words in printed, line


def test_the_python_lines_run(page: str, person: Path, execute: Execute) -> None:
    (code,) = blocks(page, "python")
    assert execute([sys.executable, "-c", code], person).startswith("joy 0.")


@pytest.mark.parametrize("line", [line for name in PAGES for line in lines(name) if line in NOT_RUN])
def test_a_line_that_does_not_run_here(line: str) -> None:
    pytest.skip(f"{line.partition('  #')[0].strip()}: {NOT_RUN[line]}")


def test_no_reason_outlives_its_line() -> None:
    assert set(NOT_RUN) <= {line for name in PAGES for line in lines(name)}
