"""CSV manifests: read with any column order, and refused with the number of the wrong line."""

import re
import unicodedata
from pathlib import Path

import pytest

from metaser.runtime.errors import InputError, NotFoundError
from metaser.toolkit.data.corpora import Utterance, read_any, read_corpus, read_manifest
from metaser.toolkit.episodes.sampler import EpisodeSampler, EpisodeSettings
from tests.toolkit.data.corpus_files import reasons, write_clips


def write_manifest(root: Path, text: str) -> Path:
    path = root / "clips.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_is_read_in_any_column_order_with_paths_from_its_folder(tmp_path: Path) -> None:
    write_clips(tmp_path, ["b/1.wav", "a/2.wav"])
    table = "\ufefflabel,path,corpus,language,speaker\nscots,b/1.wav,accents,en,ana\n\n Happy ,a/2.wav,,,\n"
    corpus = read_manifest(write_manifest(tmp_path, table))
    assert corpus.utterances == (
        Utterance(tmp_path / "a/2.wav", "joy", "", "", "clips", "Happy"),
        Utterance(tmp_path / "b/1.wav", "scots", "ana", "en", "accents", "scots"),
    )


def test_missing_files_of_a_manifest_are_problems_with_their_lines(tmp_path: Path) -> None:
    write_clips(tmp_path, ["1.wav"])
    table = "path,label,speaker,language,corpus\nnone.wav,joy,ana,de,x\n1.wav,joy,ana,de,x\n"
    corpus = read_manifest(write_manifest(tmp_path, table))
    assert (len(corpus.utterances), reasons(corpus)) == (1, {"none.wav": "no such file (clips.csv line 2)"})


def test_names_of_a_manifest_have_one_form_however_they_are_typed(tmp_path: Path) -> None:
    nfc, nfd = "Ärger", unicodedata.normalize("NFD", "Ärger")
    write_clips(tmp_path, [f"{nfd}.wav", "2.wav"])
    table = f"{HEADER}{nfc}.wav,{nfd},{nfd},de,{nfd}\n2.wav,\u200b{nfc},{nfc},de,{nfc}\n"
    corpus = read_manifest(write_manifest(tmp_path, table))
    assert [(each.path.stem, each.label, each.speaker, each.corpus) for each in corpus.utterances] == [
        ("2", nfc, nfc, nfc),
        (nfd, nfc, nfc, nfc),
    ]


HEADER = "path,label,speaker,language,corpus\n"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "line 1 lacks path, label, speaker, language, corpus"),
        ("path,label,speaker\n", "line 1 lacks language, corpus: its columns are path,label,speaker,language,corpus"),
        ("path,label,speaker,lang,corpus\n", "line 1 lacks language and has unknown 'lang'"),
        ("path,label,speaker,language,corpus,corpus\n", "line 1 repeats a column"),
        (f"{HEADER}1.wav,joy,ana,de\n", "line 2 has 4 values and there are 5 columns"),
        (f"{HEADER}1.wav,,ana,de,x\n", "line 2 has no label"),
        (f"{HEADER},joy,ana,de,x\n", "line 2 has no path"),
        (f"{HEADER}1.wav,joy,a,de,x\n\n1.wav,anger,a,de,x\n", "line 4: 1.wav is already on line 2"),
        (f'{HEADER}1.wav,"joy,a,de,x\n', "line 2 is not CSV"),
        (f"{HEADER}none.wav,joy,a,de,x\n", "names 1 clips and none of them exists"),
    ],
)
def test_a_wrong_manifest_is_one_line_that_names_the_place(table: str, message: str, tmp_path: Path) -> None:
    write_clips(tmp_path, ["1.wav"])
    with pytest.raises(InputError, match=re.escape(f"clips.csv {message}")):
        read_manifest(write_manifest(tmp_path, table))


def test_a_manifest_that_is_missing_or_not_utf8_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such manifest"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "clips.csv").write_bytes(b"path,label\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read_manifest(tmp_path / "clips.csv")


def test_a_table_and_a_folder_are_distinguished_by_name(tmp_path: Path) -> None:
    write_clips(tmp_path, ["joy/1.wav"])
    table = write_manifest(tmp_path, f"{HEADER}joy/1.wav,joy,ana,de,x\n")
    assert read_any(table) == read_manifest(table)
    assert read_any(tmp_path) == read_corpus(tmp_path)


def test_accents_of_a_manifest_are_classes_whose_support_and_queries_share_no_speaker(tmp_path: Path) -> None:
    accents, people = ("scots", "welsh", "cornish"), ("ana", "ben", "cat", "dan")
    clips = [(accent, f"{accent}-{person}") for accent in accents for person in people]
    names = [f"{person}{take}.wav" for _, person in clips for take in range(3)]
    write_clips(tmp_path, names)
    lines = [f"{person}{take}.wav,{accent},{person},en,accents" for accent, person in clips for take in range(3)]
    corpus = read_manifest(write_manifest(tmp_path, HEADER + "\n".join(lines)))
    sampler = EpisodeSampler(corpus.utterances, EpisodeSettings(3, 2, 4), seed=0)
    for episode in sampler.episodes(20):
        assert sorted(episode.classes) == sorted(accents)
        sides = [{corpus.utterances[clip].speaker for clip in side.ravel()}
                 for side in (episode.support, episode.query_indices)]  # fmt: skip
        assert not sides[0] & sides[1]
