"""Clips, profiles and state over HTTP; every answer is as the OpenAPI document says."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import jsonschema
import numpy as np
import pytest
from starlette.routing import Route

from metaser.runtime import Engine, Profile, load_audio
from metaser.runtime.audio.quality import measure
from metaser.runtime.errors import InputError
from metaser.serve.app import ROUTES
from metaser.serve.http import page
from metaser.serve.openapi import SCHEMAS, document
from metaser.serve.profiles import check_name
from metaser.serve.settings import Limits
from tests.serve.conftest import DEMO, Answer, Audio, Server, StartServer, pcm, start

CLIPS = {label.name: sorted(label.iterdir()) for label in sorted((DEMO / "support").iterdir())}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server without profiles."""
    running = start(tmp_path / "profiles")
    yield running
    running.kill()


def holds(answer: Answer, schema: str) -> Any:
    """The JSON of an answer, checked against a schema of the document."""
    jsonschema.validate(answer.json, {**SCHEMAS[schema], "components": {"schemas": SCHEMAS}})
    return answer.json


def files(*labels: str, clips: int = 5) -> list[tuple[str, str, bytes]]:
    return [(label, path.name, path.read_bytes()) for label in labels for path in CLIPS[label][:clips]]


def test_the_document_names_every_route_and_method() -> None:
    served: dict[str, set[str]] = {}
    for route in ROUTES:
        assert isinstance(route, Route)
        path = re.sub(r":\w+}", "}", route.path)
        served.setdefault(path, set()).update(method.lower() for method in route.methods or () if method != "HEAD")
    described = {path: set(operations) - {"parameters"} for path, operations in document()["paths"].items()}
    assert described == served


def test_the_document_is_valid_and_served(server: Server) -> None:
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    served = server.ask("GET", "/v1/openapi.json").json
    assert served == json.loads(json.dumps(document()))
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(served)))
    assert named == set(SCHEMAS)


def test_a_profile_from_enrolment_to_forgetting(own_server: Server, profile: Profile) -> None:
    server = own_server
    assert holds(server.ask("GET", "/v1/profiles"), "Profiles") == {"profiles": []}
    enrolled = server.upload("PUT", "/v1/profiles/me", files("anger", "joy", "neutral", "sadness"))
    assert enrolled.status == 201
    assert holds(enrolled, "Profile")["classes"] == {"anger": 5, "joy": 5, "neutral": 5, "sadness": 5}
    written = Profile.load(server.folder / "me.safetensors")
    np.testing.assert_array_equal(written.prototypes, profile.prototypes)
    assert {clip.path for clip in written.clips} == {""}
    again = server.upload("PUT", "/v1/profiles/me", files("anger", "joy"))
    assert (again.status, holds(again, "Error")["error"]["code"]) == (409, "exists")
    replaced = server.upload("PUT", "/v1/profiles/me?replace=true", files("anger", "joy"))
    assert holds(replaced, "Profile")["classes"] == {"anger": 5, "joy": 5}
    added = server.upload("POST", "/v1/profiles/me/clips", files("sadness", "joy", clips=3))
    assert holds(added, "Profile")["classes"] == {"anger": 5, "joy": 5, "sadness": 3}
    assert "3 clips are enrolled already" in " ".join(added.json["notices"])
    gone = CLIPS["joy"][0].name
    assert holds(server.ask("DELETE", f"/v1/profiles/me/clips/joy/{gone}"), "Profile")["classes"]["joy"] == 4
    assert holds(server.ask("DELETE", "/v1/profiles/me/clips/sadness"), "Profile")["classes"] == {"anger": 5, "joy": 4}
    strict = server.ask("PUT", "/v1/profiles/me/calibration", b'{"false_accepts": 0.1}')
    assert holds(strict, "Profile")["expected"]["wanted_false_accepts"] == 0.1
    assert holds(server.ask("GET", "/v1/profiles/me"), "Profile")["report"]["verdict"]["level"]
    assert server.ask("DELETE", "/v1/profiles/me").status == 204
    assert holds(server.ask("GET", "/v1/profiles/me"), "Error")["error"]["code"] == "not_found"
    assert list(server.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["Zoë 2", "李雷", "a.b-c_d", "x" * 64, "Cafe\u0301"])
def test_names_of_profiles_may_be_in_any_script(name: str) -> None:
    assert check_name(f" {name} ") == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name", ["", " ", "..", ".hidden", "-x", "a/b", "a\\b", "a\0b", "a\nb", "x" * 65, "李" * 64, "a\u202eb", "a:b", "~"]
)
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(InputError, match="a profile cannot have this name"):
        check_name(name)


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fme", "..%5cme", "a%2fb", "%00", "me%00"])
def test_nothing_outside_the_folder_is_reached(server: Server, name: str) -> None:
    before = sorted(server.folder.parent.rglob("*"))
    for method in ("GET", "DELETE"):
        assert server.ask(method, f"/v1/profiles/{name}").status in {404, 405, 422}
    assert server.upload("PUT", f"/v1/profiles/{name}", files("anger", "joy", clips=1)).status in {404, 405, 422}
    assert sorted(server.folder.parent.rglob("*")) == before


def test_names_of_uploaded_files_are_data_too(own_server: Server) -> None:
    clips = [(label, name, content) for (label, _, content), name in zip(
        files("anger", "joy", clips=2), ("../../../up.flac", "C:\\away.flac", "", "x" * 300), strict=True
    )]  # fmt: skip
    answer = own_server.upload("PUT", "/v1/profiles/me", clips)
    names = {clip["name"] for clip in holds(answer, "Profile")["report"]["clips"]}
    assert {"up.flac", "away.flac", "clip"} < names
    assert [path.name for path in own_server.folder.iterdir()] == ["me.safetensors"]


@pytest.mark.parametrize("way", ["form", "body", "samples"])
def test_a_clip_gets_the_librarys_label_however_it_is_sent(
    server: Server, engine: Engine, profile: Profile, way: str
) -> None:
    path = CLIPS["joy"][0]
    content = path.read_bytes()
    if way == "form":
        answer = server.upload("POST", "/v1/classify?profile=me", [("file", path.name, content)])
    elif way == "body":
        answer = server.ask("POST", "/v1/classify", content, {"Content-Type": "audio/flac"})
    else:
        raw = {"Content-Type": "application/octet-stream"}
        answer = server.ask("POST", "/v1/classify?rate=16000", pcm(load_audio(path)), raw)
    found = holds(answer, "Decision")
    wanted = engine.classify(load_audio(path), profile).as_dict()
    assert found["label"] == wanted["label"] == "joy"
    assert found["confidence"] == pytest.approx(wanted["confidence"], abs=0.01)


@pytest.mark.parametrize(
    ("path", "body", "kind", "words"),
    [
        ("/v1/classify", b"", "audio/wav", "the body is empty"),
        ("/v1/classify", b"no audio at all" * 100, "audio/wav", "clip"),
        ("/v1/classify?rate=0", bytes(32_000), "application/octet-stream", "0 Hz"),
        ("/v1/classify?rate=fast", bytes(32_000), "application/octet-stream", "rate is 'fast'"),
        ("/v1/classify?format=opus", bytes(32_000), "application/octet-stream", "unknown sample format"),
        ("/v1/classify", bytes(32_000), "application/octet-stream", "silent"),
        ("/v1/classify?profile=nobody", b"x", "audio/wav", "there is no profile nobody"),
        ("/v1/classify?unknown=perhaps", b"x", "audio/wav", "choose off, calibrated or strict"),
    ],
)
def test_a_clip_that_cannot_be_used_is_one_line(server: Server, path: str, body: bytes, kind: str, words: str) -> None:
    answer = server.ask("POST", path, body, {"Content-Type": kind})
    error = holds(answer, "Error")["error"]
    assert words in error["message"]
    assert gettempdir() not in error["message"]
    assert "\n" not in error["message"]
    assert answer.status in {404, 422}


@pytest.mark.parametrize(
    ("request_line", "body", "status", "words"),
    [
        ("PUT /v1/profiles/new", b"{}", 415, "multipart/form-data"),
        ("PUT /v1/profiles/me/calibration", b"{}", 422, "a rate between 0 and 1"),
        ("PUT /v1/profiles/me/calibration", b'{"false_accepts": 7}', 422, "between 0 and 1"),
        ("PUT /v1/profiles/me/calibration", b'{"false_accepts": "x"}', 422, "between 0 and 1"),
        ("DELETE /v1/profiles/me/clips/rage", None, 422, "no class or clip rage"),
        ("DELETE /v1/profiles/nobody", None, 404, "there is no profile nobody"),
        ("GET /v2", None, 404, "nothing at this path"),
        ("PATCH /v1/profiles/me", None, 405, "does not take this method"),
    ],
)
def test_a_request_that_cannot_be_served_is_one_line(
    server: Server, request_line: str, body: bytes | None, status: int, words: str
) -> None:
    method, path = request_line.split()
    answer = server.ask(method, path, body)
    assert answer.status == status
    assert words in holds(answer, "Error")["error"]["message"]


def test_clips_that_cannot_be_enrolled_are_all_named_and_nothing_is_written(own_server: Server) -> None:
    bad = [*files("joy", clips=2), ("anger", "broken.wav", b"RIFF nothing"), ("anger", "silent.wav", b"also nothing")]
    answer = own_server.upload("PUT", "/v1/profiles/me", bad)
    message = holds(answer, "Error")["error"]["message"]
    assert answer.status == 422
    assert "anger" in message
    assert gettempdir() not in message
    one = own_server.upload("PUT", "/v1/profiles/me", files("joy", clips=2))
    assert "at least two are needed" in holds(one, "Error")["error"]["message"]
    assert list(own_server.folder.iterdir()) == []


def test_a_body_beyond_the_limit_is_refused_whether_stated_or_not(start_server: StartServer) -> None:
    server = start_server(limits=Limits(upload_bytes=100_000))
    kind = {"Content-Type": "audio/wav"}
    assert server.ask("POST", "/v1/classify", bytes(200_000), kind).status == 413
    chunked = {**kind, "Transfer-Encoding": "chunked"}
    body = b"".join(b"%x\r\n" % 50_000 + bytes(50_000) + b"\r\n" for _ in range(4)) + b"0\r\n\r\n"
    assert server.ask("POST", "/v1/classify", body, chunked).status == 413


def test_a_change_of_another_process_is_seen_at_the_next_request(
    start_server: StartServer, profile: Profile, engine: Engine
) -> None:
    server = start_server()
    assert len(server.ask("GET", "/v1/profiles/me").json["classes"]) == 4
    engine.remove(profile, "joy").save(server.folder / "me.safetensors")
    assert sorted(server.ask("GET", "/v1/profiles/me").json["classes"]) == ["anger", "neutral", "sadness"]
    (server.folder / "me.safetensors").write_bytes(b"damaged")
    (row,) = holds(server.ask("GET", "/v1/profiles"), "Profiles")["profiles"]
    assert "is not a metaser profile" in row["problem"]


def test_state_and_bundle(server: Server) -> None:
    assert server.ask("GET", "/healthz").content == b"ok\n"
    assert server.ask("GET", "/readyz").content == b"ready\n"
    assert holds(server.ask("GET", "/v1/bundle"), "Bundle")["name"] == "default"
    metrics = server.ask("GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert server.metric("metaser_stream_capacity") >= 1
    assert server.ask("GET", "/v1/stream").status == 426


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda clip: clip, None),
        (lambda clip: clip[: 16_000 // 2], "only 0.4 s of speech"),
        (lambda clip: clip * 0.02, "very quiet"),
    ],
)
def test_the_quality_of_a_clip_is_that_of_enrolment(
    server: Server, change: Callable[[Audio], Audio], fault: str | None
) -> None:
    clip = change(load_audio(CLIPS["anger"][0]))
    answer = server.ask("POST", "/v1/quality?rate=16000", pcm(clip), {"Content-Type": "application/octet-stream"})
    found = holds(answer, "Quality")
    measured = measure(np.frombuffer(pcm(clip), "<i2").astype(np.float32) / np.float32(32_768))
    assert found["faults"] == measured.faults()
    assert (fault is None) is (found["faults"] == [])
    assert fault is None or fault in found["faults"][0]
    assert found["speech_s"] == pytest.approx(measured.speech_s, abs=0.04)


def test_a_clip_that_enrolment_refuses_has_no_quality(server: Server) -> None:
    silent = server.ask("POST", "/v1/quality", bytes(32_000), {"Content-Type": "application/octet-stream"})
    assert silent.status == 422
    assert "silent" in holds(silent, "Error")["error"]["message"]


def test_the_choices_of_a_calibration_are_what_each_would_set(own_server: Server) -> None:
    own_server.upload("PUT", "/v1/profiles/me", files("anger", "joy", "sadness"))
    found = holds(own_server.ask("GET", "/v1/profiles/me/calibration"), "Choices")
    assert found["current"] is None
    limits = [choice["limit"] for choice in found["choices"]]
    assert limits == [None, 0.5, 0.3, 0.2, 0.1, 0.05]
    rejects = [choice["false_rejects"] for choice in found["choices"]]
    assert rejects == sorted(rejects)
    body = json.dumps({"false_accepts": 0.2}).encode()
    set_to = holds(own_server.ask("PUT", "/v1/profiles/me/calibration", body), "Profile")["expected"]
    expected = found["choices"][3]
    assert (set_to["false_accepts"], set_to["false_rejects"]) == (expected["false_accepts"], expected["false_rejects"])
    assert own_server.ask("GET", "/v1/profiles/me/calibration").json["current"] == 0.2


def test_the_page_is_sent_whole_and_guarded(server: Server) -> None:
    index = server.ask("GET", "/")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in index.headers["content-security-policy"]
    named = set(re.findall(r'"/page/([\w.]+)"', index.content.decode()))
    for name in page.FILES:
        answer = server.ask("GET", f"/page/{name}")
        assert (answer.status, answer.headers["x-content-type-options"]) == (200, "nosniff")
        named |= set(re.findall(r'"/page/([\w.]+)"', answer.content.decode()))
    assert named | {page.INDEX} == set(page.FILES)  # nothing is missing, nothing is left over
    for path in ("/page/", "/page/..%2fapp.py", "/page/../app.py", "/page/none.js", "/page/__init__.py"):
        assert server.ask("GET", path).status == 404
