"""One suite for every provider of keys, and what each has of its own."""

from __future__ import annotations

import base64
import errno
import json
import logging
import os
import secrets
import stat
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from darkstream.errors import KeyUnavailable
from darkstream.keys import KeyProvider, key_id_of, open_provider
from darkstream.keys.directory import DirectoryKeys
from darkstream.keys.server import ServerKeys
from darkstream.model.base import ContentId
from darkstream.model.key import SecretKey
from darkstream.settings import KeySettings

FILM, OTHER = ContentId("a" * 64), ContentId("b" * 64)


@dataclass
class KeyServer:
    """A ClearKey server on loopback; `spoil` changes what it answers."""

    keys: dict[str, bytes] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    spoil: Callable[[dict[str, Any]], object] = lambda answer: answer
    status: int = 200
    wait: threading.Event | None = None
    drips: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, body: dict[str, Any]) -> bytes:
        self.requests.append(body)
        found = []
        for kid in body["kids"]:
            secret = self.keys.setdefault(kid, secrets.token_bytes(16))
            text = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
            found.append({"kty": "oct", "kid": kid, "k": text})
        told = self.spoil({"keys": found, "type": "temporary"})
        return told if isinstance(told, bytes) else json.dumps(told).encode()


@pytest.fixture
def server() -> Iterator[KeyServer]:
    keeper = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if keeper.wait is not None:
                keeper.wait.wait(10)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            keeper.tokens.append(self.headers["Authorization"])
            answer = keeper.answer(body)
            self.send_response(keeper.status)
            self.end_headers()
            step = 1 if keeper.drips else len(answer)
            with suppress(OSError):  # whoever waited has gone
                for place in range(0, len(answer), step):
                    self.wfile.write(answer[place : place + step])
                    keeper.stopped.wait(0.1 if keeper.drips else 0)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    keeper.url = f"http://127.0.0.1:{running.server_address[1]}/license"
    yield keeper
    keeper.stopped.set()
    if keeper.wait is not None:
        keeper.wait.set()
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(params=["directory", "server"])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, server: KeyServer
) -> Callable[[], KeyProvider]:
    """Opens the provider of a kind, each time as another machine would."""
    (tmp_path / "keys").mkdir()
    settings = {
        "directory": KeySettings(directory=tmp_path / "keys"),
        "server": KeySettings(server=server.url),
    }
    return lambda: open_provider(settings[request.param])


def test_a_content_has_one_key_whoever_asks(opened: Callable[[], KeyProvider]) -> None:
    first = opened().key_of(FILM)
    assert isinstance(first, SecretKey)
    assert opened().key_of(FILM) == first
    assert first.id == key_id_of(FILM)


def test_no_two_contents_have_the_same_key(opened: Callable[[], KeyProvider]) -> None:
    provider = opened()
    film, other = provider.key_of(FILM), provider.key_of(OTHER)
    assert film.id != other.id
    assert film.secret != other.secret


def test_a_key_shows_nothing_of_itself(
    opened: Callable[[], KeyProvider], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        key = opened().key_of(FILM)
    shown = f"{key} {key!r} {caplog.text}"
    secret = key.secret
    for text in (repr(secret), secret.hex(), base64.b64encode(secret).decode().rstrip("=")):
        assert text not in shown


def test_many_at_once_get_the_same_key(opened: Callable[[], KeyProvider]) -> None:
    found: list[SecretKey] = []
    threads = [threading.Thread(target=lambda: found.append(opened().key_of(FILM))) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_files_of_keys_are_their_owners_alone_and_hold_the_key_as_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    directory.mkdir()
    key = DirectoryKeys(directory).key_of(FILM)
    (path,) = directory.iterdir()
    assert path.name == f"{key.id.hex()}.key"
    assert path.read_bytes() == key.secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_is_there_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another machine made it between the look and the making."""
    directory = tmp_path / "keys"
    directory.mkdir()
    first = DirectoryKeys(directory).key_of(FILM)
    monkeypatch.setattr(Path, "exists", lambda _self: False)
    assert DirectoryKeys(directory).key_of(FILM) == first
    assert len(list(directory.iterdir())) == 1


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(b"short"), "less than 16 bytes"),
        (lambda path: path.write_bytes(bytes(17)), "more than 16 bytes"),
        (lambda path: path.chmod(0o644), "can be read by everybody"),
    ],
)
def test_a_spoiled_key_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    provider = DirectoryKeys(tmp_path)
    key = provider.key_of(FILM)
    spoil(tmp_path / f"{key.id.hex()}.key")
    with pytest.raises(KeyUnavailable, match=told):
        provider.key_of(FILM)


def test_a_link_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(16))
    os.symlink(tmp_path / "elsewhere", tmp_path / f"{key_id_of(FILM).hex()}.key")
    with pytest.raises(KeyUnavailable, match="DARKSTREAM_KEYS__DIRECTORY"):
        DirectoryKeys(tmp_path).key_of(FILM)


def test_a_key_that_was_used_and_is_gone_is_not_made_again(tmp_path: Path) -> None:
    provider = DirectoryKeys(tmp_path)
    with pytest.raises(KeyUnavailable, match=r"is gone from .*: bring it back from a backup"):
        provider.key_of(FILM, known=True)
    assert list(tmp_path.iterdir()) == []
    key = provider.key_of(FILM)
    assert provider.key_of(FILM, known=True) == key


def test_a_disk_of_keys_that_is_not_mounted_gets_no_second_key(tmp_path: Path) -> None:
    directory = tmp_path / "disk" / "keys"
    directory.mkdir(parents=True)
    key = DirectoryKeys(directory).key_of(FILM)
    directory.parent.rename(tmp_path / "away")
    with pytest.raises(KeyUnavailable, match=r"DARKSTREAM_KEYS__DIRECTORY\) is not there: mount"):
        DirectoryKeys(directory).key_of(FILM)
    assert not directory.parent.exists()
    (tmp_path / "away").rename(directory.parent)
    assert DirectoryKeys(directory).key_of(FILM) == key


def test_a_file_system_that_cannot_keep_the_first_key_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(KeyUnavailable, match=r"DARKSTREAM_KEYS__DIRECTORY\) makes no hard links"):
        DirectoryKeys(tmp_path).key_of(FILM)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(KeyUnavailable, match=r"Permission denied.*DARKSTREAM_KEYS__DIRECTORY"):
        DirectoryKeys(tmp_path).key_of(FILM)


def test_the_request_is_a_clearkey_license_request_with_the_token(server: KeyServer) -> None:
    ServerKeys(server.url, SecretStr("hush"), 5).key_of(FILM)
    kid = base64.urlsafe_b64encode(key_id_of(FILM)).rstrip(b"=").decode()
    assert server.requests == [{"kids": [kid], "type": "temporary"}]
    assert server.tokens == ["Bearer hush"]


SPOILED = [
    (lambda answer: {"keys": []}, "gave no key of the id"),
    (lambda answer: [], "gave no key of the id"),
    (lambda answer: {"keys": 7}, "gave no key of the id"),
    (lambda answer: {"keys": [{**answer["keys"][0], "kty": "RSA"}]}, "gave no key of the id"),
    (lambda answer: {"keys": [{**answer["keys"][0], "kid": "!"}]}, "gave no key of the id"),
    (lambda answer: {"keys": [{**answer["keys"][0], "kid": 7}]}, "gave no key of the id"),
    (lambda answer: {"keys": ["x"]}, "gave no key of the id"),
    (lambda answer: {"keys": [{**answer["keys"][0], "k": "AAAA"}]}, "has not 16 bytes"),
    (lambda answer: {"keys": [{**answer["keys"][0], "k": None}]}, "has not 16 bytes"),
    (lambda answer: b"<html>", "no JSON"),
    (lambda answer: b"[" * 60_000, "no JSON"),
    (lambda answer: b" " * 70_000 + json.dumps(answer).encode(), "more than 65536 bytes"),
]


@pytest.mark.parametrize(("spoil", "told"), SPOILED)
def test_an_answer_that_is_no_license_is_told(
    server: KeyServer, spoil: Callable[[dict[str, Any]], object], told: str
) -> None:
    server.spoil = spoil
    with pytest.raises(KeyUnavailable, match=f"DARKSTREAM_KEYS__SERVER .*{told}") as raised:
        ServerKeys(server.url, None, 5).key_of(FILM)
    assert raised.value.__cause__ is None, "the cause could hold the answer"


def test_a_refusal_a_late_answer_and_no_answer_name_the_setting(server: KeyServer) -> None:
    server.status = 403
    with pytest.raises(KeyUnavailable, match="DARKSTREAM_KEYS__SERVER answered 403 Forbidden"):
        ServerKeys(server.url, None, 5).key_of(FILM)
    server.wait = threading.Event()
    with pytest.raises(KeyUnavailable, match=r"did not answer within 0\.1 s"):
        ServerKeys(server.url, None, 0.1).key_of(FILM)
    with pytest.raises(KeyUnavailable, match=r"cannot be reached \(ConnectError\)"):
        ServerKeys("http://127.0.0.1:1/", None, 5).key_of(FILM)
    with pytest.raises(KeyUnavailable, match="cannot be reached"):
        ServerKeys("no address", None, 5).key_of(FILM)


def test_an_answer_that_comes_by_drops_is_late_too(server: KeyServer) -> None:
    server.drips = True
    with pytest.raises(KeyUnavailable, match=r"did not answer within 0\.5 s"):
        ServerKeys(server.url, None, 0.5).key_of(FILM)


@pytest.mark.parametrize("token", ["hush\n", "hush-hüsh"])
def test_a_token_that_cannot_be_sent_is_not_told(server: KeyServer, token: str) -> None:
    with pytest.raises(KeyUnavailable, match="cannot be reached") as raised:
        ServerKeys(server.url, SecretStr(token), 5).key_of(FILM)
    assert "hush" not in "".join(traceback.format_exception(raised.value))


def test_the_settings_must_name_one_provider(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match=r"set\s+DARKSTREAM_KEYS__DIRECTORY"):
        open_provider(KeySettings())
    with pytest.raises(KeyUnavailable, match="are both set"):
        open_provider(KeySettings(directory=tmp_path, server="http://127.0.0.1:1/"))


def test_a_key_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        SecretKey(bytes(16), bytes(15))
