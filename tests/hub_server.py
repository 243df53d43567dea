"""A stand-in for the Hugging Face hub on loopback: as much of its protocol as a push and a fetch need."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Hub:
    """What the stand-in holds, and what it was asked."""

    address: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    created: list[dict] = field(default_factory=list)
    commits: list[dict] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)

    def sha(self, repository: str) -> str:
        content = sorted(self.repositories[repository].items())
        return hashlib.sha1(repr(content).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None: ...

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self._parts()
        if parts == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif parts == ["api", "repos", "create"]:
            told = json.loads(body)
            name = f"{told['organization']}/{told['name']}"
            if name.startswith("forbidden/"):
                self._json({"error": "You may not write there."}, status=403)
                return
            self.hub.created.append(told)
            self.hub.repositories.setdefault(name, {})
            self._json({"url": f"{self.hub.address}/{name}", "id": name})
        elif parts[4] == "preupload":
            files = json.loads(body)["files"]
            told = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]
            self._json({"files": told})
        elif parts[4] == "commit":
            self._commit("/".join(parts[2:4]), [json.loads(line) for line in body.splitlines()])
        else:
            self._json({"error": "Not Found"}, status=404)

    def _commit(self, name: str, lines: list[dict]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.hub.commits.append(value)
            elif line["key"] == "file":
                self.hub.repositories[name][value["path"]] = base64.b64decode(value["content"])
        sha = self.hub.sha(name)
        url = f"{self.hub.address}/{name}/commit/{sha}"
        self._json({"commitOid": sha, "commitUrl": url, "success": True})

    def do_HEAD(self) -> None:
        self._get(with_body=False)

    def do_GET(self) -> None:
        self._get(with_body=True)

    def _get(self, *, with_body: bool) -> None:
        parts = self._parts()
        if parts[:2] == ["api", "models"] and "/".join(parts[2:4]) in self.hub.repositories:
            self._info("/".join(parts[2:4]), parts[4:])
            return
        files = self.hub.repositories.get("/".join(parts[:2]), {})
        if len(parts) < 5 or parts[2] != "resolve" or parts[4] not in files:
            headers = {"X-Error-Code": "RepoNotFound" if not files else "EntryNotFound"}
            self._json({"error": "Not Found"}, status=404, headers=headers)
            return
        content = files[parts[4]]
        sha = self.hub.sha("/".join(parts[:2]))
        etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        headers = {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        self._send(content if with_body else b"", 200, headers, length=len(content))

    def _info(self, name: str, rest: list[str]) -> None:
        files = self.hub.repositories[name]
        if rest[:1] == ["tree"]:
            plain = {"type": "file", "oid": "0" * 40}
            self._json([plain | {"path": file, "size": len(content)} for file, content in files.items()])
            return
        siblings = [{"rfilename": file, "size": len(content)} for file, content in files.items()]
        info = {"id": name, "modelId": name, "sha": self.hub.sha(name), "siblings": siblings}
        self._json(info | {"tags": [], "private": False})

    def _parts(self) -> list[str]:
        self.hub.requests.append(f"{self.command} {self.path}")
        self.hub.tokens.add(self.headers.get("Authorization"))
        return unquote(self.path.partition("?")[0]).strip("/").split("/")

    def _json(self, value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self._send(
            content, status, {"Content-Type": "application/json", **(headers or {})}, length=len(content)
        )

    def _send(self, content: bytes, status: int, headers: dict[str, str], *, length: int) -> None:
        self.send_response(status)
        for name, value in (*headers.items(), ("Content-Length", str(length))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
