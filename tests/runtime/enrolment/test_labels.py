"""Labels are data: kept in one form, compared in one form, and never a path."""

import unicodedata
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaser.cli.view import drawing
from metaser.runtime import SupportError
from metaser.runtime.enrolment.labels import UNKNOWN, check_label, is_folder_name, look_alikes, safe_name, tidy

NFC, NFD = "Ärger", unicodedata.normalize("NFD", "Ärger")
HOSTILE = (
    "../../x", "/etc/passwd", "..", ".", "", " ", ".hidden", "a/b", "a\\b", "c:d", "CON", "con.txt", "NUL ", "com1",
    "a\nb", "a\tb", "a\0b", "\x1b[31m", "joy.", "joy ", " joy", "a" * 256, "ä" * 128, "\ud800", "\u202etxt.exe",
    "__MACOSX", "lost+found", "a?b", "a*b", '"', "<b>", "|", NFD,
)  # fmt: skip


@pytest.mark.parametrize("typed", [NFC, NFD, f" {NFD}\t", f"\ufeff{NFC}\u200b", "\udcc3\udc84rger"])
def test_a_label_has_one_form_however_it_is_typed(typed: str) -> None:
    assert tidy(typed) == check_label(typed) == NFC


def test_bytes_that_are_not_utf_8_stay_as_they_are() -> None:
    assert tidy("\udce4rger") == "\udce4rger"


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (9, "is an int but labels are text: give str"),
        (None, "is None but labels are text"),
        (b"joy", "is bytes but labels are text"),
        ("", "is empty"),
        (" \u200b\n", "is empty"),
        ("unknown", "cannot be called unknown"),
        ("UnKnown ", "cannot be called UnKnown"),
        ("ｕｎｋｎｏｗｎ", "cannot be called"),  # noqa: RUF001 # wide
    ],
)
def test_what_is_no_label_is_refused_with_what_to_do(label: object, words: str) -> None:
    with pytest.raises(SupportError, match=words):
        check_label(label)


def test_the_answer_unknown_is_the_label_that_is_refused() -> None:
    assert UNKNOWN == drawing.UNKNOWN


ALIKE = [("Anger", "anger"), ("very sad", "very  sad"), ("Straße", "STRASSE"), ("\uff41", "a"), ("sad", "s\u0430d")]


@pytest.mark.parametrize("pair", ALIKE)
def test_labels_that_look_alike_are_named_and_stay_two(pair: tuple[str, str]) -> None:
    (warning,) = look_alikes([*pair, "joy"])
    assert f"{' and '.join(sorted(pair))} differ only in case" in warning
    assert "stay 2 classes" in warning
    assert look_alikes(["joy", "anger", "joyous"]) == []


def test_labels_that_are_nearly_one_word_are_named() -> None:
    for pair in (("anger", "angry"), ("angr", "anger"), ("hapy", "happy")):
        (warning,) = look_alikes([*pair, "joy"])
        assert f"{min(pair)} and {max(pair)} have nearly the same name and stay 2 classes" in warning
    for pair in (("class 1", "class 2"), ("happy", "unhappy"), ("male", "female"), ("mad", "sad"), ("calm", "joy")):
        assert look_alikes(pair) == []
    assert look_alikes(["angr"], enrolled=["anger", "hapy", "happy"]) == look_alikes(["angr", "anger"])


@pytest.mark.parametrize("label", ["joy", "Ärger", "😡", "فرح", "very sad", "50%", "-x", "a" * 255, "می\u200cروم"])
def test_a_label_that_can_be_a_name_is_its_own(label: str) -> None:
    assert safe_name(label) == label


@pytest.mark.parametrize("label", HOSTILE)
def test_any_other_label_gets_a_name_for_one_part_of_a_path(label: str, tmp_path: Path) -> None:
    name = safe_name(label)
    assert name != label
    (tmp_path / name).mkdir()  # the system takes it
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert is_folder_name(name)


@given(st.text())
def test_a_safe_name_never_leaves_its_folder(label: str) -> None:
    name = safe_name(label)
    assert Path("folder", name).parent == Path("folder")
    assert name.strip(" .") == name
    assert 0 < len(name.encode()) <= 255
    assert name.isprintable() or set("\u200c\u200d") & set(name)
    assert safe_name(name) == name or name != label


def test_two_labels_never_share_a_name() -> None:
    labels = [*HOSTILE, NFC, "a_b", *(safe_name(label) for label in HOSTILE), "a" * 257]
    names = {label: safe_name(label) for label in labels}
    assert not [pair for pair in combinations(set(labels), 2) if names[pair[0]] == names[pair[1]]]
