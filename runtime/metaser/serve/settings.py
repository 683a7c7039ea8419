"""What a server is, where it listens, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from metaser.runtime.errors import InputError

DEFAULT_PORT = 8765
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Limits:
    """Bounds of what clients can use."""

    connections: int = 100
    """Open connections of a worker."""

    streams: int | None = None
    """Started streams of a worker; None: as many as this machine computes, measured when a worker starts."""

    message_bytes: int = 2**20
    """One WebSocket message."""

    upload_bytes: int = 2**26
    """The body of one request."""

    upload_s: float = 120.0
    """The time in which a body must have arrived."""

    start_s: float = 10.0
    """The time in which a client must send its request, or the first message of a stream."""

    idle_s: float = 60.0
    """A started stream that sends nothing for so long is closed."""

    drain_s: float = 10.0
    """The time for streams to end when the server stops."""


@dataclass(frozen=True)
class ServeSettings:
    """A server.

    Raises:
        InputError: it would be open to the network without a token, or unencrypted without `insecure`.
    """

    profiles: Path
    """The folder of profiles, one file per profile."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    bundle: str | None = None
    provider: str = "auto"
    threads: int = 1
    """Threads that compute one window; streams run in parallel."""

    workers: int = 1
    token: str | None = None
    """What clients must send; None: nothing, only on this machine."""

    certificate: Path | None = None
    """PEM file of the TLS certificate and those above it."""

    key: Path | None = None
    insecure: bool = False
    """Allow a network without TLS."""

    hosts: tuple[str, ...] = ()
    """Further names by which clients reach the server; addresses and localhost always do."""

    origins: tuple[str, ...] = ()
    """Further origins, such as https://example.org, whose pages may use the server."""

    mqtt: str | None = None
    """A broker that gets the labels of streams."""

    webhook: str | None = None
    """An address that gets the events of streams."""

    record: Path | None = None
    """A folder for the audio and the labels of streams; None: no audio is kept."""

    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise InputError(f"--port {self.port}: give a number from 1 to 65535")
        if self.workers < 1:
            raise InputError(f"--workers {self.workers}: give 1 or more")
        if (self.certificate is None) != (self.key is None):
            raise InputError("--certificate and --key belong together: give both")
        if self.is_local:
            return
        if self.token is None:
            raise InputError(
                f"--host {self.host} opens the server to a network: give clients a token, with --token-file FILE or in "
                "METASER_TOKEN"
            )
        if self.certificate is None and not self.insecure:
            raise InputError(
                f"--host {self.host} without TLS sends speech and the token in the clear: give --certificate and "
                "--key, or --insecure if the network is trusted"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.certificate is None else "https"
