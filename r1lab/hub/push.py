"""One folder to one revision of one repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from r1lab.errors import ConfigError, Finding
from r1lab.hub.client import again, connect
from r1lab.hub.content import contents
from r1lab.wording import plural

MAIN = "main"
OWN_FILES = (".gitattributes",)  # what the Hub itself puts into a new repository


@dataclass(frozen=True)
class Pushed:
    """What is on the Hub now.

    Attributes:
        repo: "user/name".
        revision: the branch.
        commit: the commit's id.
        url: where a person looks.
        files: names in the repository.
    """

    repo: str
    revision: str
    commit: str
    url: str
    files: tuple[str, ...]


def push_folder(
    folder: str | Path,
    repo: str,
    *,
    kind: str = "model",
    revision: str = MAIN,
    private: bool = True,
    overwrite: bool = False,
    message: str = "",
    mark: str = "",
    ours: Sequence[str] = (),
    extra: Mapping[str, bytes] | None = None,
    retries: int = 5,
    token: str | None = None,
) -> Pushed:
    """Push what matters of a folder as one commit, making the repository and the revision where they are missing.

    A push that failed can be repeated: what was uploaded is not uploaded again, and a commit whose answer was lost is
    recognised.

    Args:
        folder: the folder.
        repo: "name" or "user/name"; without a user, the token's.
        kind: "model" or "dataset".
        revision: a branch; a new one starts from the repository's first commit, so that it holds this folder alone.
        private: of a new repository. One that is public is refused while this is true.
        overwrite: replace what the revision holds.
        message: the commit's title.
        mark: something that no other commit's description says, by which a repeated push knows its own.
        ours: marks of earlier commits that may be replaced.
        extra: further files by name.
        retries: attempts after the first one.
        token: instead of the one that is logged in.

    Raises:
        ConfigError: the revision holds something, the repository is public, the folder is empty, or no token is there.
        HubError: the Hub cannot be reached, or refuses.
    """
    folder = Path(folder)
    files = {**dict(contents(folder, kind)), **(extra or {})} if folder.is_dir() else {}
    if not set(files) - set(extra or {}):
        raise ConfigError([Finding(f"{folder} holds nothing of a {kind} that could be pushed", fix="name its folder")])
    api = connect(token)
    repo = full_name(api, repo, retries)

    def work() -> Pushed:
        prepare(api, repo, kind, private)
        there, tip = names_in(api, repo, kind, revision), ""
        if there:
            latest = api.list_repo_commits(repo, repo_type=kind, revision=revision)[0]
            if mark and mark in latest.message:
                url = address(api, repo, kind, revision)
                return Pushed(repo, revision, latest.commit_id, url, tuple(sorted(files)))
            tip = latest.message
        check_free(repo, revision, there, tip, overwrite, ours)
        if make_branch(api, repo, kind, revision):
            there = names_in(api, repo, kind, revision)
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationDelete(name) for name in sorted(set(there) - set(files))),
            *(CommitOperationAdd(name, content) for name, content in files.items()),
        ]
        title = message or f"r1lab: push {folder.name}"
        commit = api.create_commit(
            repo, operations, commit_message=title, commit_description=mark, repo_type=kind, revision=revision
        )
        return Pushed(repo, revision, commit.oid, address(api, repo, kind, revision), tuple(sorted(files)))

    return again(work, retries, f"pushing {folder.name} to {repo}@{revision}")


def full_name(api: HfApi, repo: str, retries: int = 0) -> str:
    """ "user/name" of a repository, asking the Hub who the token belongs to where only a name is given."""
    if "/" in repo:
        return repo
    user = again(partial(api.whoami, cache=True), retries, "asking the Hub who the token belongs to")["name"]
    return f"{user}/{repo}"


def prepare(api: HfApi, repo: str, kind: str, private: bool) -> None:
    """Make a repository where there is none; it tells as well whether the token may write.

    Raises:
        ConfigError: it is public, and `private` is true.
    """
    api.create_repo(repo, private=private, repo_type=kind, exist_ok=True)
    if private and api.repo_info(repo, repo_type=kind).private is False:
        what = f"{repo} is public, and hub.private is true"
        fix = "hub.private=false to publish, or hub.repo=ANOTHER_NAME"
        raise ConfigError([Finding(what, "hub.private", fix=fix)])


def names_in(api: HfApi, repo: str, kind: str, revision: str) -> list[str]:
    """The files of a revision, beside those that the Hub itself puts there; none where it is missing."""
    try:
        return [name for name in api.list_repo_files(repo, repo_type=kind, revision=revision) if name not in OWN_FILES]
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return []


def check_free(repo: str, revision: str, there: Sequence[str], tip: str, overwrite: bool, ours: Sequence[str]) -> None:
    """Refuse to replace what somebody else's commit put into a revision.

    Args:
        repo: the repository.
        revision: the branch.
        there: the files it holds.
        tip: its last commit's description.
        overwrite: whether they may be replaced.
        ours: marks of commits that may be replaced in any case.

    Raises:
        ConfigError: they may not.
    """
    if not there or overwrite or any(item in tip for item in ours):
        return
    what = f"{repo}@{revision} holds {plural(len(there), 'file')} already"
    fix = "hub.overwrite=true replaces them; or hub.revision=NAME, or hub.repo=NAME"
    raise ConfigError([Finding(what, "hub.revision", fix=fix)])


def make_branch(api: HfApi, repo: str, kind: str, revision: str) -> bool:
    """Make a branch from a repository's first commit, unless it is there; whether it was made."""
    if revision == MAIN or revision in branches(api, repo, kind):
        return False
    first = api.list_repo_commits(repo, repo_type=kind)[-1].commit_id
    api.create_branch(repo, branch=revision, revision=first, repo_type=kind, exist_ok=True)
    return True


def branches(api: HfApi, repo: str, kind: str) -> list[str]:
    """The branches of a repository; none where it is missing."""
    try:
        return [item.name for item in api.list_repo_refs(repo, repo_type=kind).branches]
    except RepositoryNotFoundError:
        return []


def address(api: HfApi, repo: str, kind: str, revision: str) -> str:
    """Where a person looks at a revision."""
    inner = f"datasets/{repo}" if kind == "dataset" else repo
    return f"{api.endpoint}/{inner}" + ("" if revision == MAIN else f"/tree/{revision}")
