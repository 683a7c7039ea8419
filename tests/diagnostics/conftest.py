"""The fixtures of the runtime's tests that the diagnostics' tests share."""

from tests.runtime.conftest import bundle_copy, engine, profile, support_folder

__all__ = ["bundle_copy", "engine", "profile", "support_folder"]
