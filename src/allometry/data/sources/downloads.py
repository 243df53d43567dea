"""Shards from the web: fetched once, several at a time, from where an earlier try stopped, then they are local."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from allometry.base import DataError, Progress
from allometry.base.files import storage_errors, write_text
from allometry.base.reading import parse_json, read_text

SCHEMES = ("http://", "https://")
_AT_A_TIME = 4
_TRIES = 4
_TIMEOUT = 60  # seconds without a byte, and until an answer begins
_SLOW, _PATIENCE = 1000, 300  # bytes a second, on the average of so many seconds and more
_CHUNK = 2**20
_MOST = 2**36  # bytes of a shard
_BLOCK = 512  # bytes of a tar archive; it ends with two blocks of zeros
_PART_OF = re.compile(r"bytes (\d+)-\d+/(\d+)")


class _CutShortError(Exception):
    """The connection ended before the file did."""


class _OtherFileError(Exception):
    """What came is not the file that was begun, or no archive; it is not kept."""


class _NoAnswerError(Exception):
    """The server holds the connection open and does not answer."""


_FAILURES = (
    _CutShortError,
    _NoAnswerError,
    _OtherFileError,
    http.client.HTTPException,
    urllib.error.URLError,
    TimeoutError,
    ConnectionError,
)


def fetch_shards(urls: Sequence[str], *, cache_folder: Path, progress: Progress) -> list[Path]:
    """Bring shards onto this machine; those that are here already are not asked for again.

    A download that was interrupted goes on where it stopped if the server can do that and the file there is still
    the same one. A shard is taken only if it has the size that the server told, begins as a tar archive does, and ends
    as one where the server told no size; what is none is not kept.

    Args:
        urls: `http` or `https` addresses.
        cache_folder: they are kept in its folder `shards`.
        progress: told of each shard.

    Returns:
        The files, in the order of `urls`.

    Raises:
        DataError: a server does not answer, or does not have a shard.
        StorageError: the folder cannot be written.
    """
    targets = [_target(url, cache_folder) for url in urls]
    missing = [(url, target) for url, target in zip(urls, targets, strict=True) if not target.exists()]
    if not missing:
        return targets
    progress.start("fetching shards", len(missing))
    stop = threading.Event()
    pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="allometry-fetch")
    try:
        for _ in pool.map(lambda pair: _fetch(pair[0], pair[1], stop), missing):
            progress.advance(1)
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        progress.stop()
    return targets


def _target(url: str, cache_folder: Path) -> Path:
    """Where a shard is kept; what is asked of the server beside its path (a key, say) makes no other file."""
    parts = urlsplit(url)
    base, _, name = parts.path.rpartition("/")
    place = hashlib.blake2b(f"{parts.scheme}://{parts.netloc}{base}".encode(), digest_size=16).hexdigest()
    return cache_folder / "shards" / place / name


def _fetch(url: str, target: Path, stop: threading.Event) -> None:
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            for rest in reversed(range(_TRIES)):
                if stop.is_set() or target.exists():  # another process may have fetched it meanwhile
                    return
                try:
                    _try(url, target, stop)
                except _FAILURES as error:
                    if rest == 0 or _is_final(error):
                        raise DataError(f"Cannot fetch {url}: {_reason(error)}.") from error


def _try(url: str, target: Path, stop: threading.Event) -> None:
    """Fetch what is missing of a shard."""
    part, note = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.part.json")
    version = _read_note(note)
    have = part.stat().st_size if version and part.exists() else 0
    headers = {
        "Accept-Encoding": "identity",
        **({"Range": f"bytes={have}-", "If-Range": version} if have else {}),
    }
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - open_data takes http and https only
    note.unlink(missing_ok=True)  # should the server refuse to go on from here, the next try begins anew
    with _opener().open(request, timeout=_TIMEOUT) as answer:
        start, size = _extent(answer, have)
        if start and _version(answer) != version:
            raise _OtherFileError("the server went on with another file than was begun")
        write_text(note, json.dumps(_version(answer)))
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            began = time.monotonic()
            while not stop.is_set() and (some := _receive(answer)):
                file.write(some)
                passed = time.monotonic() - began
                if passed > _PATIENCE and file.tell() - start < _SLOW * passed:
                    raise _CutShortError(f"in {passed:.0f} seconds only {file.tell() - start:,} bytes came")
                if file.tell() > _MOST:
                    part.unlink()
                    note.unlink()
                    raise DataError(f"{url} sends more than {_MOST // 2**30} GiB; make smaller shards.")
            file.flush()
            os.fsync(file.fileno())
            got = file.tell()
        dated = answer.headers.get("Last-Modified")
    if stop.is_set():
        return
    if size is not None and got != size:
        raise _CutShortError(f"{got:,} of {size:,} bytes came")
    if problem := _no_archive(part, whole=size is not None):
        part.unlink()
        note.unlink(missing_ok=True)
        raise _OtherFileError(problem)
    _date(part, dated)
    part.replace(target)
    note.unlink(missing_ok=True)


def _opener() -> urllib.request.OpenerDirector:
    """Opens addresses of the web, and follows redirections to such alone."""
    return urllib.request.build_opener(_WebRedirects, _Http, _Https)


class _SoonAnswered(http.client.HTTPConnection):
    """Hangs up on a server that goes on answering without an answer, such as `100 Continue` without end."""

    def getresponse(self) -> http.client.HTTPResponse:
        """The answer's first lines, within the time that one may take."""
        late = threading.Event()

        def hang_up() -> None:
            late.set()
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(_TIMEOUT, hang_up)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        except (OSError, http.client.HTTPException) as error:
            if late.is_set():
                raise _NoAnswerError(f"the server gives no answer within {_TIMEOUT:g} seconds") from error
            raise
        finally:
            timer.cancel()


class _SoonAnsweredSecurely(_SoonAnswered, http.client.HTTPSConnection):
    """The same over TLS."""


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an address by a connection that does not wait forever."""
        return self.do_open(_SoonAnswered, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open an address by a connection that does not wait forever."""
        return self.do_open(_SoonAnsweredSecurely, req)


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse what is no address of the web."""
        if not newurl.lower().startswith(SCHEMES):
            raise urllib.error.HTTPError(newurl, code, "sends on to no address of the web", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _no_archive(path: Path, *, whole: bool) -> str:
    """Why a file is no tar archive; empty text where it is one.

    Args:
        path: of the file.
        whole: the server told its size, so that an archive without its last blocks is what the server has.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_BLOCK)
        file.seek(max(0, size - 2 * _BLOCK))
        end = file.read()
    if len(start) < _BLOCK or not _is_header(start):
        return "what it sends is no tar archive"
    if not whole and (size % _BLOCK or end != bytes(2 * _BLOCK)):
        return f"the archive ends too soon, after {size:,} bytes"
    return ""


def _is_header(block: bytes) -> bool:
    """Whether 512 bytes are the header of a member, by its check sum; or an empty archive's."""
    try:
        known = int(block[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    return block == bytes(_BLOCK) or known == sum(block[:148]) + 8 * ord(" ") + sum(block[156:])


def _receive(answer: http.client.HTTPResponse) -> bytes:
    """Some more bytes; what goes wrong with the connection is no trouble with the disk."""
    try:
        return answer.read1(_CHUNK)
    except OSError as error:
        raise _CutShortError(error.strerror or str(error)) from error


def _extent(answer: http.client.HTTPResponse, have: int) -> tuple[int, int | None]:
    """Where the bytes that come belong, and how many the whole file has, if the server tells."""
    told = _PART_OF.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT and told and int(told[1]) == have:
        return have, int(told[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _version(answer: http.client.HTTPResponse) -> str:
    """By what the server knows this very file; empty where it does not tell."""
    tag = str(answer.headers.get("ETag") or "")
    return tag if tag and not tag.startswith("W/") else str(answer.headers.get("Last-Modified") or "")


def _is_final(error: Exception) -> bool:
    """Whether another try would end the same way."""
    refused = isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500 and error.code != 416
    return refused or isinstance(error, _NoAnswerError)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _read_note(note: Path) -> str:
    """By what the server knows the version of the file that was begun; empty where that is not known."""
    try:
        version = parse_json(read_text(note))
    except (OSError, ValueError):
        return ""
    return version if isinstance(version, str) else ""


def _date(file: Path, dated: str | None) -> None:
    """Give a file the server's date, so that it does not look as if it were still being written."""
    if dated:
        try:
            seconds = parsedate_to_datetime(dated).timestamp()
        except (ValueError, OverflowError):
            return
        os.utime(file, (seconds, seconds))


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Let one process at a time fetch a shard."""
    lock: IO[bytes]
    with target.with_name(f".{target.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
