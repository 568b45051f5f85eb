"""An archive in a bucket: a server of S3 on this machine, with names and credentials as anybody gives them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from crossframe.recognizer import Recognizer
from tests.cli.conftest import Run, command  # noqa: F401 - a fixture

LABELS = ["moving to the left", "growing"]
WORDS = [word for label in LABELS for word in ("-l", label)]
BUCKET = "an-archive"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The client of an empty bucket. What leads there, and who asks, stands in the environment."""
    moto = pytest.importorskip("moto.server", reason="pip install 'moto[server]'")
    pytest.importorskip("s3fs", reason="pip install s3fs")
    boto3 = pytest.importorskip("boto3", reason="pip install 'moto[server]'")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "word"}
    for name, value in {**settings, "DEFAULT_REGION": "us-east-1", "CONFIG_FILE": str(tmp_path / "none")}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("CROSSFRAME_CACHE", str(tmp_path / "cache"))
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield client
    server.stop()


def test_folders_and_shards_of_a_bucket_are_annotated_as_files_are(
    bucket: object,
    command: Run,  # noqa: F811
    clips: list[Path],
    tmp_path: Path,
) -> None:
    client, out = bucket, tmp_path / "out"
    for clip in clips[:3]:
        client.upload_file(str(clip), BUCKET, f"clips/day 1/{clip.name}")
    client.put_object(Bucket=BUCKET, Key="clips/bad.mp4", Body=b"no video")
    client.put_object(Bucket=BUCKET, Key="clips/notes.txt", Body=b"-")
    for number in range(2):
        shard = tmp_path / f"{number}.tar"
        with tarfile.open(shard, "w") as tar:
            for clip in clips[3 + 2 * number : 5 + 2 * number]:
                tar.add(clip, f"run/{clip.name}")
        client.upload_file(str(shard), BUCKET, f"shards/{shard.name}")
    words = ["annotate", f"s3://{BUCKET}/clips/", f"s3://{BUCKET}/shards/*.tar", "--out", out, *WORDS]
    words += ["--model", "shapes", "--precision", "float32"]
    outcome = command(*words)
    assert outcome.status == 1
    assert outcome.out == f"{out}: 7 results, 1 error; --retry tries again what ended in an error\n"
    found = {row["video"]: row for row in parquet.read_table(out / "part-00000.parquet").to_pylist()}
    where = [f"clips/day 1/{number}.mp4" for number in range(3)]
    where += [f"shards/{(number - 3) // 2}.tar/run/{number}.mp4" for number in range(3, 7)]
    assert found.keys() == {f"s3://{BUCKET}/{name}" for name in [*where, "clips/bad.mp4"]}
    assert "bad.mp4: is not a video" in found[f"s3://{BUCKET}/clips/bad.mp4"]["error"]
    recognizer = Recognizer.from_pretrained("shapes", precision="float32", workers=0)
    for name, clip in zip(where, clips, strict=False):
        expected = recognizer.classify(clip, LABELS).to_dict()["predictions"]
        assert found[f"s3://{BUCKET}/{name}"]["predictions"] == [{"group": None, **entry} for entry in expected]
    outcome = command(*words)  # nothing is missing
    assert outcome.out == f"{out}: 7 results, 1 error; --retry tries again what ended in an error\n"


def test_what_a_bucket_lacks_is_told_in_one_line(bucket: object, command: Run, tmp_path: Path) -> None:  # noqa: F811
    for given in ("s3://another-bucket/clips/", f"s3://{BUCKET}/gone/", f"s3://{BUCKET}/gone.tar"):
        outcome = command("annotate", given, "--out", tmp_path / "out", *WORDS, "--model", "shapes")
        assert outcome.status == 2
        assert outcome.err.count("\n") == 1
        assert f"{given}: " in outcome.err
