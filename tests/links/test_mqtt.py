"""Labels at a real broker, mosquitto: discovery, retained state, last will, reconnecting, refusal."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from metaser.links.mqtt import Broker, MqttLink
from metaser.runtime import InputError, StreamEvent
from metaser.runtime.bundles.bundle import shipped_folder
from tests.serve.conftest import free_port

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="the tests of MQTT need mosquitto")


class RunningBroker:
    """mosquitto on a port of its own."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port, self._config = free_port(), folder / "mosquitto.conf"
        kept = [f"listener {self.port} 127.0.0.1", *(lines or ("allow_anonymous true",))]
        self._config.write_text("\n".join(kept) + "\n")
        self.start()

    def start(self) -> None:
        assert MOSQUITTO
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while not self._listens():
            assert time.monotonic() < until, "mosquitto does not start"
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    def retained(self) -> dict[str, str]:
        """Every retained message by topic."""
        found: dict[str, str] = {}
        reader = paho.Client(CallbackAPIVersion.VERSION2)
        reader.on_message = lambda _client, _data, message: found.__setitem__(message.topic, message.payload.decode())
        reader.on_connect = lambda client, *_: client.subscribe("#")
        reader.connect("127.0.0.1", self.port)
        until = time.monotonic() + 0.7
        while time.monotonic() < until:
            reader.loop(0.05)
        reader.disconnect()
        return found

    def sensor(self) -> dict[str, Any]:
        """Config, label, event and status of the only sensor."""
        found = self.retained()
        (config,) = (json.loads(text) for topic, text in found.items() if topic.endswith("/config"))
        return {
            "config": config,
            "label": found.get(config["state_topic"]),
            "event": json.loads(found[config["json_attributes_topic"]]),
            "status": found.get(config["availability_topic"]),
        }


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    running = RunningBroker(tmp_path)
    yield running
    running.stop()


def event(kind: Any, label: str | None) -> StreamEvent:
    return StreamEvent(kind, label, 1.0, None, 0.9, {"joy": 0.9}, 10.0)


def until(broker: RunningBroker, label: str) -> dict[str, Any]:
    end = time.monotonic() + 20
    while True:
        found = broker.sensor() if any(topic.endswith("/config") for topic in broker.retained()) else {"label": None}
        if found["label"] == label or time.monotonic() > end:
            assert found["label"] == label
            return found


@needs_broker
def test_home_assistant_finds_a_sensor_whose_options_are_the_labels(broker: RunningBroker) -> None:
    link = MqttLink(Broker("127.0.0.1", broker.port, tls=False), pytest.fail)
    link.announce("kitchen", ("joy", "sadness"))
    link.on_event("kitchen", event("enter", "joy"))
    found = until(broker, "joy")
    config = found["config"]
    assert config["options"] == ["joy", "sadness", "unknown", "silence"]
    assert config["device_class"] == "enum"
    assert config["device"]["name"] == "metaser kitchen"
    assert config["device"]["identifiers"] == [config["unique_id"]]
    assert (found["status"], found["event"]["confidence"]) == ("online", 0.9)
    assert found["event"]["time"].endswith("+00:00")
    link.on_event("kitchen", event("update", "joy"))
    link.on_event("kitchen", event("silence", None))
    assert until(broker, "silence")["status"] == "online"
    link.close()
    assert broker.sensor()["status"] == "offline"


@needs_broker
def test_a_program_that_is_killed_is_offline_by_its_last_will(broker: RunningBroker) -> None:
    program = f"""
import time
from metaser.links.mqtt import Broker, MqttLink
link = MqttLink(Broker("127.0.0.1", {broker.port}, tls=False), print)
link.announce("kitchen", ("joy",))
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    assert until(broker, "silence")["status"] == "online"
    process.kill()
    process.wait(10)
    end = time.monotonic() + 10
    while broker.sensor()["status"] != "offline" and time.monotonic() < end:
        time.sleep(0.1)
    assert broker.sensor()["status"] == "offline"


@needs_broker
def test_a_broker_that_comes_back_gets_the_last_state(broker: RunningBroker) -> None:
    said: list[str] = []
    link = MqttLink(Broker("127.0.0.1", broker.port, tls=False), said.append)
    link.announce("kitchen", ("joy", "sadness"))
    broker.stop()
    time.sleep(0.3)
    link.on_event("kitchen", event("enter", "sadness"))
    broker.start()  # it kept nothing
    assert until(broker, "sadness")["config"]["options"][:2] == ["joy", "sadness"]
    assert [line.split("127.0.0.1 ")[1] for line in said] == ["is gone: trying again.", "is back."]
    link.close()


@needs_broker
def test_the_command_publishes_what_a_recording_says(broker: RunningBroker, tmp_path: Path) -> None:
    demo = shipped_folder() / "demo"
    env = {**os.environ, "METASER_PROFILE": str(tmp_path / "me.safetensors"), "XDG_STATE_HOME": str(tmp_path)}
    metaser = [sys.executable, "-m", "metaser.cli"]
    subprocess.run([*metaser, "enroll", demo / "support"], check=True, env=env, capture_output=True)
    words = [*metaser, "stream", str(demo / "conversation.flac"), "--json", "--mqtt", f"127.0.0.1:{broker.port}"]
    done = subprocess.run(words, check=True, env=env, capture_output=True, text=True)
    found = broker.sensor()
    assert found["config"]["device"]["name"] == "metaser conversation.flac"
    assert (found["label"], found["status"]) == ("silence", "offline")
    assert json.loads(done.stdout.splitlines()[-1])["event"] == found["event"]["event"] == "silence"


@needs_broker
def test_a_wrong_password_is_one_line(tmp_path: Path) -> None:
    running = RunningBroker(tmp_path, "allow_anonymous false")
    program = f"from metaser.links.all_links import Links; Links.open('127.0.0.1:{running.port}', None, print)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=False, env={**os.environ, "METASER_MQTT_USER": "x"},
        )  # fmt: skip
    finally:
        running.stop()
    assert "refuses the connection (Not authorized): set METASER_MQTT_USER" in done.stderr


def test_no_broker_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "metaser.cli", "stream", "-", "--mqtt", f"127.0.0.1:{free_port()}"],
        capture_output=True, text=True, check=False, input="",
    )  # fmt: skip
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("board", Broker("board", 1883, tls=False)),
        ("board:1234", Broker("board", 1234, tls=False)),
        ("mqtts://board", Broker("board", 8883, tls=True)),
        ("mqtt://[::1]:99", Broker("::1", 99, tls=False)),
    ],
)
def test_addresses_of_brokers(text: str, broker: Broker) -> None:
    assert Broker.read(text) == broker


@pytest.mark.parametrize("text", ["", "http://board", "board:port", "mqtt://", "mqtt://me:secret@board", "a/b"])
def test_other_addresses_are_refused_without_repeating_a_password(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Broker.read(text)
    assert "secret" not in str(refused.value)
