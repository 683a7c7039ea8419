"""Few-shot speech emotion recognition on a small device: numpy and onnxruntime, no PyTorch."""

from metaser.runtime.audio import load_audio
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
    "forget",
    "load_audio",
    "open_bundle",
    "profile_lock",
    "shipped_bundles",
    "undo",
]
