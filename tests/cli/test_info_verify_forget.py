"""`metaser info`, `metaser verify` and `metaser forget`."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeAlias

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

Run: TypeAlias = Callable[..., CompletedProcess[str]]
Refused: TypeAlias = Callable[..., str]


@pytest.mark.usefixtures("enrolled")
def test_info_tells_what_the_other_commands_would_use(run: Run, tiny_bundle: Path) -> None:
    result = run("info")
    assert result.returncode == 0
    for text in ("tiny", "fp32", "CC0-1.0", "up to 10 s", "calm 3, keen 3", str(tiny_bundle)):
        assert text in result.stdout.replace("\n", "")


@pytest.mark.usefixtures("enrolled")
def test_info_as_json_holds_both(run: Run) -> None:
    facts = json.loads(run("info", "--json").stdout)
    assert facts["bundle"]["name"] == "tiny"
    assert facts["bundle"]["backbone"]["layers"] == 1
    assert facts["profile"]["classes"] == {"calm": 3, "keen": 3}
    assert facts["profile"]["model_id"] == facts["bundle"]["model_id"]
    assert facts["profile"]["undo"] is False


def test_info_without_a_profile_says_how_to_make_one(run: Run) -> None:
    result = run("info")
    assert "make one with metaser enroll support/" in result.stdout
    assert list(json.loads(run("info", "--json").stdout)) == ["bundle"]


def test_info_about_one_thing_tells_only_that(run: Run, enrolled: Path, tiny_bundle: Path) -> None:
    assert list(json.loads(run("info", tiny_bundle, "--json").stdout)) == ["bundle"]
    assert list(json.loads(run("info", enrolled, "--json").stdout)) == ["profile"]


def test_info_ignores_no_option(refused: Refused, enrolled: Path, tiny_bundle: Path) -> None:
    assert refused("info", "default", "--profile", enrolled.parent / "other.safetensors").startswith(
        f"default and --profile {enrolled.parent / 'other.safetensors'}: give BUNDLE_OR_PROFILE, or these options"
    )
    assert "and --bundle frozen: give" in refused("info", tiny_bundle, "--bundle", "frozen")


def test_info_about_nothing_is_refused(refused: Refused, tmp_path: Path, bad_bundle: tuple[Path, str]) -> None:
    assert "absent" in refused("info", tmp_path / "absent")
    folder, words = bad_bundle
    assert words in refused("info", folder)
    (tmp_path / "text").write_text("hello")
    refused("info", tmp_path / "text")


def test_verify_passes_where_the_device_agrees(run: Run) -> None:
    result = run("verify")
    assert result.returncode == 0
    assert "This device reproduces the reference results" in result.stdout
    answer = json.loads(run("verify", "--json").stdout)
    assert (answer["bundle"], answer["provider"], answer["passed"]) == ("tiny", "cpu", True)
    assert answer["embedding_cosine"] > 0.999


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_verify_fails_with_code_1_where_it_does_not(
    run: Run, tiny_bundle: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    folder = with_other_golden_vectors(tiny_bundle, tmp_path / "changed")
    result = run("verify", "--bundle", folder, *options)
    assert result.returncode == 1
    assert "does not reproduce its golden vectors" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout


def with_other_golden_vectors(bundle: Path, folder: Path) -> Path:
    shutil.copytree(bundle, folder)
    golden = folder / "golden.safetensors"
    tensors = load_file(golden)
    save_file({**tensors, "embedding": np.flip(tensors["embedding"]).copy()}, golden)
    document = json.loads((folder / "bundle.json").read_text())
    document["files"][golden.name]["sha256"] = hashlib.sha256(golden.read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(document))
    return folder


def test_forget_deletes_the_profile_and_its_undo_copy(run: Run, enrolled: Path) -> None:
    enrolled.with_name(enrolled.name + ".undo").write_bytes(enrolled.read_bytes())
    result = run("forget", "--yes")
    assert result.returncode == 0
    assert result.stdout.count("Deleted") == 2
    assert list(enrolled.parent.iterdir()) == []


def test_forget_deletes_nothing_where_nobody_can_be_asked(refused: Refused, enrolled: Path) -> None:
    assert "metaser forget --yes" in refused("forget")
    assert enrolled.is_file()


def test_forget_without_a_profile_is_refused(refused: Refused) -> None:
    assert "nothing to forget" in refused("forget")
    assert "nothing to forget" in refused("forget", "--yes")


def test_verify_prints_its_limits(run: Run) -> None:
    result = run("verify")
    assert "at least 0.98" in result.stdout
    answer = json.loads(run("verify", "--json").stdout)
    assert (answer["cosine_limit"], answer["frames_limit"]) == (0.98, 0.001)


@pytest.mark.usefixtures("enrolled")
def test_info_shows_people_no_internal_numbers(run: Run) -> None:
    said = run("info").stdout
    for word in ("max difference", "temperature", "min cosine", "model_id"):
        assert word not in said
    assert "of clips of no enrolled class get a label" in " ".join(said.split())


def test_info_about_nothing_asks_for_a_bundle_or_a_profile(refused: Refused) -> None:
    assert refused("info", "absent.st").startswith("no such bundle or profile: absent.st (shipped bundles: default")
