"""Before a run: may it push where it means to? Asked while nothing is computed yet."""

from __future__ import annotations

import logging
import sys
from functools import partial

from omegaconf import DictConfig

from r1lab.errors import ConfigError, Finding, HubError
from r1lab.hub.client import again, connect, status_of
from r1lab.hub.pending import kind_of, ledger, repo_of
from r1lab.hub.push import branches, check_free, full_name, names_in, prepare
from r1lab.runs.folder import RunFolder

log = logging.getLogger("r1lab")
ANSWER = 20.0  # seconds to wait for an answer
REFUSED = (400, 401, 402, 403, 404)  # what no waiting changes


def check_hub(cfg: DictConfig, folder: RunFolder) -> None:
    """Ask the Hub whether the run may push; it makes the repository, which tells whether the token may write.

    A Hub that cannot be reached does not stop a run: it is said, and what is to be pushed waits.

    Raises:
        ConfigError: the token is not valid or may not write, the repository is public, or a revision is not free.
    """
    settings, kind = cfg.hub, kind_of(cfg)
    try:
        api = connect(answer=ANSWER)
        user = again(partial(api.whoami, cache=True), 1, "asking the Hub who the token belongs to")
        if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
            what = f"the token of {user['name']} may only read"
            raise ConfigError(
                [Finding(what, "HF_TOKEN", fix="a token that may write: https://huggingface.co/settings/tokens")]
            )
        repo = full_name(api, repo_of(cfg, settings), retries=1)
        content = ledger(folder).read()

        def work() -> None:
            prepare(api, repo, kind, settings.private)
            there = names_in(api, repo, kind, settings.revision)
            commits = api.list_repo_commits(repo, repo_type=kind, revision=settings.revision) if there else []
            tip = commits[0].message if commits else ""
            check_free(repo, settings.revision, there, tip, settings.overwrite, content.get("marks", []))
            if settings.checkpoints and not settings.overwrite:
                own = content.get("pushes", {})
                begin = f"{settings.revision}-step-"
                taken = [name for name in branches(api, repo, kind) if name.startswith(begin) and name not in own]
                if taken:
                    what = f"{repo} has checkpoints of another run: {', '.join(sorted(taken)[:3])}"
                    fix = "hub.overwrite=true replaces them; or hub.revision=NAME, or hub.repo=NAME"
                    raise ConfigError([Finding(what, "hub.revision", fix=fix)])

        again(work, 1, f"asking the Hub for {repo}")
    except HubError as error:
        if error.__cause__ is not None and status_of(error.__cause__) in REFUSED:
            where = "hub.repo" if settings.repo else "hub=push"
            fix = "check HF_TOKEN (hf auth whoami) and hub.repo; the token must be one that writes"
            raise ConfigError([Finding(str(error), where, fix=fix)]) from error
        said = f"the Hub cannot be asked now ({error}); the run goes on, and pushes at its end or later"
        log.warning("%s", said)
        print(f"r1lab: {said}", file=sys.stderr)
        return
    log.info("will push to %s@%s", repo, settings.revision)
