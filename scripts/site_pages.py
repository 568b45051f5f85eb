"""Hooks of `mkdocs.yml`: pages are written for a reader of the repository, and become those of a site.

README.md is the front page, and the other pages beside it join those of docs/. Links between them are turned, and a
file of the repository that a page links to is copied into the site, below files/.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FRONT = {"README.md": "index.md"}  # pages at the top of the repository, by their name in the site
FRONT |= {name: name for name in ("EXPERIMENTS.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
LINK = re.compile(r"""(?P<before>\]\(|src=")(?!\w+:|#)(?P<path>[^)#"\s]+)""")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.M | re.S)
WORKER = ROOT / "scripts" / "iframe-worker.js"
COMMENT = re.compile(r"^<!--.*?-->\n", re.M | re.S)  # beside tables, for the script that writes them


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of docs/, those beside README.md, and what else they link to."""
    pages = [ROOT / "docs" / file.src_uri for file in files.documentation_pages()]
    for name, address in FRONT.items():
        files.append(File.generated(config, address, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, f"assets/{WORKER.name}", abs_src_path=str(WORKER)))
    for target in {target for page in [*pages, *map(ROOT.joinpath, FRONT)] for target in _targets(page)}:
        if target.is_file() and (address := _address(target)).startswith("files/"):
            files.append(File.generated(config, address, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The text with the links of a site. One that leads to a folder stays as words alone."""
    names = {address: name for name, address in FRONT.items()}
    source = ROOT / names.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    here = posixpath.dirname(page.file.src_uri) or "."

    def turned(found: re.Match[str]) -> str:
        target = (source.parent / found["path"]).resolve()
        return found["before"] + posixpath.relpath(_address(target), here)

    text = COMMENT.sub("\n", markdown)
    text = re.sub(r"\[([^\]]+)\]\(([^)#\s:]+)\)", lambda found: _words_of_folder(source, found), text)
    parts = CODE.split(text)
    codes = CODE.findall(text)
    return "".join(LINK.sub(turned, part) + code for part, code in zip(parts, [*codes, ""], strict=True))


def _words_of_folder(source: Path, found: re.Match[str]) -> str:
    return found[1] if (source.parent / found[2]).is_dir() else found[0]


def _targets(page: Path) -> list[Path]:
    """The files of the repository that a page links to."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    paths = [(page.parent / found["path"]).resolve() for found in LINK.finditer(text)]
    return [path for path in paths if path.is_relative_to(ROOT)]


def _address(target: Path) -> str:
    """Where a file of the repository lies in the site."""
    name = target.relative_to(ROOT).as_posix()
    if name in FRONT:
        return FRONT[name]
    return name.removeprefix("docs/") if name.startswith("docs/") else f"files/{name.replace('.md', '.txt')}"
