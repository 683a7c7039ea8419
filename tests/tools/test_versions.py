"""Which runs `python -m tools.versions` makes, and that it invents no interpreter."""

from tools.versions import find_python, runs


def test_every_python_is_run_and_the_oldest_also_with_the_oldest_dependencies() -> None:
    assert list(runs([], only_oldest=False)) == [
        ("3.10", False),
        ("3.10", True),
        ("3.11", False),
        ("3.12", False),
        ("3.13", False),
    ]
    assert list(runs(["3.12"], only_oldest=False)) == [("3.12", False)]
    assert list(runs(["3.10"], only_oldest=True)) == [("3.10", True)]


def test_a_python_that_is_not_here_is_not_found() -> None:
    assert find_python("3.0") is None
