"""The readers of published corpora: names, labels, speakers, and files that are left out."""

from pathlib import Path

import pytest

from metaser.toolkit.data.corpora import read_corpus, report
from metaser.toolkit.data.corpus_formats import READERS, VOCABULARY
from tests.toolkit.data.corpus_files import reasons, rows, write_clips

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
    "casia": (
        "zh",
        [
            ("angry_1_201.wav", "anger", "angry", "1"),
            ("happy_3_207.wav", "joy", "happy", "3"),
            ("surprise_4_248.wav", "surprise", "surprise", "4"),
        ],
    ),
    "ased": (
        "am",
        [
            ("01Neutral/n1-01-01-01-03.wav", "neutral", "n", "03"),
            ("02Fearful/f2-02-02-01-29.wav", "fear", "f", "29"),
            ("05Angry/a5-01-02-02-65.wav", "anger", "a", "65"),
        ],
    ),
    "eyase": (
        "arz",
        [
            ("Female02/fm01_ang (3).wav", "anger", "ang", "Female02"),
            ("Male01/ml01_neu (30).wav", "neutral", "neu", "Male01"),
        ],
    ),
    "emotiontts": (
        "ko",
        [
            ("ema00001.wav", "neutral", "0", "ema"),
            ("emb00205.wav", "anger", "2", "emb"),
            ("neo00100.wav", "neutral", "0", "neo"),
            ("neo00101.wav", "joy", "1", "neo"),
            ("neo00400.wav", "sadness", "3", "neo"),
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


def test_a_clip_of_eyase_has_the_speaker_of_its_folder(tmp_path: Path) -> None:
    corpus = read_corpus(
        write_clips(tmp_path, ["Female01/fm01_ang (1).wav", "Female02/fm01_ang (1).wav", "fm01_ang (2).wav"])
    )
    assert [row[3] for row in rows(corpus)] == ["Female01", "Female02"]
    assert "no speaker" in reasons(corpus)["fm01_ang (2).wav"]


@pytest.mark.parametrize("number", ["00000", "00401"])
def test_a_number_of_emotiontts_beyond_its_labels_is_a_problem(number: str, tmp_path: Path) -> None:
    corpus = read_corpus(write_clips(tmp_path, ["ema00001.wav", f"ema{number}.wav"]))
    assert "unknown emotion" in reasons(corpus)[f"ema{number}.wav"]


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


def test_only_files_that_a_corpus_is_known_to_hold_are_expected_problems(tmp_path: Path) -> None:
    names = ["1076_MTI_SAD_XX.wav", "a/1076_MTI_ANG_XX.wav", "b/1076_MTI_ANG_XX.wav", "1076_MTI_JOY_XX.wav", "1076.m4a"]
    write_clips(tmp_path, names[:-1])
    (tmp_path / names[-1]).touch()
    expected = {problem.path.name: problem.expected for problem in read_corpus(tmp_path).problems}
    assert expected == {
        "1076_MTI_SAD_XX.wav": True, "1076_MTI_ANG_XX.wav": True, "1076_MTI_JOY_XX.wav": False, "1076.m4a": False,
    }  # fmt: skip
