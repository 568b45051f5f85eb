"""An encoder for the package `mteb`, whose tasks of video (MVEB) then measure the whole model, prompts included.

    import mteb
    from crossframe.mteb import Encoder

    mteb.evaluate(Encoder("microsoft/xclip-base-patch32"), mteb.get_tasks(modalities=["video"]))

Tasks compare vectors. Here the row of a video also holds its patches where a model's words look at the video: so
`similarity` of a video and a text is the model's own score, as in the paper. Videos are read from their bytes by our
own reader: mteb's extra `video`, which needs torchcodec, is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from crossframe.extras import install_command
from crossframe.inference import TEXTS_AT_ONCE, Inference, Precision, choose_precision
from crossframe.model.xclip import VideoFeatures
from crossframe.text.labels import PLACE, wordings
from crossframe.video.decode import decode_many
from crossframe.video.given import VideoError
from crossframe.weights import load
from crossframe.weights.saving import fingerprint

BATCH = 8  # clips computed together
VIDEO, TEXT = "video", "text"

Rows = Tensor | NDArray[Any]


class Encoder:
    """A model behind the interface of `mteb.models.EncoderProtocol`.

    `whole_model`: similarities of videos and texts are the model's own scores; without it, they are cosines of vectors,
    as `mteb` compares models otherwise. A vector of a video is (E,), or (E + N * E,) where its patches are kept, which
    is for tasks that compare it with texts alone. `template` is put around every text.

    Raises ValueError for a model with a linear head, which has no words, and for tasks of sound.
    """

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        whole_model: bool = True,
        template: str | Sequence[str] = PLACE,
        precision: Precision | Literal["auto"] = "float32",
    ) -> None:
        source = model_name if revision is None else f"{model_name}@{revision}"
        model = load(source, device=device).eval()
        if model.text is None:
            raise ValueError(f"{source} has a linear head and knows no words; give a model with a text encoder")
        self.model = model
        self.whole_model = whole_model
        self.template = template
        self._name = Path(model_name).name
        self._inference = Inference(model, choose_precision(precision, model.device))

    @property
    def mteb_model_meta(self) -> Any:
        """The entry of `mteb` beside the results: the model's name, and a hash of its weights as the revision."""
        try:
            meta = import_module("mteb.models.model_meta")
        except ImportError as error:
            raise ValueError(f"mteb is not installed; this brings it: {install_command('mteb')}") from error
        values = dict.fromkeys(meta.ModelMeta.model_fields) | {
            name: field.get_default(call_default_factory=True)
            for name, field in meta.ModelMeta.model_fields.items()
            if not field.is_required()
        }
        values |= {
            "name": f"crossframe/{self._name}",
            "revision": fingerprint(self.model)[:12],
            "embed_dim": self.model.config.embed_dim,
            "n_parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "framework": ["PyTorch"],
            "modalities": [VIDEO, TEXT],
            "experiment_kwargs": {"whole_model": self.whole_model, "template": str(self.template)},
        }
        return meta.ModelMeta(**values)

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **_more: Any,
    ) -> Tensor:
        """The rows of what a DataLoader of `mteb` holds, videos or texts, float32 (B, E) or (B, E + N * E).

        Raises `VideoError` for a video that cannot be read.
        """
        columns = set(inputs.dataset.column_names)
        if VIDEO in columns:
            if "audio" in columns:
                raise ValueError(f"task {task_metadata.name} has sound, and the model hears nothing; leave it out")
            keep = self.whole_model and TEXT in task_metadata.modalities
            return torch.cat(list(self._videos(inputs.dataset, keep_patches=keep)))
        if TEXT not in columns:
            raise ValueError(f"task {task_metadata.name} has {', '.join(sorted(columns))}, not video or text")
        texts = [text for batch in inputs for text in cast("list[str]", batch[TEXT])]
        return torch.cat(
            [self._texts(texts[start : start + TEXTS_AT_ONCE]) for start in range(0, len(texts), TEXTS_AT_ONCE)]
        )

    def _texts(self, texts: list[str]) -> Tensor:
        found = self._inference.texts.of_labels(wordings(texts, self.template))
        return cast("Tensor", found).float().cpu()

    def _videos(self, dataset: Any, *, keep_patches: bool) -> Iterator[Tensor]:
        """The rows of each batch of clips, which are read from their bytes."""
        video = import_module("datasets").Video(decode=False)
        column = dataset.cast_column(VIDEO, video)[VIDEO]
        decoded = decode_many(
            (item["path"] if item["bytes"] is None else item["bytes"] for item in column),
            self.model.config.num_frames,
            short_side=self.model.preprocess.short_side,
        )
        while group := list(islice(decoded, BATCH)):
            if bad := next((found for found in group if isinstance(found, VideoError)), None):
                raise bad
            clips = [found.pixels for found in group if not isinstance(found, VideoError)]
            features = self._inference.encode(clips)
            rows = features.embedding.float().cpu()
            if keep_patches and features.patches is not None:
                rows = torch.cat([rows, features.patches.float().cpu().flatten(1)], dim=1)
            yield rows

    def similarity(self, embeddings1: Rows, embeddings2: Rows) -> Tensor:
        """Rows (A, ...) and (B, ...) -> (A, B): the model's logits of a video and a text, cosines of others."""
        first, second = _tensor(embeddings1), _tensor(embeddings2)
        size = self.model.config.embed_dim
        if first.shape[1] > size == second.shape[1]:
            return self._score(first, second)
        if second.shape[1] > size == first.shape[1]:
            return self._score(second, first).T
        return F.normalize(first[:, :size], dim=1) @ F.normalize(second[:, :size], dim=1).T

    def similarity_pairwise(self, embeddings1: Rows, embeddings2: Rows) -> Tensor:
        """Rows (A, ...) and (A, ...) -> (A,): the similarity of each pair."""
        first, second = _tensor(embeddings1), _tensor(embeddings2)
        return torch.cat([self.similarity(a[None], b[None])[0] for a, b in zip(first, second, strict=True)])

    def _score(self, videos: Tensor, texts: Tensor) -> Tensor:
        """(V, E + N * E), (C, E) -> logits (V, C), a few at a time."""
        size, device = self.model.config.embed_dim, self.model.device
        found: list[Tensor] = []
        for part in videos.split(BATCH):
            patches = part[:, size:].unflatten(1, (-1, size)).to(device)
            embedding = part[:, :size].to(device)
            features = VideoFeatures(embedding, patches, embedding.unsqueeze(1))  # a score asks for no single frame
            scores = [self._inference.score(features, some.to(device)) for some in texts.split(TEXTS_AT_ONCE)]
            found.append(torch.cat(scores, dim=1))
        return torch.cat(found)


def _tensor(rows: Rows) -> Tensor:
    return torch.as_tensor(rows).float().reshape(-1, rows.shape[-1])
