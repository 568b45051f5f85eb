"""`crossframe search`: clips of an index that fit words, or are like an example."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from crossframe.cli import options
from crossframe.cli.shared import alarm, json_line, model_of, open_recognizer, screen, set_file_limits
from crossframe.files import check_not_read, check_page, check_unused, check_writable
from crossframe.pace import counted
from crossframe.text.labels import escaped
from crossframe.video.given import address_of, member

if TYPE_CHECKING:
    from crossframe.archive.finding import Finder
    from crossframe.archive.hits import Hit
    from crossframe.archive.store import Store


def search(
    folder: Annotated[Path, Argument(help="An index that crossframe index made.", show_default=False)],
    words: Annotated[str | None, Argument(help="What happens in the clips.", show_default=False)] = None,
    like: Annotated[str | None, Option(help="A video that they are like.")] = None,
    image: Annotated[str | None, Option(help="A picture that they are like.")] = None,
    top: Annotated[int, Option(min=1, help="How many clips.")] = 20,
    rerank: Annotated[
        int | None,
        Option(min=0, help="How many of the nearest get the whole model's score; 200 if the index has summaries."),
    ] = None,
    where: Annotated[
        str | None, Option(help="A condition, such as \"label = 'waving' AND duration BETWEEN 2 AND 9\".")
    ] = None,
    dedupe: Annotated[bool, Option("--dedupe", help="Find clips that are nearly the same.")] = False,
    alike: Annotated[float, Option(min=0, max=1, metavar="<cosine>", help="From where on clips are the same.")] = 0.98,
    as_json: Annotated[bool, Option("--json", help="One JSON object for each clip, and nothing else.")] = False,
    html: Annotated[Path | None, Option(help="Write a page that shows the clips here.")] = None,
    out: Annotated[Path | None, Option(help="Write a list of the clips here, .csv or .parquet, for train.")] = None,
    model: Annotated[str | None, Option(help="Where the model is, if no longer where it was.")] = None,
    device: options.Device = None,
    template: options.Template = None,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
    timeout: options.Timeout = 60.0,
    memory: options.Memory = None,
    most_frames: options.MostFrames = None,
) -> None:
    """Find clips of an index by words, by example, or both; or those that are nearly the same."""
    if not dedupe and not (words or like or image):
        raise typer.BadParameter("say what to look for, or give --like, --image or --dedupe", param_hint="WORDS")
    if dedupe and (words or like or image or html):
        raise typer.BadParameter("compares all clips: give no question, no page", param_hint="--dedupe")
    _check_files(html, out, like, image)
    set_file_limits(memory, most_frames)
    from crossframe.archive.store import Store

    store = Store.open(folder)
    store.check(where)
    if dedupe:
        _show_duplicates(store, alike, where, as_json=as_json, out=out)
        return
    from crossframe.archive.finding import Finder

    settings: dict[str, Any] = {"num_frames": store.run["num_frames"], "precision": store.run["precision"]}
    settings |= {"template": template, "words": words is not None}
    source = model_of(folder, store.run["model"], model)
    recognizer = open_recognizer(source, device, workers, batch_size, timeout, **settings)
    finder = Finder(folder, recognizer)
    hits = finder.find(words, like=like, image=image, top=top, rerank=rerank, where=where)
    for hit in hits:
        if hit.error:
            print(f"crossframe: {escaped(hit.error)}", file=sys.stderr)
    asked = [*([words] if words else []), *(f"like {name}" for name in (like, image) if name)]
    _show(hits, finder, ", ".join(asked), as_json=as_json)
    if html:
        _write_page(html, finder, hits, ", ".join(asked), where)
    if out:
        _write_list(out, hits, words)
    raise typer.Exit(int(any(hit.error for hit in hits)))


def _check_files(html: Path | None, out: Path | None, *examples: str | None) -> None:
    """Raise now what would be raised later."""
    for given in examples:
        if given and address_of(given) is None and member(Path(given)) is None and not Path(given).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), given)
    if out:
        check_not_read(out, *examples)
        from crossframe.data.manifest import check_form

        check_form(out)
        check_unused(out)
        check_writable(out.parent)
    if html:
        check_page(html)


def _show(hits: list[Hit], finder: Finder, asked: str, *, as_json: bool) -> None:
    shown = screen()
    if as_json:
        for hit in hits:
            line = json_line(hit.to_dict() | {"weights": finder.store.run["weights"]}, shown.encoding)
            shown.out(line, highlight=False)
        return
    if not hits:
        print("crossframe: no clip of the index fits; leave --where out, or index more", file=sys.stderr)
        return
    shown.print(escaped(asked), style="bold", soft_wrap=True)
    for hit in hits:
        label = f"  {hit.label}" if hit.label else ""
        apart = "  (by its vector alone)" if not hit.reranked and any(other.reranked for other in hits) else ""
        shown.print(escaped(f"{hit.similarity:.3f}  {hit.name}{label}{apart}"), soft_wrap=True)


def _show_duplicates(store: Store, alike: float, where: str | None, *, as_json: bool, out: Path | None) -> None:
    from crossframe.archive.duplicates import duplicates, without

    groups, shown = duplicates(store, alike, where), screen()
    for number, group in enumerate(groups, 1):
        if as_json:
            shown.out(json_line({"group": number, "clips": [hit.to_dict() for hit in group]}, shown.encoding))
            continue
        for hit in group:
            shown.print(escaped(f"{number:>4}  {hit.similarity:.3f}  {hit.name}"), soft_wrap=True)
    copies = sum(map(len, groups)) - len(groups)
    if not as_json:
        print(f"crossframe: {copies:,} of {len(store):,} clips are copies of others", file=sys.stderr)
    if out:
        _write_list(out, without(store, groups, where), None)


def _write_list(out: Path, hits: list[Hit], words: str | None) -> None:
    """The clips as a manifest; their label is the words, or what the index says of them."""
    from crossframe.archive.hits import write_list

    kept = write_list(out, hits, words)
    if kept < len(hits):
        alarm(f"{out}: left out, for they are no files of this machine: {counted(len(hits) - kept, 'clip')}")
    print(out, file=sys.stderr)


def _write_page(html: Path, finder: Finder, hits: list[Hit], asked: str, where: str | None) -> None:
    from crossframe.archive.hits import write_page

    store = finder.store
    about = {**store.run, "index": str(store.folder), "where": where, "rows": len(store)}
    write_page(html, hits, asked, about)
    print(html, file=sys.stderr)
