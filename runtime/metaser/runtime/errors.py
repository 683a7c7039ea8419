"""Every error metaser raises on purpose, in one tree.

MetaserError
├── InputError (ValueError)              the caller's data or argument cannot be used
│   ├── AudioError                       a clip: unreadable, empty, silent, not finite, clipped, too short, too long
│   ├── SupportError                     a support set: no classes, one class, a class without clips
│   ├── BundleError                      a bundle: missing file, changed byte, path out of its folder, newer version
│   └── ProfileError                     a profile: damaged, of another model or precision, newer version
├── NotFoundError (FileNotFoundError)    a path that does not exist
├── MissingDependencyError (ImportError) a package, device or provider this machine does not have
└── WorkError (RuntimeError)             the input was fine and the work failed: verification, tolerance, full disk

InputWarning (UserWarning)                the caller's data can be used, but not all of it

A message says what was wrong, with the numbers, and what to do. `exit_code` is what the command line returns.
"""


class MetaserError(Exception):
    """The root of the tree; catching it catches every error metaser raises on purpose."""

    exit_code = 1


class InputError(MetaserError, ValueError):
    """The caller's data or argument cannot be used."""

    exit_code = 2


class AudioError(InputError):
    """A clip that cannot be used: unreadable, empty, silent, not finite, clipped, too short or too long."""


class SupportError(InputError):
    """A support set that cannot be enrolled: no classes, one class, or a class without clips."""


class BundleError(InputError):
    """A bundle that fails a check: missing file, changed byte, path out of its folder, newer version."""


class ProfileError(InputError):
    """A profile that cannot be used: damaged, of another model or precision, or from a newer version."""


class NotFoundError(MetaserError, FileNotFoundError):
    """A path that does not exist."""

    exit_code = 2


class MissingDependencyError(MetaserError, ImportError):
    """A package, device or provider that this machine does not have."""

    exit_code = 3


class WorkError(MetaserError, RuntimeError):
    """The input was fine and the work failed: verification, tolerance, full disk."""


class InputWarning(UserWarning):
    """The caller's data can be used, but not all of it, or its answers can be misread: a clip that is cut off."""
