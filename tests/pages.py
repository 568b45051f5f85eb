"""What the pages of the docs say to run, and a folder in which it can be run: small clips, lists, models and runs.

A page is run from top to bottom in such a folder. What differs from what a reader does stands in `as_tested`: training
takes its tiny variant, drawing makes a few clips, and a model that would come from the hub is a small one beside it.
`NOT_RUN` lists the commands that tests only look at, each with the reason.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tarfile
from itertools import product
from pathlib import Path

import crossframe
from crossframe.cli import app
from crossframe.recipes.load import load_recipe
from crossframe.shapes.splits import draw
from crossframe.shapes.write import write_clip
from crossframe.train.build import from_scratch
from crossframe.train.run import train
from crossframe.weights import list_models

ROOT = Path(__file__).parents[1]
PAGES = tuple(str(page.relative_to(ROOT)) for page in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))))
NOT_RUN = {
    "pip": "installs packages, which needs an index",
    "make": "is the test run itself, or takes minutes to hours; the target is looked for",
    ".": "activates the environment in which this test runs",
    "torchrun": "starts processes; tests/cli/test_evaluate.py and tests/train/test_processes.py run it",
    "srun": "needs Slurm",
    "pytest": "needs a GPU or the hub",
    "git": "needs an address",
    "hf": "needs the hub",
    "--rdzv-endpoint=$(scontrol": "is the second line of a command for Slurm",
    "--no-python": "is the third line of a command for Slurm",
}
CLASSES = ("pulsing", "zigzagging")
LISTS = ("list", "k400", "k600", *(f"{name}-{n}" for name in ("hmdb", "ucf", "new") for n in "0123"))
TREES = {  # of published data sets, in miniature; the files are empty
    "k400": ["train/abseiling/-3B32lodo2M_000059_000069.mp4", "val/dying hair/---QUuC4vJs_000084_000094.mp4"],
    "ucf": ["v_YoYo_g08_c01.avi", "v_YoYo_g01_c01.avi"],
    "hmdb": ["wave/one_wave.avi", "wave/two_wave.avi"],
    "ssv2": ["1.webm", "2.webm"],
}


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in this language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S)
    return [block for said, block in fenced if said == language]


def commands(page: str) -> list[list[str]]:
    """All command lines of a page as words, without comments and redirections. Drawings have no words of commands."""
    lines = (re.sub(r"(^|\s)#.*|\s>.*", "", line) for block in blocks(page, "") for line in block.splitlines())
    known = ("crossframe", "python", "torchrun", *NOT_RUN)
    return [words for line in lines if (words := _words(line)) and words[0] in known]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a drawing
        return []


def as_tested(words: list[str]) -> list[str]:
    """The arguments of crossframe as tests run them."""
    hub = {source.name for source in list_models()} - {"shapes"}
    words = ["clip-like" if word in hub else word.replace("/data/", "data/") for word in words]
    match words[0]:
        case "train":
            return _with_init(words) + ([] if "--tiny" in words else ["--tiny"])
        case "classify" | "explain" | "timeline" if "--model" not in words:
            return [*words, "--model", "shapes"]
        case "index" if "--model" not in words and "--add" not in words and "--remove" not in words:
            return [*words, "--model", "shapes"]
        case "annotate" if "--address" in words or "s3://" in words[1]:  # tests/archive starts a cluster, and a bucket
            return [*words, "--help"]
        case "serve":  # it would not end; tests/serve starts it
            return [*words, "--help"]
        case "shapes" if "render" in words:
            return [*words, "--videos", "1" if "--long" in words else "4", "--workers", "1"]
        case "evaluate" if "--blend" in words:
            return [*words, "--set", "init=clip-like"]
        case "evaluate" if words[1] == "shapes":
            return [*words, "--videos", "8"]
        case "base-to-novel":
            return [*words, "--draws", "1", "--set", "train.epochs=1", "--set", "train.workers=0"]
        case "data" if "new-classes" in words:
            return [*words[: words.index("--classes") + 1], "1", *words[words.index("--classes") + 2 :]]
        case "data" if words[1] in ("verify", "prepare"):
            return [*words, "--workers", "1"]
        case _:
            return words


def _with_init(words: list[str]) -> list[str]:
    """Where training would start from the hub's weights, it starts from small ones."""
    words = [word.replace("google/vit-base-patch16-224-in21k", "image-encoder") for word in words]
    own = "--init" in words or words[1].startswith(("shapes", "study"))  # those start from nothing when tiny
    return words if own else [*words, "--init", "clip-like"]


def furnish(folder: Path, with_lists: bool) -> None:
    """Put what the pages speak of into the current `folder`: clips, labels, lists, models."""
    for name in ("clip.mp4", "more.mp4", "a.mp4", "b.mp4", "clips/one.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        write_clip(draw("test", 7, len(name)), folder / name)
    (folder / "labels.txt").write_text("a red circle moving left\na red circle growing\n")
    (folder / "said.json").write_text('{"rising": "a circle moving up", "falling": ["a circle moving down", "down"]}')
    for label, number in product(CLASSES, range(4)):
        path = folder / "my_clips" / label / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(draw("few_shot_train", 0, 2 * number + CLASSES.index(label)), path)
    crossframe.save(from_scratch(load_recipe("k400", tiny=True).model), folder / "clip-like")
    _many_lists(folder) if with_lists else _trees(folder)


def _many_lists(folder: Path) -> None:
    """Lists with 16 clips of each class to train on and two in the other splits."""
    splits = ["train"] * 16 + ["val"] * 2 + ["test"] * 2
    lines = ["path,label,split"]
    for label, (number, split) in product(CLASSES, enumerate(splits)):
        path = folder / "many" / f"{label}-{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "my_clips" / label / f"{number % 4}.mp4", path)
        lines.append(f"many/{path.name},{label},{split}")
    for name in LISTS:
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    halves = (line.rsplit(",", 2) for line in lines[1:])  # four classes of them
    rows = [f"{path},{label} {'ab'[int(path[-5]) % 2]},{split}" for path, label, split in halves]
    (folder / "four.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    (folder / "captions.csv").write_text("path,caption\nclip.mp4,a red circle moves\nmore.mp4,a square grows\n")
    several = [line.replace(",pulsing", ",pulsing|round") for line in lines[:9]]
    (folder / "several.csv").write_text("\n".join([*several, *lines[20:28]]) + "\n")
    (folder / "known.txt").write_text("pulsing\n")
    (folder / "lists.txt").write_text("ucf-1.csv\nhmdb-1.csv\n")
    for seed, name in enumerate(("left-out", "val"), start=1):  # which no training saw
        for number, label in enumerate(CLASSES):
            write_clip(draw("few_shot_train", seed, number), folder / "many" / f"{name}-{label}.mp4")
        rows = [f"many/{name}-{label}.mp4,{label},test" for label in CLASSES]
        (folder / f"{name}.csv").write_text("\n".join([lines[0], *rows]) + "\n")


def _trees(folder: Path) -> None:
    """Data sets as they are published, and what else docs/data.md reads."""
    for name, files in TREES.items():
        for file in files:
            (folder / "data" / name / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / "data" / name / file).touch()
    data = folder / "data"
    head = "label,youtube_id,time_start,time_end,split\n"
    (data / "k400/train.csv").write_text(f"{head}abseiling,-3B32lodo2M,59,69,train\ndying hair,---QUuC4vJs,84,94,val\n")
    for name in ("k600", "k700"):
        shutil.copytree(data / "k400", data / name)
        rows = "abseiling,-3B32lodo2M,59,69,train\ndyeing hair,---QUuC4vJs,84,94,val\nyodeling,_dbcJuKJQNs,40,50,val\n"
        (data / name / "train.csv").write_text(head + rows)
        (data / name / "val/_dbcJuKJQNs_000040_000050.mp4").touch()
    (data / "ucf/classInd.txt").write_text("1 YoYo\n")
    (data / "ucf/trainlist01.txt").write_text("YoYo/v_YoYo_g08_c01.avi 1\n")
    (data / "ucf/testlist01.txt").write_text("YoYo/v_YoYo_g01_c01.avi\n")
    (data / "hmdb/wave_test_split1.txt").write_text("one_wave.avi 1\ntwo_wave.avi 2\n")
    (data / "ssv2/labels.json").write_text('{"Pushing something": "0"}')
    for name, number in (("train", 1), ("validation", 2)):
        row = f'{{"id": "{number}", "label": "pushing a cup", "template": "Pushing [something]"}}'
        (data / f"ssv2/{name}.json").write_text(f"[{row}]")
    _other_lists(folder)
    rows = [f"my_clips/{label}/{number}.mp4,{label},train" for label, number in product(CLASSES, range(4))]
    (folder / "table.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    (folder / "renamed.csv").write_text("new,old\ndyeing hair,dying hair\n")


def _other_lists(folder: Path) -> None:
    """The same clips in the lists of other tools, whose classes are numbers, and as segments of ActivityNet."""
    shutil.copytree(folder / "my_clips", folder / "data/videos/clips")
    with tarfile.open(folder / "data/videos.tar", "w") as archive:
        archive.add(folder / "data/videos/clips", "clips")
    shutil.copy(folder / "data/videos.tar", folder / "videos.tar")
    lists = folder / "lists"
    lists.mkdir()
    for name, numbers in (("train", range(3)), ("val", range(3, 4))):
        rows = [f"clips/{label}/{n}.mp4 {CLASSES.index(label)}" for label, n in product(CLASSES, numbers)]
        (lists / f"{name}.txt").write_text("\n".join(rows) + "\n")
    shutil.copy(lists / "train.txt", folder / "all_clips.txt")
    (lists / "labels.csv").write_text("id,name\n0,pulsing\n1,zigzagging\n")
    shutil.copytree(lists, folder, dirs_exist_ok=True)
    (folder / "data/anet").mkdir()
    shutil.copy(folder / "clip.mp4", folder / "data/anet/v_abc.mp4")
    segment = {"subset": "training", "duration": 2.0, "annotations": [{"segment": [0.0, 1.0], "label": "pulsing"}]}
    (folder / "activity_net.v1-3.min.json").write_text(json.dumps({"database": {"abc": segment}}))


def tiny_run(folder: Path) -> Path:
    """A run of the recipe k400 in its tiny variant in `folder`, and in `tested` within it an evaluation of it."""
    train(load_recipe("k400", tiny=True), folder / "run", data=folder / "k400.csv")
    words = ["evaluate", "finetune", "--model", f"{folder}/run/last", "--data", f"{folder}/k400.csv"]
    app([*words, "--out", f"{folder}/run/tested"], standalone_mode=False)
    return folder / "run"


def lay_out_runs(words: list[str], trained: Path) -> None:
    """Put a copy of the run `trained`, or of its evaluation, where a command names one that no line above it made."""
    out = Path(words[words.index("--out") + 1]) if "--out" in words else None
    if words[0] == "train" and out and (out / "a-copy").exists():  # now the page makes it
        shutil.rmtree(out)
    for word in words:
        found = re.match(r"runs/[\w-]+(?=/(last|best|recipe\.yaml))", word)
        if found and not Path(found[0]).exists():
            shutil.copytree(trained, found[0])
            Path(found[0], "a-copy").touch()
        if found and not Path(found[0], "best").exists():
            shutil.copytree(trained / "last", Path(found[0], "best"))
        if words[0] in ("compare", "report") and word.startswith("runs/") and not Path(word).exists():
            shutil.copytree(trained / "tested", word)
