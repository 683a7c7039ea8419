"""The runs of `python -m tools.versions`, and that it finds only working interpreters."""

from benchmarks.pythons import find_python
from tools.versions import PROVIDER_TESTS, ROOT, Run, runs


def test_every_python_is_run_the_oldest_also_with_the_oldest_dependencies_and_one_with_each_other_wheel() -> None:
    assert list(runs([], only_oldest=False)) == [
        Run("3.10"),
        Run("3.10", oldest=True),
        Run("3.11"),
        Run("3.12"),
        Run("3.13"),
        Run("3.11", extra="openvino"),
        Run("3.11", extra="gpu"),
    ]
    assert list(runs(["3.12"], only_oldest=False)) == [Run("3.12")]
    assert list(runs(["3.10"], only_oldest=True)) == [Run("3.10", oldest=True)]
    assert list(runs([], only_oldest=False, extra="openvino")) == [Run("3.11", extra="openvino")]


def test_other_wheels_run_the_tests_of_providers() -> None:
    assert set(PROVIDER_TESTS) <= set(Run("3.11", extra="gpu").pytest)
    assert all((ROOT / name).is_file() for name in PROVIDER_TESTS)
    assert "tests/runtime" in Run("3.11").pytest


def test_a_python_that_is_not_here_is_not_found() -> None:
    assert find_python("3.0") is None
