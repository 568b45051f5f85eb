"""What is asked and answered: the answers are those of the commands, and every mistake is one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from crossframe import Recognizer
from crossframe.archive.finding import Finder
from crossframe.serve.app import make_app
from crossframe.serve.settings import Settings
from crossframe.timeline.timeline import Timeline
from tests.serve.conftest import LABELS, MADE_BY, Serve


def upload(clips: Path, name: str = "0.mp4", called: str | None = None) -> dict[str, Any]:
    return {"video": (called or name, (clips / name).read_bytes(), "video/mp4")}


def plain(answer: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(answer))


def test_an_upload_a_path_and_bytes_get_the_answer_of_classify(
    serve: Serve, clips: Path, recognizer: Recognizer
) -> None:
    client = serve()
    expected = recognizer.classify(clips / "0.mp4", LABELS, background="generic", threshold=0.2).to_dict(2) | MADE_BY
    asked = {"labels": LABELS, "background": ["generic"], "threshold": 0.2, "top": 2}
    by_form = client.post("/v1/classify", data={**asked, "threshold": "0.2", "top": "2"}, files=upload(clips))
    by_path = client.post("/v1/classify", json={"path": "0.mp4", **asked})
    content = (clips / "0.mp4").read_bytes()
    by_bytes = client.post("/v1/classify", params=asked, content=content, headers={"content-type": "video/mp4"})
    for answer, called in ((by_form, "0.mp4"), (by_path, "0.mp4"), (by_bytes, "upload")):
        assert answer.status_code == 200, answer.text
        assert answer.json() == plain(expected) | {"video": called}


def test_names_are_those_that_browsers_encode(serve: Serve, clips: Path) -> None:
    for sent, name in (("a %22b%22 100%25.mp4", 'a "b" 100%25.mp4'), ("two%0D%0Alines.mp4", "two\r\nlines.mp4")):
        body = f'--x\r\nContent-Disposition: form-data; name="video"; filename="{sent}"\r\n\r\n'.encode()
        body += (clips / "0.mp4").read_bytes() + b"\r\n--x--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = serve(labels=("one", "two")).post("/v1/classify", content=body, headers=headers)
        assert answer.json()["video"] == name
        broken = serve(labels=("one", "two")).post(
            "/v1/classify", content=body[:200] + b"\r\n--x--\r\n", headers=headers
        )
        assert "\n" not in broken.json()["error"]


def test_json_that_is_too_long_is_called_that(serve: Serve) -> None:
    answer = serve().post("/v1/classify", json={"path": "x" * (1 << 20)})
    assert answer.status_code == 413
    assert answer.json()["error"] == "the JSON has more than 1 MB; send less, and a video as an upload"


def test_a_part_of_a_video_is_that_of_classify(serve: Serve, clips: Path, recognizer: Recognizer) -> None:
    from crossframe import Video

    answer = serve().post("/v1/classify", json={"path": "1.mp4", "labels": LABELS, "start": 0.2, "end": 0.6}).json()
    expected = recognizer.classify(Video(clips / "1.mp4", 0.2, 0.6, "1.mp4"), LABELS).to_dict(5)
    assert answer == plain(expected) | MADE_BY
    assert (answer["start"], answer["end"]) == (0.2, 0.6)


def test_vectors_are_those_of_embed(serve: Serve, clips: Path, recognizer: Recognizer) -> None:
    answer = serve().post("/v1/embed", data={"texts": LABELS}, files=upload(clips)).json()
    assert answer["vector"] == pytest.approx(recognizer.embed_videos([clips / "0.mp4"])[0].tolist())
    assert [each["text"] for each in answer["texts"]] == LABELS
    assert answer["texts"][1]["vector"] == pytest.approx(recognizer.embed_texts(LABELS)[1].tolist())
    alone = serve().post("/v1/embed", json={"texts": ["a circle"]}).json()
    assert "vector" not in alone
    assert len(alone["texts"]) == 1


def test_windows_of_a_timeline_are_those_of_the_library(serve: Serve, clips: Path, recognizer: Recognizer) -> None:
    asked = {"path": "2.mp4", "labels": LABELS, "background": ["generic"], "window": 0.8, "stride": 0.3}
    answer = serve().post("/v1/timeline", json=asked)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    windows = list(recognizer.timeline(clips / "2.mp4", LABELS, window=0.8, stride=0.3, background="generic"))
    assert [(each["start"], each["end"]) for each in found["windows"]] == [
        (window.frames.start, window.frames.end) for window in windows
    ]
    expected = Timeline.of(windows, recognizer.question(LABELS, background="generic").scoring.labels)
    assert plain(expected.to_dict(windows=True)) | {"video": "2.mp4"} == {
        name: value for name, value in found.items() if name not in (*MADE_BY, "window", "stride")
    }
    assert (found["window"], found["stride"]) == (0.8, 0.3)
    less = {name: value for name, value in asked.items() if name != "background"}
    assert serve().post("/v1/timeline", json=less).json() == found
    del less["labels"]
    assert serve(labels=tuple(LABELS)).post("/v1/timeline", json=less).json() == found
    part = serve().post("/v1/timeline", json=asked | {"start": 0.5, "end": 1.3}).json()
    assert (part["windows"][0]["start"], part["windows"][-1]["end"]) == (0.5, 1.3)
    many = serve().post("/v1/timeline", json=asked | {"stride": 0.001})
    assert many.status_code == 422
    assert "500 windows are the most; send a stride of 0.00" in many.json()["error"]
    apart = serve().post("/v1/timeline", json=asked | {"stride": 5.0})
    assert apart.status_code == 422
    assert "a stride of 5 s leaves out what lies between windows; send at most 0.8 s" in apart.json()["error"]


def test_reasons_are_those_of_explain(serve: Serve, clips: Path, recognizer: Recognizer) -> None:
    asked = {"path": "0.mp4", "labels": LABELS, "label": LABELS[1], "top": 2}
    found = serve().post("/v1/explain", json=asked).json()
    expected = recognizer.explain(clips / "0.mp4", LABELS, label=LABELS[1]).to_dict(2)
    assert found == plain(expected) | MADE_BY | {"video": "0.mp4"}
    maps = serve().post("/v1/explain", json=asked | {"pictures": True}).json()["maps"]
    assert {each[:23] for each in maps} == {"data:image/jpeg;base64,"}
    other = serve().post("/v1/explain", json=asked | {"label": "something else"})
    assert other.status_code == 422
    assert "'something else' is not among the labels" in other.json()["error"]


def test_reasons_are_in_float32_whatever_the_precision_of_the_server_is(recognizer: Recognizer, clips: Path) -> None:
    rounding = Recognizer(recognizer.model, precision="bfloat16")
    settings = Settings(folders=(clips,), hosts=("testserver",), made_by=MADE_BY | {"precision": "bfloat16"})
    asked = {"path": "0.mp4", "labels": LABELS}
    with TestClient(make_app(rounding, settings)) as client:
        found = client.post("/v1/explain", json=asked).json()
        answer = client.post("/v1/classify", json=asked).json()
    assert found == plain(recognizer.explain(clips / "0.mp4", LABELS).to_dict(5)) | MADE_BY | {"video": "0.mp4"}
    assert answer["precision"] == "bfloat16"
    assert answer["predictions"][0]["score"] != found["predictions"][0]["score"]


def test_an_index_is_searched_by_words_and_by_an_upload(
    serve: Serve, clips: Path, index: Path, recognizer: Recognizer
) -> None:
    client = serve(index=index)
    words = "a circle that is pulsing"
    answer = client.post("/v1/search", json={"words": words, "top": 2, "pictures": True})
    assert answer.status_code == 200, answer.text
    expected = [hit.to_dict() for hit in Finder(index, recognizer).find(words, top=2)]
    hits = answer.json()["hits"]
    assert [{name: value for name, value in hit.items() if name != "pictures"} for hit in hits] == expected
    assert all(len(hit["pictures"]) == 8 for hit in hits)
    alike = client.post("/v1/search", files=upload(clips, "1.mp4")).json()["hits"]
    assert Path(alike[0]["video"]).name == "1.mp4"
    assert alike[0]["similarity"] == pytest.approx(1.0, abs=1e-4)
    assert "pictures" not in alike[0]
    assert "send words, or a video" in client.post("/v1/search", json={}).json()["error"]
    assert serve().post("/v1/search", json={"words": words}).status_code == 404


def test_pictures_come_where_they_are_asked_for(serve: Serve, clips: Path) -> None:
    asked = {"path": "0.mp4", "labels": LABELS}
    pictures = serve().post("/v1/classify", json=asked | {"pictures": True}).json()["pictures"]
    assert {picture[:23] for picture in pictures} == {"data:image/jpeg;base64,"}
    assert "pictures" not in serve().post("/v1/classify", json=asked).json()


def test_the_server_has_labels_of_its_own(serve: Serve, clips: Path) -> None:
    answer = serve(labels=("one", "two")).post("/v1/classify", files=upload(clips)).json()
    assert {each["label"] for each in answer["predictions"]} == {"one", "two"}
    assert "s own: one, two.</small>" in serve(labels=("one", "two")).get("/").text


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"path": "0.mp4"}, 422, "there are no labels; send what the video may show"),
        ({"labels": ["a"]}, 422, "there is no video; send one in the field video, or a path"),
        ({"path": "none.mp4", "labels": ["a"]}, 404, "none.mp4 is not there; check the path"),
        ({"path": "0.mp4", "labels": []}, 422, "labels is []: list should have at least 1 item"),
        ({"path": "0.mp4", "labels": ["a", "A"]}, 422, "labels 1 and 2 read the same"),
        ({"path": "0.mp4", "labels": ["a"], "lables": 1}, 422, "lables is no name of this request"),
        ({"path": "0.mp4", "labels": ["a"], "threshold": 2}, 422, "threshold is 2: input should be less than"),
        ({"path": "0.mp4", "labels": ["a"], "top": "3"}, 422, "top is '3': input should be a valid integer"),
        ({"path": "0.mp4", "labels": ["a"], "start": 2, "end": 1}, 422, "no part can last from 2.0 to 1.0 s"),
        ({"path": "0.mp4", "labels": ["a"], "start": 900}, 422, "has no frame from 900"),
        ({"path": "0.mp4", "labels": ["x" * 501]}, 422, "should have at most 500 characters"),
        ({"path": "0.mp4", "labels": [str(n) for n in range(1001)]}, 422, "1001 labels are more than 1000"),
        ([1], 422, "the body is JSON, but no object"),
    ],
)
def test_a_mistake_gets_one_line_that_names_it(serve: Serve, asked: object, status: int, said: str) -> None:
    answer = serve().post("/v1/classify", json=asked)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_bodies_of_other_kinds_are_refused_in_words(serve: Serve, clips: Path) -> None:
    client = serve()
    for content, media, status, said in (
        (b"{", "application/json", 400, "the body is no JSON"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "send multipart/form-data with a field video"),
        (b"", "", 415, "a body of type nothing is not read"),
        (b"--x", "multipart/form-data", 400, "the form cannot be read"),
        (b"no video", "video/mp4", 422, "upload: is not a video"),
        (b"", "video/mp4", 422, "upload: is empty"),
    ):
        answer = client.post("/v1/classify", params={"labels": "a"}, content=content, headers={"content-type": media})
        assert answer.status_code == status, answer.text
        assert said in answer.json()["error"]
    as_text = client.post("/v1/classify", files={"video": (None, "clip.mp4"), "labels": (None, "a")})
    assert "with curl that is -F video=@clip.mp4" in as_text.json()["error"]
    elsewhere = client.post("/v1/classify", files={"file": ("clip.mp4", b"x")})
    assert elsewhere.json()["error"] == "the file is in the field 'file'; call it video"
    assert client.get("/v1/classify").json() == {"error": "/v1/classify does not take GET; see /openapi.json"}
    nowhere, wrong = client.get("/nowhere"), client.get("/v1/classify")
    assert (nowhere.status_code, nowhere.json()["error"]) == (
        404,
        "/nowhere is no address of this server; see /openapi.json",
    )
    assert (wrong.status_code, wrong.json()["error"]) == (405, "/v1/classify does not take GET; see /openapi.json")


def test_a_video_that_is_too_long_is_refused_and_a_part_of_it_is_not(serve: Serve) -> None:
    client = serve(length=0.5)
    answer = client.post("/v1/classify", json={"path": "0.mp4", "labels": LABELS})
    assert answer.status_code == 422
    assert "0.5 s are the most; ask for a part" in answer.json()["error"]
    part = client.post("/v1/classify", json={"path": "0.mp4", "labels": LABELS, "start": 0.1, "end": 0.5})
    assert part.status_code == 200


def test_a_token_is_asked_for_everywhere_but_where_health_is(serve: Serve) -> None:
    client = serve(token="geheim ä")
    asked = {"path": "0.mp4", "labels": LABELS}
    for given in (b"", b"Bearer wrong", "geheim ä".encode(), b"Basic " + "geheim ä".encode()):
        answer = client.post("/v1/classify", json=asked, headers={"authorization": given})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    good = {"authorization": b"Bearer " + "geheim ä".encode()}
    assert client.post("/v1/classify", json=asked, headers=good).status_code == 200
    assert client.get("/metrics").status_code == 401
    assert client.get("/healthz").json() == {"alive": True}
    assert client.get("/readyz").json() == {"ready": True}


def test_a_server_on_loopback_goes_by_no_other_name(serve: Serve) -> None:
    for host in ("evil.example", "[", ""):
        answer = serve().get("/healthz", headers={"host": host})
        assert answer.status_code == 421, host
    assert serve().get("/healthz", headers={"host": "testserver:8000"}).status_code == 200


def test_what_was_asked_is_counted_and_written_down_without_contents(
    serve: Serve, clips: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve()
    with caplog.at_level("INFO", "crossframe.serve.requests"):
        answer = client.post("/v1/classify", data={"labels": LABELS}, files=upload(clips, called="secret name.mp4"))
    (line,) = [record.getMessage() for record in caplog.records if record.name == "crossframe.serve.requests"]
    written = json.loads(line)
    assert written["request"] == answer.headers["x-request-id"]
    assert (written["route"], written["status"]) == ("/v1/classify", 200)
    assert written["bytes"] > (clips / "0.mp4").stat().st_size
    assert "secret" not in line
    counted = client.get("/metrics").text
    assert 'crossframe_requests_total{route="/v1/classify",status="200"}' in counted
    assert "crossframe_requests_taken 0.0" in counted
    assert "crossframe_batch_clips_bucket" in counted
    assert "secret" not in counted
    assert "pulsing" not in counted


def test_settings_have_limits_by_default() -> None:
    usual = Settings()
    assert min(usual.queue, usual.size, usual.length, usual.most_labels, usual.seconds) > 0
    assert not usual.folders
    assert "127.0.0.1" in usual.hosts
