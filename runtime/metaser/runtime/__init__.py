"""Few-shot speech emotion recognition on a small device: numpy and onnxruntime, no PyTorch.

Each public name is imported when it is first used (PEP 562), since a command that labels one clip needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaser.runtime.audio import load_audio, read_blocks
    from metaser.runtime.bundle import open_bundle, shipped_bundles
    from metaser.runtime.decision import Calibration, Decision
    from metaser.runtime.engine import Engine
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
    from metaser.runtime.locks import profile_lock
    from metaser.runtime.profile import Clip, Profile, forget, undo
    from metaser.runtime.reenrolment import find_clips
    from metaser.runtime.stream import Stream, StreamEvent, StreamSettings
    from metaser.runtime.verification import Verification

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
    "audio": ("load_audio", "read_blocks"),
    "bundle": ("open_bundle", "shipped_bundles"),
    "decision": ("Calibration", "Decision"),
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
    "locks": ("profile_lock",),
    "profile": ("Clip", "Profile", "forget", "undo"),
    "reenrolment": ("find_clips",),
    "stream": ("Stream", "StreamEvent", "StreamSettings"),
    "verification": ("Verification",),
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
