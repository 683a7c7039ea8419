"""A microphone through PortAudio, found by name or number, at 16 kHz or its own rate; reopened after a disconnect."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaser.runtime.arrays import SAMPLE_RATE_HZ
from metaser.runtime.audio.downmix import Downmix
from metaser.runtime.audio.ring import Chunk, Ring
from metaser.runtime.errors import AudioError, InputError, MissingDependencyError

RING_S = 10.0
"""Capacity of the ring: if the model is busy for longer, audio is lost and counted."""

BLOCK_S = 0.032
GONE_S = 3.0
"""A device that delivers no sample for this long is considered disconnected."""

RETRY_S = 1.0


@dataclass(frozen=True)
class Device:
    """An input device."""

    index: int
    name: str
    channels: int
    rate_hz: int
    """Its default rate."""

    is_default: bool


def import_sounddevice() -> Any:
    """The sounddevice module, imported on first use.

    Raises:
        MissingDependencyError: it or the PortAudio library is not on this machine.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise MissingDependencyError("sounddevice is not installed: pip install sounddevice") from error
    except OSError as error:
        raise MissingDependencyError(
            "PortAudio is not on this machine: apt install libportaudio2 (or your system's PortAudio package)"
        ) from error
    return sounddevice


def list_devices() -> list[Device]:
    """All input devices.

    Raises:
        MissingDependencyError: PortAudio is not on this machine.
    """
    sd = import_sounddevice()
    default = sd.default.device[0]
    return [
        Device(index, each["name"], each["max_input_channels"], round(each["default_samplerate"]), index == default)
        for index, each in enumerate(sd.query_devices())
        if each["max_input_channels"] > 0
    ]


def find_device(wanted: str | int | None) -> Device:
    """The device with this number, or the one whose name contains this text; None is the system's default.

    Raises:
        InputError: several devices match.
        MissingDependencyError: no device matches, or there is no microphone at all.
    """
    devices = list_devices()
    if not devices:
        raise MissingDependencyError(
            "there is no microphone on this machine, or you may not use it (group audio): plug one in, start the sound "
            "server, or pipe sound into `metaser stream -`"
        )
    if wanted is None:
        return next((device for device in devices if device.is_default), devices[0])
    if str(wanted).isdigit():
        fitting = [device for device in devices if device.index == int(wanted)]
    else:
        text = str(wanted).lower()
        exact = [device for device in devices if device.name.lower() == text]
        fitting = exact or [device for device in devices if text in device.name.lower()]
    if not fitting:
        raise MissingDependencyError(f"no microphone is called {wanted!r}: see `metaser stream --list-devices`")
    if len(fitting) > 1:
        names = ", ".join(f"{device.index} {device.name}" for device in fitting)
        raise InputError(f"{len(fitting)} microphones fit {wanted!r} ({names}): give the number")
    return fitting[0]


class Microphone:
    """One open microphone, a context manager; `read` returns the audio since the last read."""

    def __init__(self, device: str | int | None = None, *, ring_s: float = RING_S) -> None:
        self._wanted = device
        self._ring_s = ring_s
        self._stream: Any = None
        self._ring = Ring(1)
        self._downmix = Downmix(SAMPLE_RATE_HZ, 1)
        self._lost = 0  # samples at `rate_hz`, counted by the reader
        self._overflowed = 0  # samples that PortAudio lost, counted by its thread
        self._heard_until = 0.0  # while disconnected: audio up to this time was read or is owed
        self._owed = 0  # unread samples of silence for the time without a device
        self._tried_at = 0.0
        self._waited_s = 0.0  # wait for the next sample
        self.name = ""
        self.rate_hz = 0

    @property
    def is_gone(self) -> bool:
        """Whether the device is disconnected and `read` tries to reopen it."""
        return self._stream is None

    @property
    def notice(self) -> str:
        """One line if the microphone's channels cancel each other."""
        return self._downmix.notice

    def __enter__(self) -> Microphone:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def skip(self) -> None:
        """Discard the audio since the last read."""
        self._ring.skip()
        self._owed = 0
        self._heard_until = time.perf_counter()

    def read(self, timeout_s: float = 0.1) -> Chunk:
        """The audio since the last read, with lost audio as silence; empty if nothing arrived for `timeout_s`.

        If more was lost than the ring holds, the silence for it comes in several reads.

        Raises:
            AudioError: the device is back but cannot be opened at its former rate.
        """
        if self._stream is None or self._owed:
            return self._wait(timeout_s)
        samples, lost, heard_at = self._ring.read(timeout_s)  # [T, channels]
        self._waited_s = 0.0 if len(samples) else self._waited_s + timeout_s
        if not len(samples) and (not self._stream.active or self._waited_s > GONE_S):
            self._close()
            samples, lost, heard_at = self._ring.read(0.0)  # samples that arrived last
            self._heard_until, self._waited_s = heard_at, 0.0
        self._lost += lost
        return Chunk(self._downmix.push(samples), self.rate_hz, heard_at, self.dropped_ms)

    @property
    def dropped_ms(self) -> float:
        """Audio lost so far."""
        return 1000 * (self._lost + self._overflowed) / self.rate_hz

    def _open(self) -> None:
        sd = import_sounddevice()
        device = find_device(self._wanted)
        channels, rate_hz = self._format(sd, device)
        ring = Ring(round(self._ring_s * rate_hz), channels)

        def hear(block: npt.NDArray[np.float32], frames: int, _: object, status: Any) -> None:
            if status.input_overflow:  # PortAudio lost audio before this block; only the clock shows how much
                passed = round((time.perf_counter() - ring.written_at) * rate_hz)
                lost = max(frames, passed - frames)
                self._overflowed += lost
                ring.write(np.zeros((lost, channels), np.float32))
            ring.write(block)

        try:
            stream = sd.InputStream(rate_hz, round(BLOCK_S * rate_hz), device.index, channels, "float32", callback=hear)
            stream.start()
        except sd.PortAudioError as error:
            raise MissingDependencyError(
                f"the microphone {device.name} cannot be opened ({_reason(error)}): "
                "check that no other program holds it and that you may use it (group audio)"
            ) from error
        self._ring, self._stream, self._downmix = ring, stream, Downmix(rate_hz, channels)
        self.name, self.rate_hz = device.name, rate_hz
        if self._wanted is not None:
            self._wanted = device.name  # numbers change when devices come and go

    def _format(self, sd: Any, device: Device) -> tuple[int, int]:
        """Channels and rate: mono at 16 kHz, or the closest format that the device supports."""
        for rate_hz in (self.rate_hz or SAMPLE_RATE_HZ, SAMPLE_RATE_HZ, device.rate_hz):
            for channels in (1, min(2, device.channels), device.channels):
                try:
                    sd.check_input_settings(device.index, channels, "float32", samplerate=rate_hz)
                except sd.PortAudioError:
                    continue
                if self.rate_hz not in (0, rate_hz):
                    raise AudioError(f"the microphone {device.name} came back without {self.rate_hz} Hz: start again")
                return channels, rate_hz
        raise MissingDependencyError(
            f"the microphone {device.name} cannot be opened at 16000 or {device.rate_hz} Hz: "
            "check that no other program holds it and that you may use it (group audio)"
        )

    def _wait(self, timeout_s: float) -> Chunk:
        """Retry a disconnected device from time to time; the time until then counts as lost audio."""
        if self._stream is None:
            now = time.perf_counter()
            if now - self._tried_at >= RETRY_S:
                self._tried_at = now
                self._retry()
            if self._stream is None and not self._owed:
                time.sleep(timeout_s)
            now = time.perf_counter()
            missed = round((now - self._heard_until) * self.rate_hz)
            self._heard_until += missed / self.rate_hz
            self._owed += missed
        silence = min(self._owed, round(self._ring_s * self.rate_hz))
        self._owed -= silence
        self._lost += silence
        return Chunk(np.zeros(silence, np.float32), self.rate_hz, time.perf_counter(), self.dropped_ms)

    def _retry(self) -> None:
        sd = import_sounddevice()
        try:
            while sd._initialized:  # the only way to make PortAudio search for devices again
                sd._terminate()
            sd._initialize()
            self._open()
        except (sd.PortAudioError, MissingDependencyError):
            return

    def _close(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            sd = import_sounddevice()
            try:
                stream.abort()
                stream.close()
            except sd.PortAudioError:
                return  # the device is gone


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error).splitlines()[0].rstrip(".")
