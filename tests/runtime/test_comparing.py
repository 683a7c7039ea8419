"""Objects with arrays are compared by identity, because NumPy gives no single truth value for arrays."""

import dataclasses
import importlib
import pkgutil
import re

import metaser.runtime
from metaser.runtime import Profile

ARRAYS = re.compile(
    r"NDArray|Waveform|Embedding|Frames|HeadParameters|Prototypes|Floats|Indices|Contour|Samples|Scores"
)


def test_no_dataclass_with_arrays_compares_them() -> None:
    found = []
    for item in pkgutil.walk_packages(metaser.runtime.__path__, "metaser.runtime."):
        if ".data" in item.name:
            continue
        for name, kind in vars(importlib.import_module(item.name)).items():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == item.name:
                has_arrays = any(ARRAYS.search(str(field.type)) for field in dataclasses.fields(kind) if field.compare)
                if has_arrays and kind.__eq__ is not object.__eq__:
                    found.append(f"{item.name}.{name}: use eq=False")
    assert found == []


def test_profiles_can_be_compared_and_kept_in_sets(profile: Profile) -> None:
    other = dataclasses.replace(profile)
    assert profile == profile  # noqa: PLR0124 # what is tested
    assert profile != other
    assert len({profile, other}) == 2
