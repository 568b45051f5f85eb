"""Files that lists spell in several ways: relative or absolute, through `..`, or by a link."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from crossframe.video.given import ADDRESS

LINKS = 40  # from one to the next, as Linux allows


class Places:
    """Where files are, one path for all spellings of a file. Addresses and parts of archives stay as they are spelled.

    Each folder is resolved and listed once, which tells its links: asking for file after file takes minutes on a
    network drive. Only links are read. A hard link is another file.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folders: dict[str, tuple[str, Mapping[str, str]]] = {}

    def of(self, path: str) -> str:
        """The place of a file whose path starts from the root, or is absolute."""
        if ADDRESS.match(path) or ".tar/" in path:
            return path
        place = os.path.join(self._root, path)
        for _ in range(LINKS):
            folder, name = os.path.split(place)
            real, links = self._folder(folder)
            place = os.path.join(real, name)
            if name not in links:
                break
            place = os.path.join(real, links[name])
        return place

    def _folder(self, folder: str) -> tuple[str, Mapping[str, str]]:
        """The folder's own path, and the links in it, by name."""
        if folder not in self._folders:
            real = os.path.realpath(folder)
            self._folders[folder] = self._folders.get(real) or (real, _links(real))
            self._folders[real] = self._folders[folder]
        return self._folders[folder]


def _links(folder: str) -> dict[str, str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: os.readlink(entry.path) for entry in entries if entry.is_symlink()}
    except OSError:  # the folder is missing, which is told elsewhere
        return {}
