"""Rebuild CLIP's merges, `src/crossframe/text/clip_merges.txt.gz`, from the package that ships them.

    python scripts/build_clip_tokenizer.py [WHEEL]

Without a path to the wheel of `clip-anytorch` (MIT license), pip downloads it; nothing of it is installed or run. The
vocabulary inside lists 262,144 merges after a header line, of which CLIP uses the first 48,894. The same wheel gives
the same file, byte for byte.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "clip-anytorch==2.6.0"
MEMBER = "clip/bpe_simple_vocab_16e6.txt.gz"
TARGET = Path(__file__).parents[1] / "src" / "crossframe" / "text" / "clip_merges.txt.gz"
# 49,408 tokens: 256 bytes, each twice (inside a word and ending one), the merges, start and end.
MERGES = 49_408 - 2 * 256 - 2


def download(folder: Path) -> Path:
    """Download the wheel, without its dependencies, and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def pack(wheel: Path) -> bytes:
    """The merges that CLIP uses, one pair a line, compressed."""
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read(MEMBER)).decode("utf-8").split("\n")
    merges = lines[1 : 1 + MERGES]
    if len(merges) != MERGES or any(len(line.split(" ")) != 2 for line in merges):
        raise ValueError(f"{wheel} does not hold CLIP's vocabulary: expected {MERGES} pairs in {MEMBER}")
    return gzip.compress("\n".join(merges).encode("utf-8"), compresslevel=9, mtime=0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild CLIP's merges from the wheel of clip-anytorch.")
    parser.add_argument("wheel", type=Path, nargs="?", help="a wheel that is already here")
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        TARGET.write_bytes(pack(wheel or download(Path(folder))))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
