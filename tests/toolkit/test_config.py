"""Configuration files: allowed content, and the errors for everything else."""

from pathlib import Path

import pytest

from metaser.runtime.errors import InputError, NotFoundError
from metaser.toolkit.config import Config, load_config
from metaser.toolkit.toml_config import to_dataclass

REPOSITORY = Path(__file__).parents[2]
LEAST = """
[data]
corpora = ["a", "b"]
[model]
backbone = "x"
"""


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return load_config(path)


def test_a_backbone_and_corpora_are_enough(tmp_path: Path) -> None:
    config = load(tmp_path, LEAST)
    assert config.data.corpora == (Path("a"), Path("b"))
    assert config.episodes.n_way == 4
    assert config.steps == config.episodes.count


def test_values_reach_their_sections(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        'seed = 3\nout = "runs/x"\n'
        + LEAST
        + "layers = 3\n[optimiser]\nbackbone_lr = 1\ngradient_accumulation = 4\n[augment]\nspeed = [0.8, 1]\n"
        + '[data.validation_speakers]\nnemo = ["KS0"]\n',
    )
    assert (config.seed, config.out, config.model.layers) == (3, Path("runs/x"), 3)
    assert config.optimiser.backbone_lr == 1.0
    assert config.augment.speed == (0.8, 1.0)
    assert config.data.validation_speakers == {"nemo": ("KS0",)}
    assert config.steps == 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeed = 1\n" + LEAST, r"run.toml: there is no setting seeed: did you mean seed\?"),
        (LEAST + "[episodes]\nn_shot = 5\n", r"no setting episodes.n_shot: did you mean episodes.k_shot\?"),
        (LEAST + "[optimizer]\nkind = 'sgd'\n", r"no setting optimizer: did you mean optimiser\?"),
        (LEAST + "[episodes]\nweight_decay = 0.1\n", r"did you mean optimiser.weight_decay\?"),
        (LEAST + "[freeze]\nxyz = 1\n", "no setting freeze.xyz: known are freeze.front_end, freeze.layers"),
        (LEAST + "[episodes]\nk_shot = 'five'\n", "episodes.k_shot is 'five' and must be a whole number"),
        (LEAST + "[episodes]\nk_shot = 5.0\n", "episodes.k_shot is 5.0 and must be a whole number"),
        (LEAST + "[episodes]\nk_shot = true\n", "episodes.k_shot is True and must be a whole number"),
        (LEAST + "[freeze]\nall = 1\n", "freeze.all is 1 and must be true or false"),
        (LEAST + "[optimiser]\nhead_lr = nan\n", "optimiser.head_lr is nan and must be finite"),
        (LEAST + "[augment]\nspeed = 1.0\n", "augment.speed is 1.0 and must be a list"),
        (LEAST + "[augment]\nspeed = [1.0]\n", "must be a list of 2"),
        (LEAST + "[augment]\nspeed = [1.1, 0.9]\n", "augment.speed goes from 1.1 down to 0.9"),
        (LEAST + "[augment]\nnoise_chance = 1.5\n", "augment.noise_chance is 1.5 and must be between 0 and 1"),
        (LEAST + "[augment]\nframe_keep_ratio = 1.5\n", "augment.frame_keep_ratio is 1.5 and must be at most 1"),
        (LEAST + "[optimiser]\nema_decay = 1.0\n", "optimiser.ema_decay is 1.0 and must be below 1"),
        (LEAST + "[optimiser]\nwise_ft_alpha = 1.5\n", "optimiser.wise_ft_alpha is 1.5 and must be at most 1"),
        (LEAST + "[adversary]\non = 'speaker'\n", "adversary.on is 'speaker': choose one of none, corpus, language"),
        (
            LEAST + "[episodes]\ncount = 10\n[optimiser]\ngradient_accumulation = 4\n",
            "count is 10 and must be a multiple of",
        ),
        (LEAST + "[episodes]\nn_way = 1\n", "n_way is 1 and must be at least 2"),
        (LEAST + "[validation]\nevery = -1\n", "validation.every is -1 and must be at least 0"),
        (LEAST + "[data.validation_speakers]\nnemo = 3\n", "data.validation_speakers.nemo is 3 and must be a list"),
        ("precision = 'int8'\n" + LEAST, "precision is 'int8': choose one of fp32, bf16, fp16"),
        ("data = 3\n[model]\nbackbone = 'x'\n", r"data is a section, write it as \[data\]"),
        ("[data]\n[model]\nbackbone = 'x'\n", "data.corpora and data.manifests are both empty"),
        ("[data]\ncorpora = ['a']\n", "model is missing"),
        ("[data]\ncorpora = ['a']\n[model]\n", "model.backbone is missing"),
        ("[data\n", "run.toml is not TOML"),
        ("a = " + "[" * 5000 + "]" * 5000, "run.toml is not TOML"),
        ("seed = 9223372036854775808\n" + LEAST, "seed is too large: whole numbers go up to 9223372036854775807"),
        (LEAST + "[optimiser]\nhead_lr = 1e300\n", r"optimiser.head_lr is 1e\+300 and must be at most 1e\+30"),
        (LEAST + "[optimiser]\nmomentum = -0.5\n", "optimiser.momentum is -0.5 and must be at least 0"),
        (LEAST + "[validation]\nepisodes = 32768\n", "validation.episodes is 32768 and must be at most 10000"),
        ("threads = 2147483647\n" + LEAST, "threads is 2147483647 and must be at most 1024"),
        (LEAST + "[augment]\nnoise_snr_db = [5.0, 1e5]\n", r"snr_db is \(5.0, 100000.0\) and must be at most 200"),
        (LEAST + "[augment]\nreverberation_s = [0.1, 1e9]\n", r"reverberation_s is .* must be at most 60"),
        (LEAST.replace("[model]", "[model]\nembedding_size = 2147483647"), "embedding_size is .* at most 65536"),
        (LEAST.replace("[data]", "[data]\ncrop_s = 1e308"), r"crop_s is 1e\+308 and must be at most 600"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        load(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        load_config(tmp_path / "none.toml")


def test_a_tilde_in_a_path_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(tmp_path, 'out = "~/runs"\n' + LEAST).out == tmp_path / "runs"


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_configurations_load_and_hold_no_absolute_path(path: Path) -> None:
    config = load_config(path)
    assert not any(folder.is_absolute() for folder in (*config.data.corpora, config.out))


def test_plain_settings_make_the_same_configuration_again(tmp_path: Path) -> None:
    config = load(tmp_path, LEAST)
    plain = {name: value for name, value in config.plain().items() if value is not None}
    sections = {
        name: {key: part for key, part in value.items() if part is not None} if isinstance(value, dict) else value
        for name, value in plain.items()
    }
    assert to_dataclass(Config, sections, "again") == config
