"""Few-shot speech emotion recognition on a small device: numpy and onnxruntime, no PyTorch.

Each public name is imported when it is first used (PEP 562), since a command that labels one clip needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaser.runtime.audio.load import load_audio, read_blocks
    from metaser.runtime.bundles.bundle import open_bundle, shipped_bundles
    from metaser.runtime.engine import Engine
    from metaser.runtime.enrolment.clip import Clip
    from metaser.runtime.enrolment.find_clips import find_clips
    from metaser.runtime.enrolment.profile import Profile, undo
    from metaser.runtime.enrolment.profile_file import forget
    from metaser.runtime.errors import (
        AudioError,
        BundleError,
        InputError,
        InputWarning,
        MetaserError,
        MissingDependencyError,
        NotFoundError,
        ProfileError,
        SupportError,
        WorkError,
    )
    from metaser.runtime.model.verification import Verification
    from metaser.runtime.scoring.decision import Calibration, Decision
    from metaser.runtime.stream.event import StreamEvent
    from metaser.runtime.stream.settings import StreamSettings
    from metaser.runtime.stream.stream import Stream
    from metaser.runtime.system.locks import profile_lock

__all__ = [
    "AudioError",
    "BundleError",
    "Calibration",
    "Clip",
    "Decision",
    "Engine",
    "InputError",
    "InputWarning",
    "MetaserError",
    "MissingDependencyError",
    "NotFoundError",
    "Profile",
    "ProfileError",
    "Stream",
    "StreamEvent",
    "StreamSettings",
    "SupportError",
    "Verification",
    "WorkError",
    "find_clips",
    "forget",
    "load_audio",
    "open_bundle",
    "profile_lock",
    "read_blocks",
    "shipped_bundles",
    "undo",
]

_NAMES = {
    "audio.load": ("load_audio", "read_blocks"),
    "bundles.bundle": ("open_bundle", "shipped_bundles"),
    "scoring.decision": ("Calibration", "Decision"),
    "engine": ("Engine",),
    "errors": (
        "AudioError",
        "BundleError",
        "InputError",
        "InputWarning",
        "MetaserError",
        "MissingDependencyError",
        "NotFoundError",
        "ProfileError",
        "SupportError",
        "WorkError",
    ),
    "system.locks": ("profile_lock",),
    "enrolment.clip": ("Clip",),
    "enrolment.profile": ("Profile", "undo"),
    "enrolment.profile_file": ("forget",),
    "enrolment.find_clips": ("find_clips",),
    "stream.event": ("StreamEvent",),
    "stream.settings": ("StreamSettings",),
    "stream.stream": ("Stream",),
    "model.verification": ("Verification",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
