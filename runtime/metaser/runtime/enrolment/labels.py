"""Labels of classes: their normal form, labels that look alike, and safe file names for them."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from difflib import SequenceMatcher, get_close_matches
from itertools import combinations

from metaser.runtime.audio.recordings import is_junk
from metaser.runtime.errors import SupportError
from metaser.runtime.words import JOINERS, counted, kind_of

UNKNOWN = "unknown"
"""The answer if the clip resembles no class; no class may have this label."""

INVISIBLE = "\u200b\u2060\ufeff"
"""Zero-width space, word joiner and byte order mark, which Unicode does not count as white space."""

NEAR = 0.75
"""Share of equal letters from which two words may be the same."""

LONGEST_NAME_BYTES = 255
HASH_DIGITS = 12
_HASHED = re.compile(rf"-[0-9a-f]{{{HASH_DIGITS}}}$")
_NOT_IN_NAMES = frozenset('<>:"/\\|?*')
_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
})  # fmt: skip
"""Names that Windows reserves for devices, with any suffix."""


def tidy(label: str) -> str:
    """The label in Unicode's form NFC without surrounding white space, as it is stored and compared.

    If the locale is not UTF-8, Python reads other bytes as surrogates; they become text if they are UTF-8.
    """
    with suppress(UnicodeError):
        label = label.encode("utf-8", "surrogateescape").decode("utf-8")
    text = unicodedata.normalize("NFC", label)
    while (stripped := text.strip().strip(INVISIBLE)) != text:
        text = stripped
    return text


LATIN = str.maketrans(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501\u04bb\u04cf\u043a\u03b1\u03bf\u03c1\u03bd\u03b9\u03ba\u03c7",
    "aceopxyijsdhlkaopvikx",
)
"""Small letters of Cyrillic and Greek that look like Latin ones."""


def check_label(label: object) -> str:
    """The label of a new class, normalised by `tidy`.

    Raises:
        SupportError: it is not text, is empty, or is `unknown` in any case and width of letters.
    """
    if not isinstance(label, str):
        raise SupportError(
            f"the label {label!r} is {kind_of(label)} but labels are text: give str(label), {str(label)!r}"
        )
    tidied = tidy(label)
    if not tidied:
        raise SupportError(f"the label {label!r} is empty: give the class a name")
    if is_unknown(tidied):
        raise SupportError(
            f"a class cannot be called {tidied}: that is the answer when a clip resembles no class; "
            "give the class another name"
        )
    return tidied


def is_unknown(label: str) -> bool:
    """Whether a label looks like the answer for no class, in any case and width of letters."""
    return unicodedata.normalize("NFKC", tidy(label)).casefold() == UNKNOWN


def look_alikes(labels: Iterable[str], enrolled: Iterable[str] = ()) -> list[str]:
    """A warning for labels that differ only in case, inner white space, width or alphabet, or in few letters.

    Parameters:
        enrolled: labels to which these are added; what they have in common among themselves is known.
    """
    if before := {tidy(label) for label in enrolled}:
        known = look_alikes(before)
        return [line for line in look_alikes({*labels, *before}) if line not in known]
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(set(labels)):
        groups[_plain(label)].append(label)
    found = [(group, "differ only in case, spacing or alphabet and") for group in groups.values() if len(group) > 1]
    first = [group[0] for group in groups.values()]
    found += [([a, b], "have nearly the same name and") for a, b in combinations(first, 2) if _are_near(a, b)]
    return [
        f"The labels {' and '.join(group)} {how} stay {counted(len(group), 'class')}: "
        "rename one if they are the same class"
        for group, how in found
    ]


def _plain(label: str) -> str:
    """The label without differences of case, spacing, width and alphabet."""
    return " ".join(unicodedata.normalize("NFKC", label).casefold().translate(LATIN).split())


def _are_near(a: str, b: str) -> bool:
    """Whether two words may be one, misspelt or in another form, as angr, angry and anger."""
    a, b = sorted((_plain(a), _plain(b)))
    are_words = a.isalpha() and b.isalpha() and a[0] == b[0]  # "class 1" and "class 2" differ on purpose
    return a != b and are_words and SequenceMatcher(None, a, b).ratio() >= NEAR


def not_enrolled(labels: Iterable[str], enrolled: Iterable[str]) -> list[str]:
    """One sentence per label that is not an enrolled class, with an enrolled class of nearly the same name."""
    classes = {label.casefold(): label for label in enrolled}
    sentences = []
    for label in sorted({*labels} - {*classes.values()}):
        near = get_close_matches(label.casefold(), classes, n=1)
        meant = f"; did you mean {classes[near[0]]}?" if near else ""
        sentences.append(f"{label} is not an enrolled class{meant}")
    return sentences


def safe_name(label: str, longest_bytes: int = LONGEST_NAME_BYTES) -> str:
    """A file or folder name for this label: one part of a path, valid on every system, and not hidden.

    A label that is a valid name stays as it is. Any other is changed and gets a hash, so that two labels never share a
    name: "a/b" -> "a_b-c14cddc033f6".
    """
    name = "".join(letter if _is_safe(letter) else "_" for letter in unicodedata.normalize("NFC", label))
    name = name.lstrip(". ").rstrip(". ")
    if name.partition(".")[0].rstrip().lower() in _DEVICES or is_junk(name):
        name = f"_{name}"
    if name and name == label and not _HASHED.search(name) and len(name.encode()) <= longest_bytes:
        return name
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]
    room = longest_bytes - len(digest) - 1
    return f"{name.encode()[:room].decode('utf-8', 'ignore') or 'label'}-{digest}"


def on_disk(name: str) -> str:
    """The name as a part of a path that is UTF-8 on the disk, even if the locale is not UTF-8; `tidy` reverses it."""
    return os.fsdecode(name.encode("utf-8", "surrogateescape"))


def is_folder_name(label: str) -> bool:
    """Whether a folder on this system can have this name and is a class at enrolment."""
    is_one_part = not is_junk(label) and "/" not in label and os.sep not in label
    return (
        is_one_part
        and not any(unicodedata.category(letter) == "Cc" for letter in label)
        and len(label.encode("utf-8", "surrogateescape")) <= LONGEST_NAME_BYTES
    )


def _is_safe(letter: str) -> bool:
    return (letter.isprintable() and letter not in _NOT_IN_NAMES) or letter in JOINERS
