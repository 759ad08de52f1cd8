"""What mkdocs is told when it builds: pages made of the sources, and files of the repository that pages link."""

from __future__ import annotations

import posixpath
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import messages
import reference

REPOSITORY = Path(__file__).parents[2]
AS_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(\]\()([^)#\s]+)([^)\s]*\))")
EVERY = "<!-- every message -->"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and the files outside of docs/ that a page links."""
    for name, page in AS_PAGES.items():
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=linked(text, Path(name).parent, files, config)))
    for name, text in reference.pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for file in list(files.documentation_pages()):
        if file.abs_src_path and Path(file.abs_src_path).is_relative_to(REPOSITORY / "docs"):
            linked(Path(file.abs_src_path).read_text(encoding="utf-8"), Path("docs"), files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links out of docs/ to where their files stand on the site, and fill in the messages."""
    if EVERY in markdown:
        markdown = markdown.replace(EVERY, messages.as_page())
    written = page.file.abs_src_path and Path(page.file.abs_src_path).is_relative_to(REPOSITORY / "docs")
    return linked(markdown, Path("docs"), files, config) if written else markdown


def linked(text: str, folder: Path, files: Files, config: MkDocsConfig) -> str:
    """A text of the repository with its links as the site has them; what they point to joins the site."""

    def moved(found: re.Match[str]) -> str:
        target = found[2]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = posixpath.normpath((folder / target).as_posix())
        if path in AS_PAGES:
            return f"{found[1]}{AS_PAGES[path]}{found[3]}"
        if path.startswith("docs/"):
            return f"{found[1]}{path.removeprefix('docs/')}{found[3]}"
        if (REPOSITORY / path).is_file() and files.get_file_from_path(path) is None:
            files.append(File.generated(config, path, abs_src_path=str(REPOSITORY / path)))
        return f"{found[1]}{path}{found[3]}"

    return LINK.sub(moved, text)


def on_config(config: MkDocsConfig, **_: Any) -> MkDocsConfig:
    """The version stands on every page, every group of the config in the menu."""
    config.copyright = f"r1lab {version('r1lab')}, Apache-2.0"
    listed = [f"reference/{name}.md" for name in reference.pages()]
    config.nav = [{"Reference": listed} if "Reference" in item else item for item in config.nav or []]
    return config
