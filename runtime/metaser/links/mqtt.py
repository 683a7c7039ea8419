"""Labels to an MQTT broker, as sensors that Home Assistant finds by itself.

    homeassistant/sensor/ID/config   what the sensor is, retained
    metaser/ID/label                 its state: a label, `unknown` or `silence`, retained
    metaser/ID/event                 the event behind it as JSON, retained
    metaser/NODE/status              `online`, or `offline` when this program is gone, retained (last will)

A broker that is down is tried again without end; what happened meanwhile is not kept, but the last state is sent.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from metaser.links.state import SILENCE, SpokenState, attributes
from metaser.runtime.enrolment.labels import UNKNOWN
from metaser.runtime.errors import InputError, WorkError
from metaser.runtime.stream.event import StreamEvent

PORTS = {"mqtt": 1883, "mqtts": 8883}
USER, PASSWORD = "METASER_MQTT_USER", "METASER_MQTT_PASSWORD"  # names of variables
FIRST_S = 5.0
"""How long the first connection is waited for."""

LAST_S = 3.0
"""How long the last messages are waited for."""

FASTEST_S, SLOWEST_S = 1, 30
"""Between two attempts to connect."""

KEEP_ALIVE_S = 30
ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True)
class Broker:
    """Where a broker is."""

    host: str
    port: int
    tls: bool

    @classmethod
    def read(cls, text: str) -> Broker:
        """`HOST`, `HOST:PORT`, `mqtt://HOST` or `mqtts://HOST`.

        Raises:
            InputError: it is something else. A user and password are given in the environment.
        """
        try:
            parts = urlsplit(text if "://" in text else f"mqtt://{text}")
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            raise InputError(f"--mqtt {text}: give HOST, HOST:PORT, or mqtts://HOST for TLS")
        if parts.username or parts.password:
            raise InputError(f"--mqtt: others can read the command line: set {USER} and {PASSWORD} instead")
        return cls(parts.hostname, port or PORTS[parts.scheme], tls=parts.scheme == "mqtts")


@dataclass(eq=False)
class _Sensor:
    """One source, and what was said about it last."""

    name: str
    labels: tuple[str, ...]
    state: SpokenState = field(default_factory=SpokenState)
    event: str = "{}"

    @cached_property
    def identity(self) -> str:
        """Its name in topics, the same whenever this machine has this source."""
        return _identity(f"{socket.gethostname()} {self.name}")


class MqttLink:
    """A connection to a broker; its thread connects and reconnects."""

    def __init__(self, broker: Broker, notify: Callable[[str], None]) -> None:
        """Connect.

        Raises:
            WorkError: the broker does not answer, or refuses.
        """
        self._broker, self._notify = broker, notify
        self._node = _identity(f"{socket.gethostname()} {os.getpid()}")
        self._sensors: dict[str, _Sensor] = {}
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._refusal = ""
        self._was_lost = False
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"metaser-{self._node}")
        if user := os.environ.get(USER):
            client.username_pw_set(user, os.environ.get(PASSWORD))
        if broker.tls:
            client.tls_set()
        client.will_set(self._status, OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(FASTEST_S, SLOWEST_S)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        try:
            client.connect(broker.host, broker.port, KEEP_ALIVE_S)
        except OSError as error:
            raise WorkError(
                f"the broker {broker.host}:{broker.port} does not answer ({error}): is it running?"
            ) from error
        client.loop_start()
        if not self._answered.wait(FIRST_S) or self._refusal:
            client.loop_stop()
            reason = self._refusal or "no answer"
            raise WorkError(
                f"the broker {broker.host}:{broker.port} refuses the connection ({reason}): set {USER} and {PASSWORD}"
            )

    @property
    def _status(self) -> str:
        return f"metaser/{self._node}/status"

    def announce(self, source: str, labels: Sequence[str]) -> None:
        """Make a source known, or its labels if they are others now."""
        with self._lock:
            known = self._sensors.get(source)
            if known is None or known.labels != tuple(labels):
                self._sensors[source] = sensor = _Sensor(source, tuple(labels))
                self._publish_sensor(sensor)

    def on_event(self, source: str, event: StreamEvent) -> None:
        """Publish the event of a source if its state is another now."""
        with self._lock:
            sensor = self._sensors[source]
            if sensor.state.change(event):
                sensor.event = json.dumps(attributes(event), ensure_ascii=False)
                self._publish_state(sensor)

    def end(self, source: str) -> None:
        """The stream of a source has ended: nobody speaks."""
        with self._lock:
            sensor = self._sensors[source]
            if sensor.state.value != SILENCE:
                sensor.state.value = SILENCE
                self._publish_state(sensor)

    def close(self) -> None:
        """Say that the program is gone, and disconnect."""
        last = self._client.publish(self._status, OFFLINE, qos=1, retain=True)
        with suppress(RuntimeError, ValueError):  # not connected
            last.wait_for_publish(LAST_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, *answer: object) -> None:
        """Say everything again: the broker may have lost it."""
        reason = answer[3]
        if getattr(reason, "is_failure", False):
            self._refusal = str(reason)
        else:
            with self._lock:
                self._client.publish(self._status, ONLINE, qos=1, retain=True)
                for sensor in self._sensors.values():
                    self._publish_sensor(sensor)
            if self._was_lost:
                self._notify(f"The broker {self._broker.host} is back.")
        self._was_lost = False
        self._answered.set()

    def _on_disconnect(self, *answer: object) -> None:
        if getattr(answer[3], "is_failure", False) and self._answered.is_set() and not self._refusal:
            self._was_lost = True
            self._notify(f"The broker {self._broker.host} is gone: trying again.")

    def _publish_sensor(self, sensor: _Sensor) -> None:
        topic = f"homeassistant/sensor/{sensor.identity}/config"
        self._client.publish(topic, self._config(sensor), 1, retain=True)
        self._publish_state(sensor)

    def _publish_state(self, sensor: _Sensor) -> None:
        self._client.publish(f"metaser/{sensor.identity}/event", sensor.event, 1, retain=True)
        self._client.publish(f"metaser/{sensor.identity}/label", sensor.state.value, 1, retain=True)

    def _config(self, sensor: _Sensor) -> str:
        """The sensor for Home Assistant's MQTT discovery."""
        options = [*sensor.labels, *(word for word in (UNKNOWN, SILENCE) if word not in sensor.labels)]
        config = {
            "name": "Emotion",
            "unique_id": sensor.identity,
            "device_class": "enum",
            "options": options,
            "state_topic": f"metaser/{sensor.identity}/label",
            "json_attributes_topic": f"metaser/{sensor.identity}/event",
            "availability_topic": self._status,
            "icon": "mdi:emoticon-outline",
            "device": {
                "identifiers": [sensor.identity],
                "name": f"metaser {sensor.name}",
                "manufacturer": "metaser",
                "model": "speech emotion recognition",
                "sw_version": version("metaser"),
            },
            "origin": {"name": "metaser", "sw_version": version("metaser")},
        }
        return json.dumps(config, ensure_ascii=False)


def _identity(text: str) -> str:
    """Letters and digits for a topic, the same for the same text."""
    return f"metaser_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
