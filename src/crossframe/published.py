"""Hugging Face's habits: `from_pretrained`, `save_pretrained` and `push_to_hub`, as methods of a model.

The hub's own mixin pushes; reading, writing and the card are those of this software. They stand above the model, which
imports nothing of them: they are called by their names. The mixin is no base of the model, since importing it takes as
long as a tenth of `crossframe classify`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from huggingface_hub import ModelCard

PAPER = "https://arxiv.org/abs/2208.02816"
CARD = "README.md"


class Published:
    """A model that can be read from the hub and written to it, or to a folder in its layout."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **options: Any,
    ) -> Self:
        """A model from a hub id, a folder or a file: whatever `crossframe.load` takes, with its `options`.

        `revision`: a branch, a tag or a commit of the hub; `token`, `cache_dir`, `force_download` and
        `local_files_only` are those of the hub's client.
        """
        weights = import_module("crossframe.weights")
        access = weights.Access(token, cache_dir, force_download, local_files_only)
        source = f"{pretrained_model_name_or_path}@{revision}" if revision else pretrained_model_name_or_path
        return weights.load(source, access=access, **options)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: Any = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write the model as `crossframe.save` does, and a card beside it where there is none.

        With `push_to_hub` it goes to the hub too, as `repo_id` or by the folder's name; returns the address then.
        """
        folder: Path = import_module("crossframe.weights").save(self, save_directory)
        if not (folder / CARD).exists():
            self.generate_model_card(**{"name": repo_id or folder.name} | (model_card_kwargs or {})).save(folder / CARD)
        if not push_to_hub:
            return None
        name = repo_id or folder.name
        return self.push_to_hub(name, model_card_kwargs=model_card_kwargs, **push_to_hub_kwargs)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Put the model with its card on the hub as `repo_id`, and return the commit's address.

        `options` are those of `huggingface_hub.ModelHubMixin.push_to_hub`: `private`, `token`, `branch`, `create_pr`,
        `commit_message` and others; `model_card_kwargs` are for `generate_model_card`.
        """
        from huggingface_hub import ModelHubMixin

        return ModelHubMixin.push_to_hub(cast("Any", self), repo_id, **options)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card of the model; see `crossframe.evaluate.card.model_card` for what it takes.

        With `run`, the folder of a training, it says what was trained on what, and what came of it.
        """
        return import_module("crossframe.evaluate.card").model_card(self, *args, **kwargs)
