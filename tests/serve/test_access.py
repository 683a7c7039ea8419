"""Who may use the server: Host, Origin and token, by HTTP and by WebSocket, before anything is done."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from metaser.runtime.errors import InputError
from metaser.serve.access import Access
from metaser.serve.answers import RefusedError
from metaser.serve.settings import ServeSettings
from tests.serve.conftest import Server, StartServer, listen, talk

TOKEN = "a-token-of-sixteen-letters"  # noqa: S105 # of a test
SETTINGS = ServeSettings(Path("profiles"), hosts=("board.lan",), origins=("https://app.example",))


def refusal(headers: dict[str, str], settings: ServeSettings = SETTINGS) -> str | None:
    try:
        Access(settings).check_source(Headers(headers))
    except RefusedError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765", "192.168.0.7:8765", "board.lan:8765"]
)
def test_addresses_and_own_names_are_ours(host: str) -> None:
    assert refusal({"host": host}) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "", "a@localhost",
             "localhost:99999", "localhost/x", "[::1", "board.lan.", "xboard.lan"]
)  # fmt: skip
def test_other_names_are_refused(host: str) -> None:
    assert refusal({"host": host}) == "host"


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert refusal({}) == "host"
    with pytest.raises(RefusedError):
        Access(SETTINGS).check_source(Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")]))


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8765", "https://app.example", "HTTPS://APP.EXAMPLE"])
def test_the_own_origin_and_allowed_ones_may_come(origin: str) -> None:
    assert refusal({"host": "127.0.0.1:8765", "origin": origin}) is None


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://127.0.0.1:8765", "http://127.0.0.1:8766", "http://127.0.0.1",
               "http://localhost:8765", "http://127.0.0.1:8765.evil.example", "http://evil.example/127.0.0.1:8765",
               "https://app.example.evil", "http://app.example", "http://127.0.0.1:8765/", "", "http://user@127.0.0.1:8765"]
)  # fmt: skip
def test_other_origins_are_refused(origin: str) -> None:
    assert refusal({"host": "127.0.0.1:8765", "origin": origin}) == "origin"


LATIN_1 = st.text(st.characters(max_codepoint=255), max_size=40)


@given(LATIN_1, LATIN_1)
def test_no_text_in_these_headers_is_more_than_refused(host: str, origin: str) -> None:
    assert refusal({"host": host, "origin": origin}) in {None, "host", "origin"}


@given(st.text(max_size=40))
def test_only_the_token_is_the_token(given_token: str) -> None:
    access = Access(ServeSettings(Path("profiles"), token=TOKEN))
    assert access.accepts(given_token) == (given_token == TOKEN)
    assert access.accepts(TOKEN)
    assert not access.accepts(None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "0.0.0.0"}, "give clients a token"),  # noqa: S104 # it is refused
        ({"host": "192.168.0.7"}, "give clients a token"),
        ({"host": "board.lan", "token": TOKEN}, "sends speech and the token in the clear"),
        ({"certificate": Path("a.pem")}, "belong together"),
        ({"port": 70_000}, "--port 70000"),
        ({"workers": 0}, "--workers 0"),
    ],
)
def test_a_server_that_others_could_misuse_is_not_started(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ServeSettings(Path("profiles"), **changes)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert ServeSettings(Path("profiles"), host=host).is_local


def test_another_sites_page_reaches_nothing(server: Server) -> None:
    page = {"Origin": "https://evil.example"}
    for method, path in (("GET", "/v1/profiles"), ("DELETE", "/v1/profiles/me"), ("POST", "/v1/classify")):
        answer = server.ask(method, path, headers=page)
        assert (answer.status, answer.json["error"]["code"]) == (403, "origin")
    rebound = server.ask("GET", "/v1/profiles", headers={"Host": "evil.example"})
    assert (rebound.status, rebound.json["error"]["code"]) == (421, "host")
    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(_open(server, page))
    assert refused.value.response.status_code == 403
    assert server.ask("GET", "/v1/profiles/me").status == 200


async def _open(server: Server, headers: dict[str, str]) -> None:
    async with connect(server.url, additional_headers=headers):
        pass


def test_no_answer_can_be_read_or_guessed_at_by_other_pages(server: Server) -> None:
    headers = server.ask("GET", "/v1/profiles").headers
    assert "access-control-allow-origin" not in headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_token_opens_everything_and_is_in_no_log(start_server: StartServer) -> None:
    server = start_server(token=TOKEN)
    assert server.ask("GET", "/healthz").status == 200
    refused = server.ask("GET", "/v1/profiles")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer", TOKEN):
        assert server.ask("GET", "/metrics", headers={"Authorization": wrong}).status == 401
    assert server.ask("GET", f"/v1/profiles?token={TOKEN}").status == 401
    assert server.ask("GET", "/v1/profiles", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert talk(server).error["code"] == "token"
    assert talk(server, token="x").error["code"] == "token"
    assert talk(server, token=TOKEN).kinds() == ["ready"]

    async def by_header() -> list[str]:
        async with connect(server.url, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as socket:
            await socket.send(json.dumps({"type": "start"}))
            await socket.send('{"type": "end"}')
            return (await listen(socket)).kinds()

    assert asyncio.run(by_header()) == ["ready"]
