from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from allometry.base import DataError, StorageError
from allometry.data import open_data
from allometry.data.sources import downloads

from .test_shards import samples, write_tar


class Server:
    """Files over loopback; it keeps a record of what it was asked, and can be told to hang up early."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, str | None]] = []
        self.cut: list[int] = []  # after how many bytes the next answers end
        self.status: list[int] = []  # what the next answers are instead of a file
        self.ranges = True
        self.told = True  # the size of what is sent
        self.says = b""  # instead of the file
        self.other_tag = ""  # of what it goes on with
        self.tag = '"one"'
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        path = self.root / urlsplit(request.path).path.lstrip("/")
        if self.status or not path.is_file():
            request.send_error(self.status.pop() if self.status else 404)
            return
        data = self.says or path.read_bytes()
        start = 0
        if self.ranges and wanted and request.headers.get("If-Range") == self.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                request.send_error(416)
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            request.send_response(200)
        if self.told:
            request.send_header("Content-Length", str(len(data) - start))
        request.send_header("ETag", (self.other_tag if start else "") or self.tag)
        request.send_header("Last-Modified", "Fri, 02 Jan 2015 03:04:05 GMT")
        request.end_headers()
        request.wfile.write(data[start : self.cut.pop() if self.cut else None])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for number in range(3):
        write_tar(tmp_path / f"site/pets/s-{number}.tar", samples(10 * number))
    server = Server(tmp_path / "site")
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def test_shards_are_fetched_once_and_then_are_local(
    server: Server, tmp_path: Path, opened: list[str]
) -> None:
    address = f"{server.address}/pets/s-{{0..2}}.tar"
    fetched = open_data(address, cache_folder=tmp_path / "kept")
    assert sorted(server.asked) == [(f"/pets/s-{number}.tar", None) for number in range(3)]
    assert fetched.fingerprint == open_data(tmp_path / "site/pets").fingerprint
    opened.clear()
    server.http.shutdown()
    again = open_data(address, cache_folder=tmp_path / "kept")
    assert again.fingerprint == fetched.fingerprint
    assert opened == []
    assert fetched.name == "s"
    kept = [path.name for path in (tmp_path / "kept/shards").rglob("*") if path.is_file()]
    assert sorted(name for name in kept if not name.startswith(".")) == ["s-0.tar", "s-1.tar", "s-2.tar"]


def test_keys_in_the_address_are_no_part_of_it(server: Server, tmp_path: Path) -> None:
    for key in ("one", "two"):
        open_data(f"{server.address}/pets/s-{{0..1}}.tar?key={key}", cache_folder=tmp_path / "kept")
    assert sorted(server.asked) == [("/pets/s-0.tar?key=one", None), ("/pets/s-1.tar?key=one", None)]


def test_a_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut = [3000, 1000]
    dataset = open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "kept")
    assert server.asked == [("/pets/s-0.tar", wanted) for wanted in (None, "bytes=1000-", "bytes=3000-")]
    assert dataset.fingerprint == open_data(tmp_path / "site/pets/s-0.tar").fingerprint


def test_a_later_call_goes_on_too_unless_the_file_is_another(server: Server, tmp_path: Path) -> None:
    address, kept = f"{server.address}/pets/s-0.tar", tmp_path / "kept"
    server.cut = [4000, 3000, 2000, 1000]
    with pytest.raises(DataError, match=rf"Cannot fetch {address}: 4,000 of 30,720 bytes came\."):
        open_data(address, cache_folder=kept)
    server.cut = [5000]
    server.status = []
    server.asked.clear()
    server.tag = '"two"'
    write_tar(tmp_path / "site/pets/s-0.tar", samples(100))
    dataset = open_data(address, cache_folder=kept)
    assert server.asked == [("/pets/s-0.tar", "bytes=4000-"), ("/pets/s-0.tar", "bytes=5000-")]
    assert dataset.fingerprint == open_data(tmp_path / "site/pets/s-0.tar").fingerprint


def test_a_server_that_always_begins_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut = [1000]
    dataset = open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "kept")
    assert dataset.fingerprint == open_data(tmp_path / "site/pets/s-0.tar").fingerprint


def test_all_was_there_but_the_last_step(server: Server, tmp_path: Path) -> None:
    address, kept = f"{server.address}/pets/s-0.tar", tmp_path / "kept"
    expected = open_data(address, cache_folder=kept).fingerprint
    (file,) = (kept / "shards").rglob("s-0.tar")
    file.rename(file.with_name("s-0.tar.part"))
    file.with_name("s-0.tar.part.json").write_text('"\\"one\\""')
    assert open_data(address, cache_folder=kept).fingerprint == expected


def test_troubles_that_pass_are_got_over(server: Server, tmp_path: Path) -> None:
    server.status = [503, 500]
    assert (
        len(open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "kept").splits["train"]) == 6
    )


def test_troubles_that_stay_are_told(server: Server, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with pytest.raises(DataError, match=r"Cannot fetch .*/pets/s-3.tar: the server answers 404 Not Found"):
        open_data(f"{server.address}/pets/s-{{2..3}}.tar", cache_folder=kept)
    server.status = [503] * 4
    with pytest.raises(DataError, match=r"the server answers 503"):
        open_data(f"{server.address}/pets/s-0.tar", cache_folder=kept)
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(DataError, match=r"Cannot fetch .*refused"):
        open_data(f"{server.address}/pets/s-0.tar", cache_folder=kept)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Cannot write .*file"):
        open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "file")


def test_two_at_once_fetch_a_shard_once(server: Server, tmp_path: Path) -> None:
    address, found = f"{server.address}/pets/s-{{0..2}}.tar", []

    def work() -> None:
        found.append(open_data(address, cache_folder=tmp_path / "kept").fingerprint)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert len(server.asked) == 3


def test_a_connection_that_is_cut_without_a_size_leaves_no_half_shard(server: Server, tmp_path: Path) -> None:
    server.told, server.cut = False, [5000, 3000]
    dataset = open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "kept")
    assert dataset.fingerprint == open_data(tmp_path / "site/pets/s-0.tar").fingerprint
    server.cut = [5000] * 4
    with pytest.raises(DataError, match=r"Cannot fetch .*: the archive ends too soon, after 5,000 bytes"):
        open_data(f"{server.address}/pets/s-1.tar", cache_folder=tmp_path / "kept")
    assert not [path for path in (tmp_path / "kept/shards").rglob("s-1.tar*") if path.is_file()]


def test_a_page_instead_of_a_shard_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.says = b"<html>Please sign in.</html>" * 40
    for _ in range(2):
        with pytest.raises(DataError, match=r"Cannot fetch .*: what it sends is no tar archive"):
            open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "kept")
    assert not [path for path in (tmp_path / "kept/shards").rglob("s-0.tar*") if path.is_file()]
    server.says = b""
    open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "kept")


def test_a_server_that_goes_on_with_another_file_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.cut, server.other_tag = [3000], '"two"'
    dataset = open_data(f"{server.address}/pets/s-0.tar", cache_folder=tmp_path / "kept")
    assert [wanted for _, wanted in server.asked] == [None, "bytes=3000-", None]
    assert dataset.fingerprint == open_data(tmp_path / "site/pets/s-0.tar").fingerprint


def test_only_addresses_of_the_web_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/s-0.tar")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.raises(DataError, match="sends on to no address of the web"):
        open_data(f"http://127.0.0.1:{http.server_port}/s-0.tar", cache_folder=tmp_path / "kept")
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes, bytes], str]]:
    """Makes a server that says something and then something else without end; gives its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    listening, over, threads = [], threading.Event(), []

    def talk(server: socket.socket, first: bytes, again: bytes) -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            try:
                connection.recv(4096)
                connection.sendall(first)
                while not over.wait(0.001):
                    connection.sendall(again)
            except OSError:
                pass
            finally:
                connection.close()

    def serve(first: bytes, again: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=talk, args=(server, first, again), daemon=True)
        thread.start()
        listening.append(server)
        threads.append(thread)
        return f"http://127.0.0.1:{server.getsockname()[1]}/s-0.tar"

    yield serve
    over.set()
    for server in listening:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
    for thread in threads:
        thread.join(5)


def test_a_server_that_never_answers_is_left(
    endless: Callable[[bytes, bytes], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_TIMEOUT", 0.2)
    address = endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    with pytest.raises(DataError, match=r"Cannot fetch .*: the server gives no answer within 0\.2 seconds"):
        open_data(address, cache_folder=tmp_path / "kept")


def test_a_body_without_end_is_left(
    endless: Callable[[bytes, bytes], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_MOST", 2**30 // 2**14)
    address = endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2**14))
    with pytest.raises(DataError, match=r"sends more than .* make smaller shards"):
        open_data(address, cache_folder=tmp_path / "kept")
    assert list((tmp_path / "kept").rglob("s-0.tar*")) == []


def test_a_body_that_hardly_comes_is_left(
    endless: Callable[[bytes, bytes], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_PATIENCE", 0.05)
    monkeypatch.setattr(downloads, "_SLOW", 10**9)
    address = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"x")
    with pytest.raises(DataError, match=r"Cannot fetch .*: in 0 seconds only \d+ bytes came"):
        open_data(address, cache_folder=tmp_path / "kept")
