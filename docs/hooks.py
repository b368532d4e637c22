"""What mkdocs does beside its own work here: the packages laid out for the reference, and links out of `docs/`.

The sources are copied to `build/reference/` as the wheel has them, for there `engine/` is `clavilux`. A document may
link to any file of the repository, as `../engine/spec.py`, which works where the repository is browsed; such a file
becomes a part of the site, and a document among them a page, with its own links. Knows no page by name.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

from check_types import lay_out  # noqa: E402

ELSEWHERE = "repository"  # the site's folder for files from outside docs/
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)")  # [text](here#there), not http: and the like


@event_priority(100)  # before mkdocstrings, which looks for the folder there
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lay the packages out as they are installed."""
    lay_out(ROOT, ROOT / "build" / "reference")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what documents link to outside docs/, and what those link to."""
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        source = home_of(waiting.pop())
        for target in links_of(source):
            uri = site_uri(target)
            if (ROOT / target).is_file() and files.get_file_from_path(uri) is None:
                file = File.generated(config, uri, abs_src_path=str(ROOT / target))
                files.append(file)
                waiting += [uri] if file.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where the site has the files."""
    source, here = home_of(page.file.src_uri), posixpath.dirname(page.file.src_uri)

    def relinked(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        return found[1] + posixpath.relpath(site_uri(target), here or ".")

    return LINK.sub(relinked, markdown)


def links_of(document: str) -> list[str]:
    """Files of the repository, relative to its root, that a document of it links to."""
    links = LINK.findall((ROOT / document).read_text(encoding="utf-8"))
    return [posixpath.normpath(posixpath.join(posixpath.dirname(document), link)) for _, link in links]


def home_of(uri: str) -> str:
    """The repository's file that a file of the site is."""
    return uri.removeprefix(f"{ELSEWHERE}/") if uri.startswith(f"{ELSEWHERE}/") else f"docs/{uri}"


def site_uri(path: str) -> str:
    """Where the site has a file of the repository."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{ELSEWHERE}/{path}"
