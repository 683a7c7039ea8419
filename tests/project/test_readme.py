"""What the README tells people to type works as printed, and what it says of figures is what was measured."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = ROOT / "runtime" / "metaser" / "runtime" / "data" / "demo"

NOT_RUN = {
    ". .venv/bin/activate": "the tests run in an environment of their own",
    "make demo    # make .venv, install .[cpu], run the main job on shipped clips": "makes an environment; CI does",
    "make test    # the same with the development extras, run the tests": "this is that run",
    "metaser export openai/whisper-base bundle/ --int8 --layers 2": "needs the model hub",
    "metaser stream --mic": "needs a microphone; the command's own tests have a virtual one",
    "arecord -q -f S16_LE -r 16000 -c 1 -t raw | metaser stream -": "the same",
    "metaser enroll support/ --bundle bundle/": "needs the bundle of the line before",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A folder as a person has it: support clips, a clip and a recording."""
    shutil.copytree(DEMO / "support", tmp_path / "support")
    clip = next(iter(sorted((DEMO / "support" / "joy").iterdir())))
    shutil.copy(clip, tmp_path / "clip.wav")  # the format is told by its content
    shutil.copy(DEMO / "conversation.flac", tmp_path / "recording.wav")
    return tmp_path


def execute(words: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "METASER_PROFILE": str(folder / "profile.safetensors")}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_shell_line_runs_or_says_why_not(person: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert set(NOT_RUN) <= set(lines)
    run = [line for line in lines if line not in NOT_RUN]
    assert run == [
        "metaser enroll support/",
        "metaser classify clip.wav",
        "metaser stream recording.wav",
        "metaser stream recording.wav --format csv",
    ]
    answers = [execute(line.split(), person) for line in run]
    assert "20 clips" in answers[0]
    assert "joy" in answers[1]
    assert "Real-time factor" in answers[2]
    for page in (README, (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")):
        (shown,) = re.findall(r"```csv\n(.*?)```", page, flags=re.DOTALL)
        rows = zip(shown.splitlines()[1:], answers[3].splitlines()[1:], strict=False)
        for stated, printed in ([line.split(",") for line in pair] for pair in rows):
            assert stated[:3] == printed[:3]
            assert abs(float(stated[3]) - float(printed[3])) < 0.05  # int8 differs a little between processors


def test_the_python_lines_run(person: Path) -> None:
    (code,) = blocks("python")
    assert execute([sys.executable, "-c", code], person).startswith("joy 0.")


def test_the_figure_of_the_demonstration_is_what_it_prints(person: Path) -> None:
    answer = json.loads(execute(["metaser", "demo", "--json"], person))
    (stated,) = re.findall(r"Expect (\d+) % of the speech time right", README)
    # a point or two may move with the processor's int8 arithmetic
    assert abs(100 * answer["share_right"] - int(stated)) <= 5


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_every_example_runs(person: Path, script: Path) -> None:
    last = {
        "enroll_and_classify": "clip.wav",
        "stream_a_recording": "recording.wav",
        "eight_streams": "recording.wav",
        "arrays_and_profile": "me.safetensors",
    }
    assert execute([sys.executable, str(script), "support/", last[script.stem]], person)


def test_the_tables_state_what_was_measured() -> None:
    accuracy = json.loads((ROOT / "benchmarks/results/choose_default.json").read_text())["accuracy"]
    for figure in (value for name, value in accuracy.items() if name != "protocol"):
        assert figure in README
    speed = json.loads((ROOT / "benchmarks/results/main_job.json").read_text())
    for text in (
        f"{speed['enroll_command_s']:.2f} s",
        f"{speed['classify_3_s_clip_ms']:.1f} ms",
        f"{speed['enroll_command_peak_mb']:.0f} MB",
        f"{speed['install_size_mb']:.0f} MB",
    ):
        assert text in README
