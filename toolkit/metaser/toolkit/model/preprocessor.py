"""Read the settings of the feature extractor from a folder in the hub's layout."""

from pathlib import Path
from typing import Any

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.errors import InputError
from metaser.toolkit.model.weights import read_json

PROCESSOR_FILE = "processor_config.json"
"""Settings of a whole processor; transformers 5 nests the feature extractor's in it and writes no other file."""

EXTRACTOR_FILE = "preprocessor_config.json"
NESTED = ("feature_extractor", "audio_processor")


def read_preprocessor(folder: Path) -> dict[str, Any]:
    """The settings of the feature extractor, from the file that transformers would use; empty if there is none.

    Raises:
        InputError: a file is damaged, or the settings are for another sample rate.
    """
    settings = _nested(folder / PROCESSOR_FILE)
    path = folder / EXTRACTOR_FILE
    if settings is None:
        settings = read_json(path) if path.exists() else {}
    rate_hz = settings.get("sampling_rate", SAMPLE_RATE_HZ)
    if rate_hz != SAMPLE_RATE_HZ:
        raise InputError(f"{folder} is for audio at {rate_hz} Hz; only {SAMPLE_RATE_HZ} Hz is supported")
    return settings


def normalizes(settings: dict[str, Any]) -> bool:
    """Whether the encoder was trained on clips of zero mean and unit variance; as in transformers, yes by default."""
    return bool(settings.get("do_normalize", True))


def _nested(path: Path) -> dict[str, Any] | None:
    processor = read_json(path) if path.exists() else {}
    for name in NESTED:
        if name in processor:
            settings = processor[name]
            if not isinstance(settings, dict):
                raise InputError(f"{path} is damaged: {name} is not a JSON object")
            return settings
    return None
