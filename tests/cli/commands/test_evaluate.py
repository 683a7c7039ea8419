"""`metaser evaluate`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

ClipMaker: TypeAlias = Callable[[str, float, int], npt.NDArray[np.float32]]
Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]
SMALL = ("--n-way", "2", "--k-shot", "2", "--episodes", "10")


@pytest.fixture(scope="module")
def corpus(make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LABEL/SPEAKER/clips of two labels and four speakers."""
    folder = tmp_path_factory.mktemp("corpus") / "vowels"
    for number, label in enumerate(("calm", "keen")):
        for speaker in range(4):
            (folder / label / f"s{speaker}").mkdir(parents=True)
            for take in range(3):
                clip = make_clip(label, 0.3, 100 * number + 10 * speaker + take)
                soundfile.write(folder / label / f"s{speaker}" / f"{take}.wav", clip, 16_000)
    return folder


@pytest.fixture
def evaluate(run: Run, tiny_bundle: Path, corpus: Path, tmp_path: Path) -> Run:
    """`evaluate(options...)` evaluates the tiny bundle on the small corpus."""

    def call(*options: str | Path) -> CompletedProcess[str]:
        cache = () if "--tune" in options else ("--cache", tmp_path / "cache")
        small = [
            word for pair in pairwise(SMALL) if pair[0].startswith("--") and pair[0] not in options for word in pair
        ]
        return run("evaluate", tiny_bundle, "--corpus", corpus, *small, *cache, *options)

    return call


def answer(result: CompletedProcess[str]) -> dict[str, Any]:
    assert (result.returncode, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def test_clearly_different_sounds_are_classified_correctly(evaluate: Run) -> None:
    found = answer(evaluate("--json"))
    assert found["model"]["name"] == "tiny"
    assert (found["corpus"], found["classes"]) == ("vowels", ["calm", "keen"])
    assert found["accuracy"]["mean"] == found["unweighted_recall"] == 1.0
    assert found["protocol"] == {
        "n_way": 2, "k_shot": 2, "n_query": 15, "speaker_split": "disjoint", "sampling": "within", "seed": 0,
        "column": "label", "episodes": 10,
    }  # fmt: skip
    assert found["against"] is None
    assert found["left_out"] == []


def test_people_get_a_table(evaluate: Run) -> None:
    result = evaluate()
    said, row = (line for line in result.stdout.splitlines() if line.startswith("vowels"))
    assert said == "vowels: 2 classes (calm, keen) of 4 speakers (s0, s1, s2, s3)"
    assert row.split()[1:4] == ["100.0", "±", "0.0"]


def test_a_second_run_is_paired_with_the_first(evaluate: Run, tmp_path: Path) -> None:
    evaluate("--out", tmp_path / "first")
    file = tmp_path / "first" / "evaluation.json"
    assert (tmp_path / "first" / "confusion-vowels.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(file.read_text())
    assert len(document["corpora"][0]["episodes"]) == 10
    found = answer(evaluate("--against", file, "--json"))["against"]
    assert found["by_episodes"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert not found["decided"]
    assert "difference" in evaluate("--against", file).stdout


def test_a_run_of_other_episodes_cannot_be_paired(evaluate: Run, tmp_path: Path) -> None:
    evaluate("--out", tmp_path)
    result = evaluate("--against", tmp_path / "evaluation.json", "--seed", "1")
    assert result.returncode == 2
    assert "cannot be paired (seed 1 and 0)" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--n-way", "3"), "2 of 2 are that large"),
        (("--k-shot", "12"), "needs 2 classes of at least 13 clips"),
        (("--speakers", "same"), "none of its 4 speakers"),
        (("--split", "test"), "none of its 24 clips is by a test speaker"),
        (("--against", "absent.json"), "no such file: absent.json"),
        (("--episodes", "1"), "at least 2"),
    ],
)
def test_what_the_corpus_cannot_provide_is_reported_in_one_line(
    evaluate: Run, options: tuple[str, ...], words: str
) -> None:
    result = evaluate(*options)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_persons_can_be_the_classes(evaluate: Run) -> None:
    found = answer(evaluate("--classes", "speaker", "--speakers", "any", "--json"))
    assert found["classes"] == ["s0", "s1", "s2", "s3"]


@pytest.fixture
def faulty_table(corpus: Path, tmp_path: Path) -> Path:
    """A manifest of the small corpus and of three more clips: missing, unreadable and silent."""
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 16_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF but not really")
    rows = [f"{path},{path.parts[-3]},{path.parts[-2]}" for path in sorted(corpus.rglob("*.wav"))]
    rows += [f"{tmp_path / name}.wav,calm,s0" for name in ("missing", "broken", "silent")]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label,speaker,language,corpus", *(f"{row},en,vowels" for row in rows)]) + "\n")
    return table


def test_files_that_cannot_be_used_are_left_out_counted_and_listed(
    run: Run, tiny_bundle: Path, faulty_table: Path, tmp_path: Path
) -> None:
    result = run("evaluate", tiny_bundle, "--corpus", faulty_table, *SMALL, "--cache", tmp_path, "--json")
    assert result.returncode == 0
    left_out = json.loads(result.stdout)["left_out"]
    assert [Path(entry["file"]).name for entry in left_out] == ["missing.wav", "broken.wav", "silent.wav"]
    reasons = [entry["reason"] for entry in left_out]
    for reason, words in zip(reasons, ("no such file", "cannot be read as audio", "is silent"), strict=True):
        assert words in reason
        assert reason in result.stderr
    assert "2 of 27 files left out" in result.stderr
    assert "1 of 25 files left out" in result.stderr  # whose headers were fine


@pytest.mark.parametrize("case", [(3, "2 of 27 clips"), (1, "1 of 25 clips")])
def test_strict_makes_such_files_fatal_whenever_they_are_found(
    run: Run, tiny_bundle: Path, faulty_table: Path, tmp_path: Path, case: tuple[int, str]
) -> None:
    kept, words = case
    lines = faulty_table.read_text().splitlines()
    faulty_table.write_text("\n".join([*lines[:-3], *lines[-kept:]]) + "\n")
    result = run("evaluate", tiny_bundle, "--corpus", faulty_table, *SMALL, "--cache", tmp_path, "--strict")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"{words} cannot be used and --strict does not allow skipping them" in result.stderr


def test_strict_changes_nothing_where_every_clip_can_be_used(evaluate: Run) -> None:
    assert answer(evaluate("--strict", "--json")) == answer(evaluate("--json"))


def test_a_bundle_needs_neither_torch_nor_onnx(tiny_bundle: Path, corpus: Path, tmp_path: Path) -> None:
    for name in ("torch", "onnx", "transformers", "matplotlib"):
        (tmp_path / f"{name}.py").write_text("raise ModuleNotFoundError('not here')")
    command: list[str | Path] = [sys.executable, "-m", "metaser.cli", "evaluate", tiny_bundle]
    options: list[str | Path] = ["--corpus", corpus, *SMALL, "--json", "--cache", tmp_path / "cache"]
    done = subprocess.run(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["accuracy"]["mean"] == 1.0


def test_options_that_would_be_ignored_are_refused(
    refused: Refused, tiny_bundle: Path, corpus: Path, tmp_path: Path
) -> None:
    both = ("--cache", tmp_path, "--tune", "split")
    assert "--cache stores embeddings and --tune" in refused("evaluate", tiny_bundle, "--corpus", corpus, *SMALL, *both)
    checkpoint = ("evaluate", tmp_path, "--corpus", corpus, *SMALL, "--provider", "cpu")
    assert "--provider cpu is for bundles" in refused(*checkpoint)


def test_an_absent_model_is_refused(refused: Refused, corpus: Path) -> None:
    assert refused("evaluate", "absent", "--corpus", corpus, *SMALL).startswith("no such model: absent")


def test_a_bundle_tunes_its_head_on_each_episode_as_a_device_does(run: Run, corpus: Path) -> None:
    words = ("evaluate", "frozen", "--corpus", corpus, "--n-way", "2", "--k-shot", "2", "--episodes", "3", "--json")
    found = answer(run(*words, "--tune", "split"))
    assert found["protocol"]["tune"] == "split"
    assert found["accuracy"]["mean"] == 1.0


def test_a_bundle_without_the_tuning_graph_cannot_be_tuned(evaluate: Run) -> None:
    result = evaluate("--tune", "split")
    assert result.returncode == 2
    assert "has no tune.onnx" in result.stderr
