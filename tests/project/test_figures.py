"""Measured figures of the README and docs/ come from benchmarks/results; their other figures are specifications.

A measured figure belongs into tools/blocks. test_readme.py has what commands print.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import machine
from tools.figures import BLOCK, BLOCKS, FIGURE, SHORT, figure, pages, stale_pages, with_blocks
from tools.models_page import ROOT

PAGES = [ROOT / "README.md", *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "models.md")]
"""docs/models.md is generated as a whole."""

NUMBER = r"(?:\d[\d.]*|two|three|four|five|ten)"
UNIT = r"(?:ms|s|seconds?|minutes?|[kMG]i?B|%|per cent|times|points|W|J)"
MEASURED = re.compile(
    rf"\b{NUMBER}(?: to {NUMBER})? ?{UNIT}(?!\w)|± ?\d[\d.]*|(?<![\w.])[+-]\d+\.\d+"
    r"|\b(?:half|twice) (?:as \w+|the time)|\ba (?:third|quarter|fifth|tenth) of"
)
NO_PROSE = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", re.DOTALL)

SPECIFIED = {
    "README.md": {"84 %", "ten minutes", "3 s", "4 s", "95 %"},
    "archives.md": {"20 s", "10 s", "600 s"},
    "tuning.md": {"10 s", "3 s", "0.15 MB", "95 %"},
    "audio.md": {"0.1 s"},
    "devices.md": {"three times", "two seconds", "5 s", "10 s"},
    "jetson.md": {"10 s"},
    "enrolment.md": {
        "0.1 %", "1 %", "2 %", "4 %", "5 %", "9 %", "10 %", "70 %", "75 %", "80 %", "10 to 90 %", "95 %", "0.2 s",
        "0.5 s", "1 s", "15 s", "5 times",
    },
    "experiments.md": {"2 %", "30 %", "2 s", "three times"},
    "export.md": {"102 kB", "twice as large", "3 to 10 s", "4 s", "5 s", "10 s"},
    "formats.md": {"two minutes"},
    "json.md": {"80 %", "two seconds"},
    "platforms.md": {"1 s", "4 s", "10 s", "32 ms"},
    "protocol.md": {"± 1.96"},
    "languages.md": {"25 %", "70 %", "90 %", "100 %"},
    "serve.md": {
        "a tenth of", "20 s", "1 MiB", "16 MiB", "64 MiB", "20 to 200 ms", "two seconds", "ten seconds", "four times",
    },
    "streaming.md": {"80 %", "0.5 s", "1.5 s", "3 s", "8 s", "128 s", "32 ms", "ten seconds"},
}  # fmt: skip
"""By page: limits, settings, sizes that follow from a format, the conditions of a measurement, names of pages."""


def measured(text: str) -> set[str]:
    """The figures in prose and tables that may have been measured."""
    return {found[0] for found in MEASURED.finditer(NO_PROSE.sub("…", text))}


def written_by_hand(page: Path) -> str:
    """The page without its blocks, and what stands around the figures of its blocks."""
    template = BLOCKS / page.name
    words = SHORT.sub("", FIGURE.sub("…", template.read_text(encoding="utf-8"))) if template.is_file() else ""
    return BLOCK.sub("", page.read_text(encoding="utf-8")) + words


def change(path: Path, steps: list[str | int], by: Callable[[Any], Any]) -> None:
    """Write a result again with another value at a place."""
    document = json.loads(path.read_text(encoding="utf-8"))
    *parents, last = steps
    place = document
    for step in parents:
        place = place[step]
    place[last] = by(place[last])
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the results that the generator reads."""
    for folder in (machine.RESULTS, machine.RESEARCH):
        shutil.copytree(folder, tmp_path / "results", dirs_exist_ok=True)
    monkeypatch.setattr(machine, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(machine, "RESEARCH", tmp_path / "nowhere")
    return tmp_path / "results"


def test_every_page_states_what_the_results_say() -> None:
    assert stale_pages() == [], "run python -m tools.figures"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_other_figure_of_a_page_is_a_specification(page: Path) -> None:
    assert measured(written_by_hand(page)) == SPECIFIED.get(page.name, set())


@pytest.mark.parametrize(
    ("result", "steps", "changed"),
    [
        ("main_job", ["classify_3_s_clip_ms"], ["README.md"]),
        ("main_job", ["install_size_mb"], ["README.md", "tutorial.md"]),
        ("cold_start", ["cases", "metaser classify, default", "first_label_s"], ["README.md"]),
        ("latency", ["cases", 7, "peers", "PyTorch eager", "ratios", "metaser int8, 24 layers"],
         ["README.md", "export.md"]),
        ("growth", ["streams", "runs", "8", "window_to_event_ms_p95"], ["streaming.md"]),
        ("default_accuracy", ["scores", "5 shots", "difference", "default", "emodb disjoint", "mean"],
         ["README.md", "experiments.md"]),
        ("shipped_bundles", ["bundles", "tiny", "latency_ms", "p50"], ["README.md", "models.md"]),
        ("enrolment_test", ["figures", "mean same", "wanted 0.3", "false accepts"], ["enrolment.md"]),
        ("tuning_time", ["tuning", "glu 512 to 256", "device_s"], ["tuning.md"]),
        ("training_step_whisper", ["seconds", "bfloat16"], ["training.md"]),
    ],
)  # fmt: skip
def test_the_pages_change_with_a_result(results: Path, result: str, steps: list[str | int], changed: list[str]) -> None:
    before = pages()
    change(results / f"{result}.json", steps, lambda value: 2 * value)
    assert sorted(page.name for page, text in pages().items() if text != before[page]) == changed


def test_a_figure_that_a_result_lacks_is_named(results: Path) -> None:
    (results / "growth.json").unlink()
    with pytest.raises(LookupError, match=r"results/growth\.json has 0 figures under [^,]+, not one"):
        stale_pages()


def test_a_figure_is_found_by_keys_numbers_and_patterns(results: Path) -> None:
    runs = [{"seconds": 1.0, "ms": 3.21}, {"seconds": 4.0, "ms": 12.3}]
    shift = {"mean": 2.04, "by_speakers": [-1.0, 3.0]}
    document = {"runs": runs, "same": {"emodb": 0.5, "nemo": 0.754, "urdu": 0.9}, "shift": shift}
    (results / "made.json").write_text(json.dumps(document))
    assert figure(None, "", "made/runs/seconds=4/ms", ".1f") == "12.3"
    assert figure(None, "", "made/runs/0/ms", ".0f") == "3"
    assert figure("max", "", "made/same/[en]*", "percent") == "75"
    assert figure("min", "", "made/same/*", "percent_1") == "50.0"
    assert figure(None, "", "made/shift", "difference") == "+2.0 [-1.0, +3.0]"
    assert figure(None, "-", "made/shift", "difference") == "-2.0 [-3.0, +1.0]"
    with pytest.raises(LookupError, match="3 figures"):
        figure(None, "", "made/same/*", "percent")


def test_a_short_name_stands_for_the_begin_of_a_path(results: Path) -> None:
    (results / "made.json").write_text(json.dumps({"far": {"away": {"ms": 3.21}}}))
    template = (
        "near = made/far/away\n\n<!-- a name -->\n{near/ms:.1f} and {made/far/away/ms:.0f} ms\n<!-- end of a name -->\n"
    )
    page = "<!-- a name -->\nold\n<!-- end of a name -->\n"
    assert with_blocks(page, template) == page.replace("old", "3.2 and 3 ms")


def test_a_block_has_to_be_on_the_page_and_in_its_template() -> None:
    block = "<!-- a name -->\nold\n<!-- end of a name -->"
    assert with_blocks(f"before\n\n{block}\n", block.replace("old", "new")) == f"before\n\n{block}\n".replace(
        "old", "new"
    )
    for page, template in ((block, ""), ("", block)):
        with pytest.raises(LookupError, match="a name"):
            with_blocks(page, template)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_is_a_paragraph_list_or_table_of_its_own(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == text.count("<!-- ") / 2
    for block in BLOCK.finditer(text):
        before, after = text[: block.start()].splitlines()[-1], text[block.end() :]
        assert before == "" or before.startswith(("#", "```"))
        assert after == "\n" or after.startswith("\n\n")


@pytest.mark.parametrize(
    "line",
    ["takes 54 ms", "1.9 times as fast", "a fifth of the memory", "about three seconds", "1.2 MB", "8 % of a core",
     "+2.8 [+1.1, +4.5]", "51.9 ± 0.8", "twice as fast", "2 to 9 points", "5.7 GiB", "half the time"],
)  # fmt: skip
def test_a_measured_figure_is_found(line: str) -> None:
    assert measured(f"It is so: {line}, here.")


@pytest.mark.parametrize(
    "line", ["Python 3.10", "`sleep 3 s`", "```\n3 ms\n```", "[x](a-3-ms.md)", "4-way 5-shot", "16 kHz"]
)
def test_a_version_an_example_and_a_link_are_not(line: str) -> None:
    assert not measured(line)
