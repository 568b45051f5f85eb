"""A hub on this machine: the few requests of the Hugging Face client that fetching and pushing files take."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMITS = {"main": "a" * 40, "v1": "b" * 40}


@contextmanager
def hub(models: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serves folders as models, `owner/name` or, for a revision other than main, `owner/name@revision`.

    Yields the address and the list of requests, which grows as they come.
    """
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def do_POST(self) -> None:
            requests.append(f"{self.command} {self.path}")
            given = self.rfile.read(int(self.headers["Content-Length"]))
            self.send({"Content-Type": "application/json"}, json.dumps(self.taken(given)).encode(), 200, True)

        def taken(self, given: bytes) -> dict[str, object]:
            """What the hub says to something that is sent to it: a new model, a card, names of files, or a commit."""
            address = f"http://127.0.0.1:{server.server_port}"
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[-1] == "validate-yaml":
                return {"errors": [], "warnings": []}
            if parts[-1] == "create":
                values = json.loads(given)
                name = f"{values['organization']}/{values['name']}" if values.get("organization") else values["name"]
                return {"url": f"{address}/{name}", "id": name, "name": name}
            if "preupload" in parts:
                files = [file["path"] for file in json.loads(given)["files"]]
                return {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]}
            folder = models["/".join(parts[2:4])]
            for line in map(json.loads, given.splitlines()):
                if line["key"] == "file":
                    (folder / line["value"]["path"]).write_bytes(base64.b64decode(line["value"]["content"]))
            commit = f"{address}/{'/'.join(parts[2:4])}/commit/{COMMITS['main']}"
            return {"success": True, "commitOid": COMMITS["main"], "commitUrl": commit, "hookOutput": ""}

        def answer(self, *, with_body: bool) -> None:
            requests.append(f"{self.command} {self.path}")
            parts = self.path.partition("?")[0].strip("/").split("/")
            if len(parts) < 5 or parts[2] != "resolve":
                return self.send({"X-Error-Code": "EntryNotFound"}, b"", 404, with_body)
            name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            tag = next((tag for tag, commit in COMMITS.items() if revision in (tag, commit)), None)
            if not any(known.partition("@")[0] == name for known in models):
                return self.send({"X-Error-Code": "RepoNotFound"}, b"", 404, with_body)
            folder = models.get(name if tag == "main" else f"{name}@{tag}")
            if tag is None or folder is None:
                return self.send({"X-Error-Code": "RevisionNotFound"}, b"", 404, with_body)
            commit = {"X-Repo-Commit": COMMITS[tag]}
            if not (folder / file).is_file():
                return self.send({"X-Error-Code": "EntryNotFound"} | commit, b"", 404, with_body)
            content = (folder / file).read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            return self.send({"ETag": f'"{etag}"'} | commit, content, 200, with_body)

        def send(self, headers: dict[str, str], content: bytes, status: int, with_body: bool) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Keeps standard error clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
