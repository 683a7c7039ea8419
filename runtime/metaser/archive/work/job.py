"""A job: how recordings are labelled, and the fingerprint that tells its shards from those of another one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metaser.runtime.bundles.bundle import open_bundle, sha256_of
from metaser.runtime.enrolment.fit import check_fits
from metaser.runtime.enrolment.profile import Profile, Unknown
from metaser.runtime.errors import InputError


@dataclass(frozen=True)
class Job:
    """How recordings are labelled; every worker opens it by itself.

    Raises:
        NotFoundError, ProfileError, BundleError: as `Engine.open` and `Engine.open_profile`.
    """

    profile: str
    """Its path."""

    bundle: str | None = None
    """The folder or the shipped name; None: the default."""

    provider: str = "auto"
    unknown: Unknown = "calibrated"
    accept_precision: bool = False

    def to_json(self) -> str:
        """The job as one line of JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Fingerprint:
    """What the results of a job depend on, apart from the recordings."""

    profile: str
    """The name of its file."""

    profile_sha256: str
    labels: tuple[str, ...]
    bundle: str
    graph_id: str
    unknown: str
    transcripts: str
    """What the units of recordings are: `with transcripts`, also of which tiers, or `without transcripts`."""

    @classmethod
    def of(cls, job: Job, transcripts: str) -> Fingerprint:
        """The fingerprint of a job, whose profile is checked against its bundle.

        Raises:
            NotFoundError, ProfileError, BundleError: as `Engine.open` and `Engine.open_profile`.
        """
        path = Path(job.profile)
        profile = Profile.load(path)
        manifest = open_bundle(job.bundle).manifest
        check_fits(profile, manifest, path, accept_precision=job.accept_precision)
        return cls(
            path.name, sha256_of(path), profile.labels, manifest.name, manifest.graph_id, job.unknown, transcripts
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fingerprint:
        """The fingerprint from its fields, as read from JSON.

        Raises:
            KeyError, TypeError: a field is missing or unknown.
        """
        return cls(**{**values, "labels": tuple(values["labels"])})

    def check_same(self, other: Fingerprint, where: Path) -> None:
        """Raise InputError, which names both jobs, if the results at `where` are those of another job."""
        theirs, ours = other._parts(), self._parts()
        if different := next((name for name in ours if ours[name] != theirs[name]), None):
            raise InputError(
                f"{where} was labelled {theirs[different]}, and now it is {ours[different]}: choose another folder for "
                "the results, or label as before"
            )

    def _parts(self) -> dict[str, str]:
        """Name -> words for what must be the same."""
        return {
            "profile": f"with the profile {self.profile} ({self.profile_sha256[:8]})",
            "bundle": f"with the bundle {self.bundle} ({self.graph_id[:8]})",
            "unknown": f"with --unknown {self.unknown}",
            "transcripts": self.transcripts,
        }
