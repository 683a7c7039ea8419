"""Naming schemes of the published emotion corpora: one row per corpus.

A row is data: a pattern that must match the whole file stem, the language, the corpus's emotion codes in the shared
vocabulary, and the speaker's id from the pattern's named groups. Folder names are read only where the stem does not
name the speaker, as in SAVEE and EYASE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metaser.runtime.errors import InputError

VOCABULARY = ("anger", "joy", "sadness", "fear", "disgust", "surprise", "neutral", "calm", "boredom")
"""Shared vocabulary: the labels of every reader, so that classes of different corpora have one name."""

SYNONYMS: Mapping[str, str] = {name: name for name in VOCABULARY} | {
    "angry": "anger", "happiness": "joy", "happy": "joy", "sad": "sadness", "fearful": "fear", "afraid": "fear",
    "disgusted": "disgust", "surprised": "surprise", "ps": "surprise", "neutrality": "neutral", "bored": "boredom",
}  # fmt: skip
"""Lower-case synonyms of the classes of the vocabulary."""


class NotUsedError(InputError):
    """A known file of a corpus that is never used."""


@dataclass(frozen=True)
class Reader:
    """The naming scheme of one corpus."""

    name: str
    language: str
    """ISO 639-1, or 639-3 where that has no code; with a region if the corpus is regional."""
    stem: str
    """Regular expression for the whole file stem; its group `emotion` is a key of `labels`."""
    labels: Mapping[str, str]
    """Emotion code to class of the vocabulary."""
    speaker: str = "{speaker}"
    """The speaker's id as a format string over the pattern's groups."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Required values of groups; clips with other values are reported and skipped."""
    bad: Mapping[str, str] = field(default_factory=dict)
    """Stems of unusable files, with the reason."""
    speaker_folders: frozenset[str] = frozenset()
    """Folders that name the speaker if the stem does not."""
    clips_per_label: int = 0
    """If not 0, the group `emotion` is a clip's number from 1, and this many numbers in a row have one label; the keys
    of `labels` then count these blocks from 0."""


@dataclass(frozen=True)
class ClipName:
    """Properties of a clip that its path encodes."""

    label: str
    original_label: str
    speaker: str


READERS: Mapping[str, Reader] = {
    reader.name: reader
    for reader in (
        Reader(  # some copies pad the speaker (`f10 (01)`): the zeros stay outside the group, as int() drops them
            name="aesdd",
            language="el",
            stem=r"(?P<emotion>[adfhs])(?P<utterance>\d\d) ?\(0*(?P<speaker>\d+)\)(?P<take>[a-z]?)",
            labels={"a": "anger", "d": "disgust", "f": "fear", "h": "joy", "s": "sadness"},
            bad={"s05 (3)": "a damaged recording of the corpus"},
        ),
        Reader(
            name="emodb",
            language="de",
            stem=r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[WLEAFTN])(?P<version>[a-f])",
            labels={
                "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "joy", "T": "sadness", "N": "neutral",
            },
        ),
        Reader(  # modality 03 is audio without video, channel 01 is speech (02 is song)
            name="ravdess",
            language="en",
            stem=r"(?P<modality>\d\d)-(?P<channel>\d\d)-(?P<emotion>\d\d)-(?P<intensity>\d\d)"
            r"-(?P<sentence>\d\d)-(?P<repetition>\d\d)-(?P<speaker>\d\d)",
            labels={
                "01": "neutral", "02": "calm", "03": "joy", "04": "sadness",
                "05": "anger", "06": "fear", "07": "disgust", "08": "surprise",
            },
            only={"modality": "03", "channel": "01"},
        ),
        Reader(
            name="crema-d",
            language="en",
            stem=r"(?P<speaker>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX|X)",
            labels={
                "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "joy", "NEU": "neutral", "SAD": "sadness",
            },
            bad={"1076_MTI_SAD_XX": "silent"},
        ),
        Reader(
            name="tess",
            language="en",
            stem=r"(?P<speaker>OAF|YAF)_(?P<word>[a-z]+)_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)",
            labels={
                "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "joy", "neutral": "neutral",
                "ps": "surprise", "sad": "sadness",
            },
        ),
        Reader(  # copies are flat (`DC_a01`) or have one folder per speaker (`DC/a01`)
            name="savee",
            language="en",
            stem=r"(?:(?P<speaker>DC|JE|JK|KL)_)?(?P<emotion>a|d|f|h|n|sa|su)(?P<sentence>\d\d)",
            labels={
                "a": "anger", "d": "disgust", "f": "fear", "h": "joy", "n": "neutral", "sa": "sadness",
                "su": "surprise",
            },
            speaker_folders=frozenset({"DC", "JE", "JK", "KL"}),
        ),
        Reader(
            name="emovo",
            language="it",
            stem=r"(?P<emotion>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>[fm]\d)-(?P<sentence>[bdln]\d)",
            labels={
                "dis": "disgust", "gio": "joy", "neu": "neutral", "pau": "fear", "rab": "anger", "sor": "surprise",
                "tri": "sadness",
            },
        ),
        Reader(  # unpacking can garble the accents of its folders, so the emotion is read from the name
            name="cafe",
            language="fr-CA",
            stem=r"(?P<speaker>\d\d)-(?P<emotion>[CDJNPST])-(?P<intensity>[12])-(?P<sentence>[1-6])",
            labels={
                "C": "anger", "D": "disgust", "J": "joy", "N": "neutral", "P": "fear", "S": "surprise", "T": "sadness",
            },
        ),
        Reader(  # F is female at the start and fear in the middle
            name="shemo",
            language="fa",
            stem=r"(?P<gender>[FM])(?P<number>\d\d)(?P<emotion>[AFHNSW])(?P<clip>\d+)",
            labels={"A": "anger", "F": "fear", "H": "joy", "N": "neutral", "S": "sadness", "W": "surprise"},
            speaker="{gender}{number}",
        ),
        Reader(
            name="urdu",
            language="ur",
            stem=r"S(?P<gender>[MF])(?P<number>\d+)_F(?P<file>\d+)_(?P<emotion>[AHNS])(?P<clip>\d+)",
            labels={"A": "anger", "H": "joy", "N": "neutral", "S": "sadness"},
            speaker="{gender}{number}",
        ),
        Reader(  # names encode child, female or male voices, not persons: groups are disjoint but hold several
            name="mesd",
            language="es-MX",
            stem=r"(?P<emotion>Anger|Disgust|Fear|Happiness|Neutral|Sadness)_(?P<speaker>[CFM])_(?P<list>[AB])_(?P<word>.+)",
            labels={
                "Anger": "anger", "Disgust": "disgust", "Fear": "fear", "Happiness": "joy", "Neutral": "neutral",
                "Sadness": "sadness",
            },
        ),
        Reader(
            name="nemo",
            language="pl",
            stem=r"(?P<speaker>[A-Z]+\d)_(?P<emotion>[a-z]+)_(?P<sentence>\d+)",
            labels={
                "anger": "anger", "fear": "fear", "happiness": "joy", "neutral": "neutral", "sadness": "sadness",
                "surprised": "surprise",
            },
        ),
        Reader(  # the speaker numbers are those of a published copy
            name="casia",
            language="zh",
            stem=r"(?P<emotion>angry|fear|happy|neutral|sad|surprise)_(?P<speaker>[1-4])_(?P<sentence>\d{3})",
            labels={
                "angry": "anger", "fear": "fear", "happy": "joy", "neutral": "neutral", "sad": "sadness",
                "surprise": "surprise",
            },
        ),
        Reader(
            name="ased",
            language="am",
            stem=r"(?P<emotion>[nfhsa])(?P<number>\d)-(?P<intensity>\d\d)-(?P<text>\d\d)-(?P<take>\d\d)-(?P<speaker>\d+)",
            labels={"n": "neutral", "f": "fear", "h": "joy", "s": "sadness", "a": "anger"},
        ),
        Reader(  # stems repeat in the folders of two speakers, and one starts with another speaker's number
            name="eyase",
            language="arz",
            stem=r"(?:fm|ml)\d\d_(?P<emotion>ang|hap|neu|sad) \((?P<clip>\d+)\)",
            labels={"ang": "anger", "hap": "joy", "neu": "neutral", "sad": "sadness"},
            speaker_folders=frozenset({"Female01", "Female02", "Female03", "Male01", "Male02", "Male03"}),
        ),
        Reader(  # `em` speakers read the same texts in every emotion, `ne` speakers emotional texts
            name="emotiontts",
            language="ko",
            stem=r"(?P<speaker>(?:em|ne)[a-z])(?P<emotion>\d{5})",
            labels={"0": "neutral", "1": "joy", "2": "anger", "3": "sadness"},
            clips_per_label=100,
        ),
    )
}  # fmt: skip


def matches(reader: Reader, path: Path) -> bool:
    """Whether the file's stem matches the corpus."""
    return re.fullmatch(reader.stem, path.stem, re.ASCII) is not None


def read_name(reader: Reader, path: Path) -> ClipName:
    """Parse the name of a clip; `original_label` is the emotion's code in the name.

    Raises:
        NotUsedError: it is a known bad file, or belongs to a part of the corpus that is not used.
        InputError: the stem does not match, or names an unknown emotion or no speaker.
    """
    match = re.fullmatch(reader.stem, path.stem, re.ASCII)
    if match is None:
        raise InputError(f"its name is not one of {reader.name}")
    if path.stem in reader.bad:
        raise NotUsedError(reader.bad[path.stem])
    groups = match.groupdict()
    for group, value in reader.only.items():
        if groups[group] != value:
            raise NotUsedError(f"{group} {groups[group]}, and only {group} {value} is read")
    emotion = groups["emotion"]
    if reader.clips_per_label:
        emotion = str((int(emotion) - 1) // reader.clips_per_label)
    if emotion not in reader.labels:
        raise InputError(f"unknown emotion {emotion!r}: {reader.name} has {', '.join(reader.labels)}")
    if reader.speaker_folders and groups.get("speaker") is None:
        if path.parent.name not in reader.speaker_folders:
            raise InputError(f"no speaker in its name, nor a folder {', '.join(sorted(reader.speaker_folders))}")
        groups["speaker"] = path.parent.name
    return ClipName(
        label=reader.labels[emotion],
        original_label=emotion,
        speaker=reader.speaker.format(**groups),
    )
