"""`crossframe retrieval`: videos found by sentences, and sentences by videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from crossframe.cli import options
from crossframe.cli.shared import choose_device, progress


def retrieval(
    data: Annotated[Path, Option(help="A list of clips with a caption on each row; a clip may have several.")],
    out: Annotated[Path, Option(help="The folder for retrieval.json.")],
    model: options.Model = "microsoft/xclip-base-patch32",
    split: Annotated[str | None, Option(help="Which clips: all, if not given.")] = None,
    root: Annotated[Path | None, Option(help="Where the videos are, if not beside the list.")] = None,
    frames: options.Frames = None,
    template: options.Template = None,
    workers: Annotated[int, Option(min=0, help="Processes that read videos.")] = 0,
    device: options.Device = None,
) -> None:
    """Rank all videos for each sentence and all sentences for each video, and write recall, ranks and nDCG."""
    from crossframe.data.captions import read_captions
    from crossframe.data.reader import Sampling
    from crossframe.evaluate.retrieval import retrieve
    from crossframe.files import check_writable, write_json
    from crossframe.text.labels import PLACE
    from crossframe.weights import load

    check_writable(out)
    if (out / "retrieval.json").exists():
        raise ValueError(f"{out} holds retrieval.json already; give another folder, or remove it")
    given = read_captions(data, split, root)
    network = load(model, device=None if device is None else choose_device(device))
    with progress() as bar:
        found = retrieve(
            network,
            given,
            template=template or PLACE,
            sampling=Sampling(frames or network.config.num_frames),
            workers=workers,
            watch=lambda loader: bar.track(loader, description="clips"),
        )
    found["made_with"] |= {"model": model, "list": str(data), "split": split}
    write_json(out / "retrieval.json", found)
    print(f"{'':<16}{'R@1':>8}{'R@5':>8}{'R@10':>8}{'MdR':>8}{'nDCG@10':>9}")
    for way in ("text_to_video", "video_to_text"):
        values = found[way]
        recalls = "".join(f"{values[f'recall_at_{k}']:>8.1%}" for k in (1, 5, 10))
        print(f"{way.replace('_', ' '):<16}{recalls}{values['median_rank']:>8.3g}{values['ndcg_at_10']:>9.3f}")
    print(out / "retrieval.json")
