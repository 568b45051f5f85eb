"""A model of the Hugging Face hub, `owner/name` or `owner/name@revision`, to a local folder.

The cache, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_TOKEN` and the rest are those of the hub's own client.
"""

from __future__ import annotations

import errno
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub import errors as hub_errors

from crossframe.weights.errors import WeightsError
from crossframe.weights.folder import (
    CLIPS,
    CONFIG,
    OPEN_CLIP_CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    WEIGHTS,
    kind_of,
    shard_names,
)
from crossframe.weights.sources import close_matches

log = logging.getLogger(__name__)

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # errors that need not name a file
_SMALL = (
    *(OPEN_CLIP_CONFIG, PREPROCESSOR, PROCESSOR, CLIPS),
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"),
)


@dataclass(frozen=True, slots=True)
class Access:
    """How the hub is reached, in its client's own words; by default as its environment variables say.

    `token`: of a private model; `cache_dir`: where files are kept; `force_download`: also what is there already;
    `local_files_only`: nothing else.
    """

    token: str | bool | None = None
    cache_dir: str | Path | None = None
    force_download: bool = False
    local_files_only: bool = False

    def kept(self, name: str, file: str, revision: str | None) -> str | object | None:
        """The path of a file in the cache, None where it is not there, else a sign that the repository lacks it."""
        if self.force_download:
            return None
        return huggingface_hub.try_to_load_from_cache(name, file, cache_dir=self.cache_dir, revision=revision)


USUAL = Access()


def fetch(source: str, access: Access = USUAL) -> Path:
    """Downloads what a model needs, or finds it in the cache, and returns the folder.

    Raises `WeightsError` when the hub cannot be reached and the cache does not have it, or the hub does not know it.
    """
    name, _, tag = source.partition("@")
    revision = tag or None
    if access.kept(name, CONFIG, revision) is None and not access.local_files_only:
        _check_reachable(name, revision, access)
    config = _get(name, CONFIG, revision, access) or _get(name, OPEN_CLIP_CONFIG, revision, access)
    if config is None:
        raise WeightsError(f"{name} on the hub has neither {CONFIG} nor {OPEN_CLIP_CONFIG}: it is no model known here")
    folder = config.parent
    commit = folder.name  # so that the other files cannot come from a later commit
    for file in _SMALL:
        _get(name, file, commit, access)
    for file in WEIGHTS[kind_of(folder)]:
        if path := _get(name, file, commit, access):
            for shard in shard_names(path) if file.endswith(".index.json") else ():
                if _get(name, shard, commit, access) is None:
                    raise WeightsError(f"{name} on the hub lacks {shard}, to which its {file} refers")
            return folder
    raise WeightsError(f"{name} on the hub holds no weights; expected {' or '.join(WEIGHTS[kind_of(folder)])}")


def is_kept(source: str) -> bool:
    """True if the cache has weights of a model of the hub. The hub is not asked."""
    name, _, tag = source.partition("@")
    configs = (USUAL.kept(name, file, tag or None) for file in (CONFIG, OPEN_CLIP_CONFIG))
    folders = [Path(path).parent for path in configs if isinstance(path, str)]
    return any((folder / file).exists() for folder in folders for files in WEIGHTS.values() for file in files)


def _check_reachable(name: str, revision: str | None, access: Access) -> None:
    """Ask once whether the hub answers; the client would retry for half a minute before it reports that it does not."""
    try:
        address = huggingface_hub.hf_hub_url(name, CONFIG, revision=revision)
        huggingface_hub.get_hf_file_metadata(address, token=access.token)
    except (hub_errors.HfHubHTTPError, hub_errors.EntryNotFoundError, hub_errors.FileMetadataError):
        return  # it does; what it says is heard when the files are fetched
    except Exception as error:  # the client's transport errors have other types from one of its versions to the next
        raise WeightsError(_unreachable(name, CONFIG)) from error


def _get(name: str, file: str, revision: str | None, access: Access) -> Path | None:
    """The local path of one file, or None when the repository does not have it."""
    cached = access.kept(name, file, revision) if revision else None
    if cached is not None and not isinstance(cached, str):
        return None  # the cache remembers that this commit has no such file
    try:
        return Path(huggingface_hub.hf_hub_download(name, file, revision=revision, **asdict(access)))
    except hub_errors.LocalEntryNotFoundError as error:
        raise WeightsError(_unreachable(name, file)) from error
    except hub_errors.EntryNotFoundError:
        return None
    except hub_errors.GatedRepoError as error:
        raise WeightsError(
            f"{name} asks for consent: accept its terms on the hub and log in (hf auth login)"
        ) from error
    except hub_errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"the hub has no model {name}, or it is private (hf auth login){close_matches(name)}"
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{name} has no revision {revision!r}; give a branch, a tag or a full commit hash"
        ) from error
    except Exception as error:  # as above
        if isinstance(error, OSError) and (error.filename is not None or error.errno in _DISK):
            raise WeightsError(
                f"{name}: its {file} cannot be kept in {constants.HF_HUB_CACHE} ({error.strerror}); make room, or set "
                "HF_HOME to a folder that can be written"
            ) from error
        line = " ".join(str(error).split())[:200]
        raise WeightsError(f"{_unreachable(name, file)} ({type(error).__name__}: {line})") from error


def _unreachable(name: str, file: str) -> str:
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"
    return (
        f"{name}: {why} and the cache does not hold its {file}; give the path of a downloaded checkpoint, "
        "or 'shapes', the bundled model, which knows only drawn shapes"
    )
