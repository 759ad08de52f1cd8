"""A stand-in of the Hub: its HTTP API as huggingface_hub speaks it, over repositories in memory, with faults on order.

What is stored is checked as the Hub does it: a large object by its SHA-256, a commit by the objects it names, a
reader's token by what it may do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

WRITER, READER, STRANGER = "hf_" + "w" * 34, "hf_" + "r" * 34, "hf_" + "x" * 34
USERS = {
    WRITER: {"name": "ada", "orgs": ["lab"], "role": "write"},
    READER: {"name": "ada", "orgs": ["lab"], "role": "read"},
}
LARGE = (".safetensors", ".bin", ".parquet", ".pt", ".pth")
RESOLVED = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
KINDS = {"models": "model", "datasets": "dataset"}


@dataclass
class Commit:
    id: str
    title: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repo:
    path: str
    private: bool
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """What a revision holds, without what the Hub itself puts there."""
        return {name: text for name, text in self.branches[revision][-1].files.items() if name != ".gitattributes"}


@dataclass
class Fault:
    """What happens to the next `times` requests that match, instead of an answer.

    `what` is a status, "disconnect" (before the request is read), "half" (in the middle of its body), "lost" (done, but
    the answer does not arrive) or "hang".
    """

    method: str
    path: str
    what: int | str
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    def __init__(self, status: int, code: str = "", body: dict[str, Any] | None = None):
        self.status, self.code, self.body = status, code, body or {"error": code or str(status)}


class StandIn:
    """The server; `url` is its endpoint."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.ended = threading.Event()
        self.lock = threading.Lock()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                hub.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def repo(self, name: str, kind: str = "model") -> Repo:
        return self.repos[kind, name]

    def asked(self, method: str, path: str) -> int:
        """How often something was asked for."""
        return sum(1 for item in self.requests if item[0] == method and re.search(path, item[1]))

    def fail(self, method: str, path: str, what: int | str, times: int = 1, **headers: str) -> None:
        self.faults.append(Fault(method, path, what, times, {key.replace("_", "-"): headers[key] for key in headers}))

    def make(self, name: str, kind: str = "model", private: bool = True, **files: bytes) -> Repo:
        """A repository that is there already, with a first commit as the Hub makes it and one with files."""
        repo = Repo(
            name if kind == "model" else f"datasets/{name}",
            private,
            {"main": [Commit(digest(name), "initial commit", "", {".gitattributes": b"*.bin lfs"})]},
        )
        if files:
            commit = Commit(digest(name, "2"), "by hand", "", {".gitattributes": b"*.bin lfs", **files})
            repo.branches["main"].append(commit)
        self.repos[kind, name] = repo
        return repo

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for item in self.faults:
                if item.times and item.method == method and re.search(item.path, path):
                    item.times -= 1
                    return item
        return None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append((request.command, path))
        fault = self.fault_for(request.command, path)
        length = int(request.headers.get("Content-Length") or 0)
        if fault and fault.what == "hang":
            self.ended.wait(120)
            request.close_connection = True
            return
        if fault and fault.what in ("disconnect", "half"):
            request.rfile.read(length // 2 if fault.what == "half" else 0)
            request.close_connection = True
            return
        body = request.rfile.read(length)
        headers: dict[str, str] = {}
        if fault and isinstance(fault.what, int):
            status, content, headers = fault.what, {"error": f"ordered {fault.what}"}, fault.headers
        else:
            try:
                with self.lock:
                    status, content = 200, self.route(request, path, body)
            except Refused as refused:
                status, content = refused.status, refused.body
                headers = {"X-Error-Code": refused.code} if refused.code else {}
        if fault and fault.what == "lost":
            request.close_connection = True
            return
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        if isinstance(content, bytes):
            headers |= {"X-Repo-Commit": self.commit_at(path), "ETag": f'"{blob(content)}"'}
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(text)

    def route(self, request: BaseHTTPRequestHandler, path: str, body: bytes) -> Any:
        if request.command == "PUT" and path.startswith("/lfs/"):  # the storage: it knows no token
            return self.store(path.removeprefix("/lfs/"), body)
        user = USERS.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if user is None:
            known = "Invalid credentials in Authorization header"
            raise Refused(401, body={"error": known if "Authorization" in request.headers else "Invalid username"})
        if path == "/api/whoami-v2":
            return {"type": "user", "name": user["name"], "auth": {"accessToken": {"role": user["role"]}}}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if request.command == "POST" and user["role"] == "read" and "/preupload" not in path:
            raise Refused(403, body={"error": "you must use a write token"})
        if path == "/api/repos/create":
            return self.create(user, json.loads(body))
        if found := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self.batch(json.loads(body))
        if found := RESOLVED.fullmatch(path):
            return self.file(*found.groups())
        found = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(\w+)(?:/(.+))?)?", path)
        if not found:
            raise Refused(404)
        kind, name, verb, rest = found.groups()
        repo = self.repos.get((KINDS[kind], name))
        if repo is None:
            raise Refused(404, "RepoNotFound")
        verbs: dict[str, Callable[[Repo, str, bytes], Any]] = {
            "refs": self.refs,
            "commits": self.commits,
            "tree": self.tree,
            "branch": self.branch,
            "preupload": self.preupload,
            "commit": self.commit,
            "revision": self.info,
        }
        return verbs[verb](repo, rest or "", body) if verb else self.info(repo, "main", body)

    def file(self, kind: str | None, name: str, revision: str, file: str) -> bytes:
        """A file of a repository, as it is downloaded."""
        repo = self.repos.get(("dataset" if kind else "model", name))
        if repo is None:
            raise Refused(404, "RepoNotFound")
        files = self.at(repo, revision).files
        if file not in files:
            raise Refused(404, "EntryNotFound")
        return files[file]

    def commit_at(self, path: str) -> str:
        """The id of the commit of which a file was asked for."""
        found = RESOLVED.fullmatch(path)
        assert found
        kind, name, revision, _ = found.groups()
        return self.at(self.repos["dataset" if kind else "model", name], revision).id

    def at(self, repo: Repo, revision: str) -> Commit:
        """The commit that a branch or an id names."""
        for name, line in repo.branches.items():
            if revision == name:
                return line[-1]
            if of_id := [item for item in line if item.id == revision]:
                return of_id[0]
        raise Refused(404, "RevisionNotFound")

    def info(self, repo: Repo, revision: str, _: bytes) -> Any:
        commit, name = self.at(repo, revision), repo.path.removeprefix("datasets/")
        siblings = [{"rfilename": file} for file in commit.files]
        about = {"id": name, "sha": commit.id, "private": repo.private, "tags": [], "downloads": 0, "likes": 0}
        return {**about, "siblings": siblings}

    def create(self, user: dict[str, Any], asked: dict[str, Any]) -> Any:
        owner = asked.get("organization") or user["name"]
        if owner not in (user["name"], *user["orgs"]):
            raise Refused(
                403, body={"error": f"You don't have the rights to create a model under the namespace {owner}"}
            )
        name, kind = f"{owner}/{asked['name']}", asked.get("type") or "model"
        url = f"{self.url}/{name}"
        if (kind, name) in self.repos:
            raise Refused(409, body={"error": "You already created this model repo", "url": url})
        self.make(name, kind, private=asked.get("visibility") == "private")
        return {"url": url}

    def line(self, repo: Repo, revision: str) -> list[Commit]:
        if revision not in repo.branches:
            raise Refused(404, "RevisionNotFound")
        return repo.branches[revision]

    def refs(self, repo: Repo, _: str, body: bytes) -> Any:
        heads = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commits[-1].id}
            for name, commits in repo.branches.items()
        ]
        return {"branches": heads, "converts": [], "tags": []}

    def commits(self, repo: Repo, revision: str, _: bytes) -> Any:
        return [
            {
                "id": item.id,
                "title": item.title,
                "message": item.message,
                "authors": [],
                "date": "2026-01-01T00:00:00.000Z",
            }
            for item in reversed(self.line(repo, revision))
        ]

    def tree(self, repo: Repo, path: str, _: bytes) -> Any:
        """What stands in a revision, or in a folder of it, at whatever depth: everybody asks for that."""
        revision, _, folder = path.partition("/")
        files = self.at(repo, revision).files
        names = [name for name in files if not folder or name.startswith(f"{folder}/")]
        if folder and not names:
            raise Refused(404, "EntryNotFound")
        return [*map(directory, folders_of(names, folder)), *(entry(name, files[name]) for name in names)]

    def branch(self, repo: Repo, name: str, body: bytes) -> Any:
        if name in repo.branches:
            raise Refused(409, body={"error": "Reference already exists"})
        start = json.loads(body).get("startingPoint")
        for commits in repo.branches.values():
            for number, item in enumerate(commits):
                if start in (item.id, None):
                    repo.branches[name] = commits[: number + 1]
                    return {}
        raise Refused(404, "RevisionNotFound")

    def preupload(self, repo: Repo, revision: str, body: bytes) -> Any:
        there = self.line(repo, revision)[-1].files
        answers = []
        for item in json.loads(body)["files"]:
            large, now = item["path"].endswith(LARGE), there.get(item["path"])
            oid = None if now is None else hashlib.sha256(now).hexdigest() if large else blob(now)
            mode = "lfs" if large else "regular"
            answers.append({"path": item["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answers}

    def batch(self, asked: dict[str, Any]) -> Any:
        objects = []
        for item in asked["objects"]:
            actions = (
                {}
                if item["oid"] in self.objects
                else {"actions": {"upload": {"href": f"{self.url}/lfs/{item['oid']}"}}}
            )
            objects.append({"oid": item["oid"], "size": item["size"], **actions})
        return {"transfer": "basic", "objects": objects}

    def store(self, oid: str, body: bytes) -> Any:
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refused(400, body={"error": "the object is not what its name says"})
        self.objects[oid] = body
        return {}

    def commit(self, repo: Repo, revision: str, body: bytes) -> Any:
        line = self.line(repo, revision)
        files = dict(line[-1].files)
        header: dict[str, str] = {}
        for text in body.decode().splitlines():
            item = json.loads(text)
            value = item["value"]
            if item["key"] == "header":
                header = value
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    raise Refused(400, body={"error": f"LFS object {value['oid']} is missing"})
                files[value["path"]] = self.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        made = Commit(digest(revision, str(time.monotonic_ns())), header["summary"], header["description"], files)
        repo.branches[revision] = [*line, made]
        return {"commitUrl": f"{self.url}/{repo.path}/commit/{made.id}", "commitOid": made.id, "pullRequestUrl": None}


def digest(*parts: str) -> str:
    return hashlib.sha1(" ".join(parts).encode()).hexdigest()


def entry(name: str, text: bytes) -> dict[str, Any]:
    """A file as a listing tells it."""
    return {"type": "file", "path": name, "size": len(text), "oid": blob(text)}


def directory(name: str) -> dict[str, Any]:
    """A folder as a listing tells it."""
    return {"type": "directory", "path": name, "size": 0, "oid": digest(name)}


def folders_of(names: list[str], inside: str = "") -> list[str]:
    """The folders in which files stand, within one of them."""
    every = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents} - {".", inside}
    return sorted(name for name in every if name.startswith(inside))


def blob(text: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
