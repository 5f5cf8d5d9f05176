"""A stand-in for the Hugging Face hub on loopback.

It answers what huggingface_hub and `datasets` ask, with the hub's own paths, statuses and headers.
Large files come from a second port, as from the hub's CDN. Xet storage is left out.
"""

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".parquet", ".jsonl")  # in Git LFS, so from the CDN
ACCEPTED = "hf_accepted"  # the token of an account that accepted all terms
STRANGER = "hf_stranger"  # of one that accepted none
API = re.compile(r"/api/(?P<kind>models|datasets)/(?P<name>[\w.-]+/[\w.-]+)/?(?P<rest>.*)")
RESOLVE = re.compile(
    r"/(?P<kind>datasets/)?(?P<name>[\w.-]+/[\w.-]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)"
)

SMALL = re.compile(
    r"/api/resolve-cache/(?P<kind>models/|datasets/)(?P<name>[\w.-]+/[\w.-]+)"
    r"/(?P<revision>[0-9a-f]{40})/(?P<file>.+)"
)
Query = dict[str, list[str]]


class Request(NamedTuple):
    host: str  # hub or cdn
    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Repository:
    """A repository with the files of each of its commits; the last is the newest."""

    commits: dict[str, dict[str, bytes]]
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        newest = list(self.commits)[-1]
        return newest if revision == "main" else revision if revision in self.commits else None


@dataclass
class Hub:
    """What the server has, what goes wrong, and what it was asked for."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    limited: Counter[str] = field(default_factory=Counter)  # part of a path → refusals with 429
    broken: Counter[str] = field(default_factory=Counter)  # file name → connections cut at half
    stalled: set[str] = field(default_factory=set)  # files that stop at half until they leave it
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    cdn_url: str = ""

    def add(self, kind: str, name: str, commit: str, files: dict[str, bytes]) -> Repository:
        repository = self.repositories.setdefault((kind, name), Repository({}))
        repository.commits[commit] = files
        return repository

    def downloads(self, file: str) -> list[str | None]:
        """Return the range of each download of `file`; None: the whole file."""
        return [
            request.range
            for request in self.requests
            if request.method == "GET" and request.path.endswith(f"/{file}")
            if request.host == "cdn" or request.path.startswith("/api/resolve-cache/")
        ]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes = b""


def error(status: int, code: str, message: str, **headers: str) -> Answer:
    body = json.dumps({"error": message}).encode()
    return Answer(status, {"X-Error-Code": code, "X-Error-Message": message} | headers, body)


def json_answer(content: Any) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(path: str, content: bytes) -> dict[str, Any]:
    """Return a file's entry in a tree."""
    git_oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    large = {"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 134}}
    small = {"type": "file", "oid": git_oid, "size": len(content), "path": path}
    return small | (large if path.endswith(LARGE) else {})


def tree(files: dict[str, bytes], below: str, recursive: bool) -> list[dict[str, Any]]:
    """Return the entries below a folder, as the hub's API lists them."""
    start = f"{below}/" if below else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, content in files.items():
        if not path.startswith(start):
            continue
        parts = path.removeprefix(start).split("/")
        for depth in range(1, len(parts)):
            folder = start + "/".join(parts[:depth])
            if recursive or depth == 1:
                oid = hashlib.sha1(folder.encode()).hexdigest()
                entries[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
        if recursive or len(parts) == 1:
            entries[path] = entry(path, content)
    return list(entries.values())


def answer_hub(hub: Hub, method: str, target: str, token: str | None, form: bytes) -> Answer:
    """Return the hub's answer to a request."""
    path = unquote(urlsplit(target).path)
    for part in hub.limited:
        if part in path and hub.limited[part] > 0:
            hub.limited[part] -= 1
            return error(429, "", "We had to rate limit you", **{"Retry-After": "0"})
    match = SMALL.fullmatch(path) or RESOLVE.fullmatch(path) or API.fullmatch(path)
    if match is None:
        return error(404, "", "Not Found")
    kind, name = (match["kind"] or "models").rstrip("s/"), match["name"]
    repository = hub.repositories.get((kind, name))
    if repository is None:
        # The hub does not tell strangers whether a private repository exists.
        return error(401 if token is None else 404, "RepoNotFound", "Repository not found")
    if match.re is not API:
        cdn = f"{hub.cdn_url}/{kind}/{name}"
        return _refusal(repository, name, token) or _answer_file(repository, match, cdn)
    if match["rest"] == "auth-check":
        return _refusal(repository, name, token) or Answer(200, {})
    return _answer_api(repository, method, match, parse_qs(urlsplit(target).query), form)


def _answer_api(
    repository: Repository, method: str, match: re.Match[str], query: Query, form: bytes
) -> Answer:
    action, _, rest = match["rest"].partition("/")
    revision, _, below = rest.partition("/")
    commit = repository.commit(revision or "main")
    if commit is None:
        return error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    files = repository.commits[commit]
    match action, method:
        case (("" | "revision"), "GET"):
            return json_answer(_info(match["name"], repository, commit))
        case "tree", "GET":
            recursive = query.get("recursive", ["False"])[0].lower() in ("true", "1")
            entries = tree(files, below, recursive)
            if below and not entries:
                return error(404, "EntryNotFound", f"{below} does not exist on {commit}")
            return json_answer(entries)
        case "paths-info", "POST":
            wanted = parse_qs(form.decode()).get("paths", [])
            entries = tree(files, "", recursive=True)
            return json_answer([item for item in entries if item["path"] in wanted])
    return error(404, "", "Not Found")


def _info(name: str, repository: Repository, commit: str) -> dict[str, Any]:
    return {
        "_id": "0" * 24,
        "id": name,
        "author": name.partition("/")[0],
        "sha": commit,
        "lastModified": "2026-01-01T00:00:00.000Z",
        "private": False,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [{"rfilename": path} for path in repository.commits[commit]],
    }


def _refusal(repository: Repository, name: str, token: str | None) -> Answer | None:
    if not repository.gated or token == ACCEPTED:
        return None
    if token is None:
        message = f"Access to {name} is restricted. You must have access to it and be authenticated"
        return error(401, "GatedRepo", message)
    return error(403, "GatedRepo", f"Access to {name} is restricted and you are not in the list")


def _answer_file(repository: Repository, match: re.Match[str], cdn: str) -> Answer:
    """Return a small file, or where it is: small ones beside the API, large ones on the CDN."""
    revision, file = match["revision"], match["file"]
    commit = repository.commit(revision)
    if commit is None:
        return error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    content = repository.commits[commit].get(file)
    headers = {"X-Repo-Commit": commit}
    if content is None:
        return error(404, "EntryNotFound", "Entry not found", **headers)
    if match.re is SMALL:
        return Answer(200, headers | {"ETag": f'"{entry(file, content)["oid"]}"'}, content)
    if file.endswith(LARGE):
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{sha256(content)}"'}
        return Answer(302, headers | {"Location": f"{cdn}/{commit}/{file}"})
    kind = match["kind"] or "models/"
    location = f"/api/resolve-cache/{kind}{match['name']}/{commit}/{file}"
    return Answer(307, headers | {"Location": location})


def answer_cdn(hub: Hub, target: str, token: str | None, wanted: str | None) -> Answer:
    """Return a large file, or its part from a byte on; a token must not come so far."""
    assert token is None, "the token was sent to the CDN"
    kind, owner, name, commit, file = urlsplit(target).path[1:].split("/", 4)
    content = hub.repositories[kind, f"{owner}/{name}"].commits[commit][unquote(file)]
    headers = {"ETag": f'"{sha256(content)}"', "Accept-Ranges": "bytes"}
    if wanted is None:
        return Answer(200, headers, content)
    start = int(wanted.removeprefix("bytes=").split("-")[0])
    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return Answer(206, headers, content[start:])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    host = "hub"
    headers: Message

    def _respond(self) -> None:
        form = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        authorization = self.headers.get("Authorization")
        token = authorization.removeprefix("Bearer ") if authorization else None
        wanted = self.headers.get("Range")
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(Request(self.host, self.command, path, wanted, token))
        if self.host == "cdn":
            answer = answer_cdn(self.hub, self.path, token, wanted)
        else:
            answer = answer_hub(self.hub, self.command, self.path, token, form)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        file = path.rsplit("/", 1)[-1]
        if self.hub.broken[file] > 0 and answer.status in (200, 206):
            self.hub.broken[file] -= 1
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        if file in self.hub.stalled:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.wfile.flush()
            while file in self.hub.stalled:
                time.sleep(0.05)
            self.close_connection = True
            return
        self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = _respond  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Yield a hub that answers at `url` until the block ends."""
    hub = Hub()
    servers = []
    for host in ("hub", "cdn"):
        handler = type(f"{host}Handler", (_Handler,), {"hub": hub, "host": host})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
    hub.url, hub.cdn_url = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
