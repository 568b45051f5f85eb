"""mteb's own evaluators run our encoder on tasks in its format, and find what we find."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mteb
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, Video
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.abstasks.zeroshot_classification import AbsTaskZeroShotClassification

from crossframe.data.captions import read_captions
from crossframe.data.manifest import read_manifest
from crossframe.evaluate.evaluate import evaluate_manifest
from crossframe.evaluate.retrieval import retrieve
from crossframe.mteb import Encoder
from crossframe.shapes.caption import sentence
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip
from crossframe.weights import load

CLIPS = 12


def about(name: str, kind: str, category: str, score: str) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description="Clips of drawn shapes.",
        reference=None,
        dataset={"path": "crossframe/shapes", "revision": "1"},
        type=kind,
        category=category,
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score=score,
        date=None,
        domains=[],
        task_subtypes=[],
        license=None,
        annotations_creators=None,
        dialect=None,
        modalities=["video", "text"],
        sample_creation=None,
        bibtex_citation="",
    )


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of clips of Shapes with a sentence about each."""
    folder = tmp_path_factory.mktemp("shapes")
    rows = ["path,caption"]
    for index in range(CLIPS):
        scene = draw("test", 0, index)
        write_clip(scene, folder / f"{index}.mp4")
        rows.append(f"{index}.mp4,{sentence(scene)}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


def run(encoder: Encoder, task: Any) -> dict[str, Any]:
    result = mteb.evaluate(encoder, [task], cache=None, co2_tracker=False, show_progress_bar=False)
    return result.task_results[0].scores["test"][0]


@pytest.mark.parametrize("source", ["shapes", "tiny"])
def test_zero_shot_classification_is_our_own(shapes: Path, tiny_folder: Path, source: str) -> None:
    manifest = read_manifest(shapes)
    path = "shapes" if source == "shapes" else str(tiny_folder)

    class Sentences(AbsTaskZeroShotClassification):
        metadata = about("ShapesZeroShot", "VideoZeroshotClassification", "v2t", "accuracy")
        input_column_name = "video"

        def load_data(self, **_kwargs: Any) -> None:
            features = Features({"video": Video(), "label": ClassLabel(names=list(manifest.labels))})
            files = [str(manifest.locate(clip)) for clip in manifest.clips]
            rows = {"video": files, "label": manifest.targets()}
            self.dataset = DatasetDict({"test": Dataset.from_dict(rows, features=features)})
            self.data_loaded = True

        def get_candidate_labels(self) -> list[str]:
            return list(manifest.labels)

    ours = evaluate_manifest(load(path), manifest).counts.top1
    assert run(Encoder(path), Sentences())["accuracy"] == pytest.approx(ours, abs=1e-6)
    cosine = run(Encoder(path, whole_model=False), Sentences())["accuracy"]
    assert 0 <= cosine <= 1


@pytest.mark.parametrize("direction", ["t2v", "v2t"])
def test_retrieval_is_our_own(shapes: Path, direction: str) -> None:
    given = read_captions(shapes)
    ours = retrieve(load("shapes"), given)["text_to_video" if direction == "t2v" else "video_to_text"]

    class Captions(AbsTaskRetrieval):
        metadata = about("ShapesRetrieval", "Any2AnyRetrieval", direction, "ndcg_at_10")

        def load_data(self, **_kwargs: Any) -> None:
            files = [str(given.clips.locate(clip)) for clip in given.clips.clips]
            videos = Dataset.from_dict(
                {"id": [f"v{i}" for i in range(len(files))], "video": files},
                features=Features({"id": Value("string"), "video": Video()}),
            )
            texts = Dataset.from_dict({"id": [f"t{i}" for i in range(len(given.texts))], "text": list(given.texts)})
            pairs = [(f"t{text}", f"v{video}") for video, text in given.pairs]
            if direction == "v2t":
                pairs = [(video, text) for text, video in pairs]
            relevant: dict[str, dict[str, int]] = {}
            for query, document in pairs:
                relevant.setdefault(query, {})[document] = 1
            queries, corpus = (texts, videos) if direction == "t2v" else (videos, texts)
            split = RetrievalSplitData(queries=queries, corpus=corpus, relevant_docs=relevant, top_ranked=None)
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    Captions.metadata.modalities = ["text", "video"] if direction == "t2v" else ["video", "text"]
    theirs = run(Encoder("shapes"), Captions())
    assert theirs["ndcg_at_10"] == pytest.approx(ours["ndcg_at_10"], abs=1e-5)  # which mteb rounds to five places
    for k in (1, 5, 10):
        assert theirs[f"hit_rate_at_{k}"] == pytest.approx(ours[f"recall_at_{k}"], abs=1e-5)


def test_similarity_is_the_score_of_the_whole_model(tiny_folder: Path) -> None:
    encoder = Encoder(str(tiny_folder))
    model = encoder.model
    video = torch.randn(3, 4, 3, 32, 32)
    with torch.inference_mode():
        features = model.encode_video(video)
        text = model.encode_text(model.tokenize(["golf", "yoga"]))
        logits = model.score(features, text)
    assert features.patches is not None
    rows = torch.cat([features.embedding, features.patches.flatten(1)], dim=1)
    torch.testing.assert_close(encoder.similarity(rows, text), logits)
    torch.testing.assert_close(encoder.similarity(text.numpy(), rows.numpy()), logits.T)
    torch.testing.assert_close(encoder.similarity_pairwise(rows[:2], text), logits.diagonal())
    same: Callable[..., Any] = encoder.similarity
    torch.testing.assert_close(same(rows, rows).diagonal(), torch.ones(3))
    assert encoder.mteb_model_meta.embed_dim == 32
