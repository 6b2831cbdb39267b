"""What both clients decide alike: clients/cases.json."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from ade_client._core.backoff import Backoff, answer_of
from ade_client._core.frames import Alive, Control, Event, Moved, Retry
from ade_client._core.page import parse_page
from ade_client._core.phase import Phase
from ade_client._core.place import Place
from ade_client._core.sse import Decoder
from ade_client._core.streams import events_path, parse_positions, print_positions, terminal_of, type_of

CASES = json.loads((Path(__file__).parent.parent.parent / "cases.json").read_text("utf-8"))


@pytest.mark.parametrize(("stream", "path", "terminal"), CASES["streams"])
def test_a_stream_is_what_its_id_says(stream, path, terminal):
    assert (events_path(stream), terminal_of(stream)) == (path, terminal)


@pytest.mark.parametrize("text", CASES["no_streams"])
def test_other_ids_are_refused(text):
    with pytest.raises(ValueError, match="not the id"):
        events_path(text)


@pytest.mark.parametrize("case", CASES["places"], ids=lambda case: case["what"])
def test_a_place_lets_each_event_through_once(case):
    place = Place(case["stream"], case.get("after"), case.get("tail"))
    for sequence, previous, kind, verdict in case["takes"]:
        assert place.take(sequence, previous, f'{{"type":"{kind}"}}') == verdict
    assert (place.position, place.ended, place.query()) == (case["position"], case["ended"], case["query"])


@pytest.mark.parametrize(("status", "content_type", "wanted", "answer"), CASES["answers"])
def test_an_answer_is_read_or_asked_for_again_or_final(status, content_type, wanted, answer):
    assert answer_of(status, content_type, wanted) == answer


@pytest.mark.parametrize("case", CASES["pages"])
def test_a_page_is_cut_into_the_lines_of_the_log(case):
    page = parse_page(case["text"])
    assert (page.lines, page.next_after_sequence, page.last_sequence, page.closed) == (
        case["lines"],
        case["next"],
        case["last"],
        case["closed"],
    )


def shown(frame):
    match frame:
        case Event(id, data):
            return ["event", id, data]
        case Moved(id):
            return ["moved", id]
        case Retry(seconds):
            return ["retry", seconds * 1000]
        case Alive():
            return ["alive"]
        case Control(name, data):
            return ["control", name, data]


@pytest.mark.parametrize("case", CASES["sse"], ids=lambda case: case["what"])
def test_frames_are_found_wherever_chunks_are_cut(case):
    decoder = Decoder()
    assert [shown(frame) for chunk in case["chunks"] for frame in decoder.feed(chunk.encode())] == case["frames"]
    decoder = Decoder()
    every = "".join(case["chunks"]).encode()
    assert [shown(frame) for at in range(len(every)) for frame in decoder.feed(every[at : at + 1])] == case["frames"]


def test_a_byte_order_mark_is_no_text():
    assert [shown(frame) for frame in Decoder().feed(b"\xef\xbb\xbfdata: x\nid: 1\n\n")] == [["event", "1", "x"]]


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.mark.parametrize("case", CASES["phases"], ids=lambda case: case["what"])
def test_the_state_is_what_a_person_would_say(case):
    phase, states = Phase(), []
    assert phase.state == "connecting"
    for name, *at in case["steps"]:
        getattr(phase, name)(*map(moment, at))
        states.append(phase.state)
    assert states == case["states"]


@pytest.mark.parametrize("case", CASES["pauses"])
def test_pauses_grow_up_to_a_limit(case):
    backoff = Backoff(chance=lambda: case["chance"])
    for hint in case["hints"]:
        backoff.hint(hint / 1000)
    retry_after = case.get("retry_after", 0) / 1000
    assert [backoff.next(retry_after) * 1000 for _ in case["pauses"]] == case["pauses"]
    backoff.progressed()
    assert backoff.next() * 1000 == (case["hints"] or [1000])[0]


def test_positions_in_several_streams_are_written_and_read():
    assert parse_positions("run_1:12,ws_1:3") == {"run_1": 12, "ws_1": 3}
    assert print_positions([("run_1", 12), ("ws_1", 3)]) == "run_1:12,ws_1:3"


def test_the_type_is_read_without_the_rest():
    assert type_of('{"type":"run.queued","payload":') == "run.queued"
    assert type_of('{"type":"a\\u0062"}') == "ab"
