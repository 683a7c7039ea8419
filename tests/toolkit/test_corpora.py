"""Readers of published corpora, label folders and manifests, and what they report."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from metaser.runtime.errors import InputError, NotFoundError
from metaser.toolkit.corpora import Column, Corpus, Utterance, classes_by, read_corpus, read_manifest, readable, report
from metaser.toolkit.readers import READERS, VOCABULARY

RATE_HZ = 8000


def write_clips(root: Path, names: Iterable[str], duration_s: float = 0.01, rate_hz: int = RATE_HZ) -> Path:
    samples = np.linspace(-0.5, 0.5, int(duration_s * rate_hz), dtype=np.float32)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate_hz)
    return root


def rows(corpus: Corpus) -> list[tuple[str, str, str, str]]:
    return [(clip.path.stem, clip.label, clip.original_label, clip.speaker) for clip in corpus.utterances]


def reasons(corpus: Corpus) -> dict[str, str]:
    return {problem.path.name: problem.reason for problem in corpus.problems}


SCHEMES: dict[str, tuple[str, list[tuple[str, str, str, str]]]] = {
    "aesdd": (
        "el",
        [
            ("anger/a01 (1).wav", "anger", "a", "1"),
            ("disgust/d02(2).wav", "disgust", "d", "2"),
            ("fear/f10 (01).wav", "fear", "f", "1"),
            ("happiness/h05 (6)b.wav", "joy", "h", "6"),
            ("sadness/s05 (10).wav", "sadness", "s", "10"),
        ],
    ),
    "emodb": (
        "de",
        [
            ("wav/03a01Fa.wav", "joy", "F", "03"),
            ("wav/08b09Lb.wav", "boredom", "L", "08"),
            ("wav/10a05Ad.wav", "fear", "A", "10"),
            ("wav/13a02Wc.wav", "anger", "W", "13"),
            ("wav/14b02Ef.wav", "disgust", "E", "14"),
            ("wav/15a04Nb.wav", "neutral", "N", "15"),
            ("wav/16b10Ta.wav", "sadness", "T", "16"),
        ],
    ),
    "ravdess": (
        "en",
        [
            ("Actor_01/03-01-01-01-01-01-01.wav", "neutral", "01", "01"),
            ("Actor_02/03-01-02-01-01-01-02.wav", "calm", "02", "02"),
            ("Actor_02/03-01-03-02-02-01-02.wav", "joy", "03", "02"),
            ("Actor_03/03-01-04-02-02-02-03.wav", "sadness", "04", "03"),
            ("Actor_04/03-01-05-01-02-02-04.wav", "anger", "05", "04"),
            ("Actor_22/03-01-06-01-02-02-22.wav", "fear", "06", "22"),
            ("Actor_23/03-01-07-01-02-02-23.wav", "disgust", "07", "23"),
            ("Actor_24/03-01-08-01-02-02-24.wav", "surprise", "08", "24"),
        ],
    ),
    "crema-d": (
        "en",
        [
            ("AudioWAV/1001_DFA_ANG_XX.wav", "anger", "ANG", "1001"),
            ("AudioWAV/1001_IEO_DIS_HI.wav", "disgust", "DIS", "1001"),
            ("AudioWAV/1002_IEO_FEA_LO.wav", "fear", "FEA", "1002"),
            ("AudioWAV/1040_ITH_HAP_X.wav", "joy", "HAP", "1040"),
            ("AudioWAV/1076_MTI_NEU_XX.wav", "neutral", "NEU", "1076"),
            ("AudioWAV/1091_IEO_SAD_MD.wav", "sadness", "SAD", "1091"),
        ],
    ),
    "tess": (
        "en",
        [
            ("OAF_Fear/OAF_back_fear.wav", "fear", "fear", "OAF"),
            ("OAF_Pleasant_surprise/OAF_bar_ps.wav", "surprise", "ps", "OAF"),
            ("YAF_happy/YAF_bath_happy.wav", "joy", "happy", "YAF"),
            ("YAF_sad/YAF_bath_sad.wav", "sadness", "sad", "YAF"),
        ],
    ),
    "savee": (
        "en",
        [
            ("DC/a01.wav", "anger", "a", "DC"),
            ("DC/su15.wav", "surprise", "su", "DC"),
            ("JE/sa01.wav", "sadness", "sa", "JE"),
            ("KL/n30.wav", "neutral", "n", "KL"),
        ],
    ),
    "emovo": (
        "it",
        [
            ("f1/gio-f1-b1.wav", "joy", "gio", "f1"),
            ("f3/pau-f3-d2.wav", "fear", "pau", "f3"),
            ("m2/rab-m2-l3.wav", "anger", "rab", "m2"),
            ("m2/sor-m2-n4.wav", "surprise", "sor", "m2"),
            ("m3/tri-m3-n5.wav", "sadness", "tri", "m3"),
        ],
    ),
    "cafe": (
        "fr-CA",
        [
            ("Col\u00e8re/Fort/01-C-2-1.wav", "anger", "C", "01"),
            ("D\u251c\u2310gout/Faible/02-D-1-6.wav", "disgust", "D", "02"),
            ("Neutre/12-N-1-3.wav", "neutral", "N", "12"),
            ("Peur/Fort/05-P-2-3.wav", "fear", "P", "05"),
            ("Surprise/Fort/05-S-2-3.wav", "surprise", "S", "05"),
            ("Tristesse/Fort/05-T-2-3.wav", "sadness", "T", "05"),
        ],
    ),
    "shemo": (
        "fa",
        [
            ("female/F01A01.wav", "anger", "A", "F01"),
            ("female/F21F02.wav", "fear", "F", "F21"),
            ("male/M01W10.wav", "surprise", "W", "M01"),
            ("male/M46N131.wav", "neutral", "N", "M46"),
        ],
    ),
    "urdu": (
        "ur",
        [
            ("Angry/SF1_F1_A01.wav", "anger", "A", "F1"),
            ("Happy/SM25_F14_H070.wav", "joy", "H", "M25"),
            ("Neutral/SM5_F31_N081.wav", "neutral", "N", "M5"),
            ("Sad/SM1_F10_S010.wav", "sadness", "S", "M1"),
        ],
    ),
    "mesd": (
        "es-MX",
        [
            ("Anger_C_A_abajo.wav", "anger", "Anger", "C"),
            ("Happiness_F_B_el dia.wav", "joy", "Happiness", "F"),
            ("Sadness_M_A_tio.wav", "sadness", "Sadness", "M"),
        ],
    ),
    "nemo": (
        "pl",
        [
            ("samples/SM0_happiness_66.wav", "joy", "happiness", "SM0"),
            ("samples/TP0_surprised_1.wav", "surprise", "surprised", "TP0"),
            ("samples/WR0_anger_90.wav", "anger", "anger", "WR0"),
        ],
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_knows_its_corpus_by_the_file_names_alone(name: str, tmp_path: Path) -> None:
    language, clips = SCHEMES[name]
    corpus = read_corpus(write_clips(tmp_path / "download", [path for path, *_ in clips]))
    assert corpus.name == name
    assert corpus.problems == ()
    assert rows(corpus) == [(Path(path).stem, *expected) for path, *expected in sorted(clips)]
    assert {(clip.language, clip.corpus) for clip in corpus.utterances} == {(language, name)}


@pytest.mark.parametrize("name", READERS)
def test_every_label_is_a_word_of_the_shared_vocabulary(name: str) -> None:
    assert set(READERS[name].labels.values()) <= set(VOCABULARY)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "WAV"])
def test_clips_are_found_whatever_the_suffix(suffix: str, tmp_path: Path) -> None:
    write_clips(tmp_path, [f"wav/03a01Fa.{suffix}", f"wav/03a01Wa.{suffix}"], duration_s=0.5)
    corpus = read_corpus(tmp_path)
    assert [clip.label for clip in corpus.utterances] == ["joy", "anger"]
    assert report(corpus).clips == 2


def test_aesdd_speakers_are_numbers_and_its_bad_file_is_left_out(tmp_path: Path) -> None:
    write_clips(tmp_path, ["f10 (01).wav", "f11 (1).wav", "a01 (00).wav", "s05 (3).wav"])
    corpus = read_corpus(tmp_path)
    assert [row[3] for row in rows(corpus)] == ["0", "1", "1"]
    assert reasons(corpus) == {"s05 (3).wav": "a damaged recording of the corpus"}


def test_ravdess_song_and_video_are_left_out_with_the_reason(tmp_path: Path) -> None:
    speech, song, video = "03-01-05-01-01-01-01.wav", "03-02-05-01-01-01-01.wav", "01-01-05-01-01-01-01.wav"
    corpus = read_corpus(write_clips(tmp_path, [speech, song, video]))
    assert [clip.path.name for clip in corpus.utterances] == [speech]
    assert reasons(corpus) == {
        song: "channel 02, and only channel 01 is read",
        video: "modality 01, and only modality 03 is read",
    }


def test_the_silent_clip_of_crema_d_is_left_out(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["1076_MTI_SAD_XX.wav", "1076_MTI_ANG_XX.wav"]))
    assert [clip.label for clip in corpus.utterances] == ["anger"]
    assert reasons(corpus) == {"1076_MTI_SAD_XX.wav": "silent"}


def test_savee_names_the_speaker_in_front_or_by_folder(tmp_path: Path) -> None:
    flat = read_corpus(write_clips(tmp_path / "flat", ["DC_a01.wav", "KL_su02.wav"]))
    foldered = read_corpus(write_clips(tmp_path / "folders", ["DC/a01.wav", "KL/su02.wav", "a03.wav"]))
    assert [row[1:] for row in rows(flat)] == [row[1:] for row in rows(foldered)]
    assert [row[3] for row in rows(flat)] == ["DC", "KL"]
    assert "no speaker" in reasons(foldered)["a03.wav"]


def test_the_same_stem_of_two_savee_speakers_is_two_clips(tmp_path: Path) -> None:
    assert len(read_corpus(write_clips(tmp_path, ["DC/a01.wav", "JE/a01.wav"])).utterances) == 2


def test_a_second_copy_of_a_clip_is_left_out(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["48k/01-C-1-1.wav", "192k/01-C-1-1.wav", "48k/01-C-1-2.wav"]))
    assert [clip.path.relative_to(tmp_path).as_posix() for clip in corpus.utterances] == [
        "192k/01-C-1-1.wav", "48k/01-C-1-2.wav",
    ]  # fmt: skip
    assert reasons(corpus) == {"01-C-1-1.wav": "a second copy of 192k/01-C-1-1.wav"}


def test_an_unknown_emotion_is_a_problem_that_names_the_known_ones(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["SM0_anger_1.wav", "SM0_boredom_1.wav"]))
    assert reasons(corpus)["SM0_boredom_1.wav"].startswith("unknown emotion 'boredom': nemo has anger, fear")


def test_a_name_must_match_as_a_whole(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav", "03a01Fa_copy.wav", "x03a01Fa.wav"]))
    assert len(corpus.utterances) == 2
    assert set(reasons(corpus).values()) == {"its name is not one of emodb"}


def test_hidden_and_other_files_are_not_clips(tmp_path: Path) -> None:
    write_clips(tmp_path, ["03a01Fa.wav", "._03a01Wa.wav", ".cache/03a01Na.wav"])
    (tmp_path / "README.txt").write_text("about")
    corpus = read_corpus(tmp_path)
    assert (len(corpus.utterances), corpus.problems) == (1, ())


def test_the_folder_name_decides_where_two_readers_fit_the_same_number(tmp_path: Path) -> None:
    names = ["03a01Fa.wav", "OAF_back_fear.wav"]
    assert read_corpus(write_clips(tmp_path / "my-TESS", names)).name == "tess"
    assert read_corpus(write_clips(tmp_path / "EmoDB", names)).name == "emodb"


def test_several_corpora_below_one_root_are_an_error_with_their_numbers(tmp_path: Path) -> None:
    write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav", "OAF_back_fear.wav", "SM0_anger_1.wav", "f1/gio-f1-b1.wav"])
    with pytest.raises(InputError, match=r"several corpora \(2 of emodb, 1 of tess, 1 of emovo, 1 of nemo\)"):
        read_corpus(tmp_path)


def test_a_named_reader_is_taken_whatever_fits_better(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav", "OAF_back_fear.wav"]), "tess")
    assert [clip.label for clip in corpus.utterances] == ["fear"]


def test_label_folders_are_the_corpus_where_no_reader_fits(tmp_path: Path) -> None:
    root = write_clips(
        tmp_path / "mine", ["Happy/ana/1.wav", "Happy/ben/1.wav", "anger/2.wav", "bored stiff/ana/3.wav", "loose.wav"]
    )
    corpus = read_corpus(root)
    assert corpus.name == "mine"
    assert rows(corpus) == [
        ("1", "joy", "Happy", "ana"),
        ("1", "joy", "Happy", "ben"),
        ("2", "anger", "anger", ""),
        ("3", "bored stiff", "bored stiff", "ana"),
    ]
    assert reasons(corpus) == {"loose.wav": "not in a folder that names its label"}


def test_label_folders_can_be_asked_for(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path / "mine", ["de/03a01Fa.wav", "at/03a01Wa.wav"]), "folders")
    assert [(clip.corpus, clip.label) for clip in corpus.utterances] == [("mine", "at"), ("mine", "de")]


def test_wrong_roots_and_readers_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such folder"):
        read_corpus(tmp_path / "none")
    with pytest.raises(InputError, match="no audio files"):
        read_corpus(tmp_path)
    with pytest.raises(InputError, match=r"no reader called 'ravdes': there are aesdd, .*nemo and folders"):
        read_corpus(tmp_path, "ravdes")
    write_clips(tmp_path, ["loose.wav"])
    with pytest.raises(InputError, match=r"none of the 1 audio files in .* can be used; loose.wav: not in a folder"):
        read_corpus(tmp_path)


def test_a_report_counts_clips_classes_speakers_minutes_and_problems(tmp_path: Path) -> None:
    write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav"], duration_s=3.0)
    write_clips(tmp_path, ["08a01Wa.wav"], duration_s=6.0, rate_hz=16_000)
    write_clips(tmp_path, ["08a02Wa.wav"], duration_s=0.0)
    (tmp_path / "08a03Wa.wav").write_bytes(b"not audio at all")
    (tmp_path / "08a04Wa.wav").write_bytes(b"")
    (tmp_path / "08a05Wa.m4a").write_bytes(b"not read")
    (tmp_path / "notes.wav").write_bytes(b"")
    corpus = read_corpus(tmp_path)
    counted = report(corpus)
    assert (counted.name, counted.clips) == ("emodb", 3)
    assert counted.minutes == pytest.approx(0.2)
    assert list(counted.classes.items()) == [("anger", 2), ("joy", 1)]
    assert counted.speakers == {"emodb/03": 2, "emodb/08": 1}
    assert (counted.languages, counted.sample_rates_hz) == (("de",), (8000, 16_000))
    found = {problem.path.name: problem.reason for problem in counted.problems}
    assert list(found) == ["08a05Wa.m4a", "notes.wav", "08a02Wa.wav", "08a03Wa.wav", "08a04Wa.wav"]
    assert found["08a02Wa.wav"] == "holds no samples"
    assert found["08a03Wa.wav"].startswith("cannot be read as audio (")
    assert found["08a04Wa.wav"] == "an empty file"
    assert found["08a05Wa.m4a"] == ".m4a cannot be read: convert it to WAV or FLAC"
    assert readable(corpus).problems == counted.problems
    assert len(readable(corpus).utterances) == 3


def test_a_clip_that_vanished_is_a_problem_of_the_report(tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["03a01Fa.wav", "03a01Wa.wav"]))
    corpus.utterances[0].path.unlink()
    assert [problem.reason for problem in report(corpus).problems] == ["no such file"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("label", {"anger": [1], "joy": [0, 2]}),
        ("original_label", {"Happy": [2], "anger": [1], "joy": [0]}),
        ("speaker", {"ana": [0, 1]}),
        ("language", {"de": [0], "pl": [1, 2]}),
        ("corpus", {"a": [0, 1, 2]}),
    ],
)
def test_any_column_can_be_the_class(column: Column, expected: dict[str, list[int]]) -> None:
    utterances = [
        Utterance(Path("1.wav"), "joy", "ana", "de", "a", "joy"),
        Utterance(Path("2.wav"), "anger", "ana", "pl", "a", "anger"),
        Utterance(Path("3.wav"), "joy", "", "pl", "a", "Happy"),
    ]
    assert {name: indices.tolist() for name, indices in classes_by(utterances, column).items()} == expected


def test_a_column_that_does_not_exist_is_named() -> None:
    with pytest.raises(InputError, match=r"no column 'emotion' can be the class: choose one of label, original_label"):
        classes_by([], "emotion")  # type: ignore[arg-type]


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


def test_reading_and_sampling_load_neither_torch_nor_onnxruntime() -> None:
    program = (
        "import sys, metaser.toolkit.corpora, metaser.toolkit.episodes, metaser.toolkit.intervals;"
        "print([name for name in ('torch', 'transformers', 'onnxruntime', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
