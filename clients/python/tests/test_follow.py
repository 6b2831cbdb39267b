"""Both clients against a server with faults."""

import time

import anyio
import pytest
from faults import event, line, serve, wait_until

from ade_client import AdeClient, AsyncAdeClient, ConnectionFailed, ProblemError, ProtocolError

END = line(3, "run.completed")


def follow(url, *streams, states=None, **options):
    with AdeClient(url) as client:
        reader = client.follow(*(streams or ["run_1"]), **options)
        if states is not None:
            reader.on_state(states.append)
        return [line.sequence for line in reader.lines()]


def follow_async(backend):
    def follow(url, *streams, states=None, **options):
        async def run():
            async with AsyncAdeClient(url) as client:
                reader = client.follow(*(streams or ["run_1"]), **options)
                if states is not None:
                    reader.on_state(states.append)
                return [line.sequence async for line in reader.lines()]

        return anyio.run(run, backend=backend)

    return follow


@pytest.fixture(params=[follow, follow_async("asyncio"), follow_async("trio")], ids=["sync", "asyncio", "trio"])
def taken(request):
    return request.param


def test_events_are_taken_once_and_in_order_over_connections_that_are_cut_and_repeat_themselves(taken):
    def handler(answer, _, count):
        if count == 0:
            answer.stream(event(1, line(1)), event(2, line(2)))
        else:
            answer.stream(event(1, line(1)), event(2, line(2)), event(3, END))

    with serve(handler) as faults:
        assert taken(faults.url) == [1, 2, 3]
        assert faults.seen[1].query["after_sequence"] == "2"


def test_the_reader_stops_at_the_terminal_event_though_the_server_does_not_close(taken):
    def handler(answer, _, __):
        answer.stream(event(1, line(1)), event(2, line(2)), event(3, END), event(4, line(4)), end=False)

    with serve(handler) as faults:
        assert taken(faults.url) == [1, 2, 3]
        assert len(faults.seen) == 1


def test_the_reader_comes_back_for_what_is_missing(taken):
    def handler(answer, _, count):
        answer.stream(event(1, line(1)), *([] if count == 0 else [event(2, line(2))]), event(3, END))

    with serve(handler) as faults:
        assert taken(faults.url) == [1, 2, 3]


def test_a_gap_that_is_still_there_the_second_time_is_told(taken):
    with (
        serve(lambda answer, *_: answer.stream(event(1, line(1)), event(3, END))) as faults,
        pytest.raises(ProtocolError),
    ):
        taken(faults.url)


def test_a_connection_on_which_nothing_arrives_is_given_up(taken):
    def handler(answer, _, count):
        answer.stream(event(1, line(1)), *([] if count == 0 else [event(2, line(2)), event(3, END)]), end=False)

    with serve(handler) as faults:
        assert taken(faults.url, silence=0.4) == [1, 2, 3]


def test_where_streams_do_not_get_through_the_reader_polls(taken):
    def handler(answer, seen, _):
        answer.mute() if seen.path.endswith("/stream") else answer.page(1, 3, closed=True)

    with serve(handler) as faults:
        assert taken(faults.url, silence=0.2) == [1, 2, 3]
        assert [seen.path.endswith("/stream") for seen in faults.seen] == [True, True, False]


def test_204_is_the_end_also_without_a_terminal_event(taken):
    def handler(answer, _, count):
        answer.stream(event(1, line(1))) if count == 0 else answer.empty(204)

    with serve(handler) as faults:
        assert taken(faults.url) == [1]


def test_what_coming_back_does_not_help_against_is_raised(taken):
    problem = {"code": "position_expired", "detail": "gone", "first_sequence": 40}
    with serve(lambda answer, *_: answer.json(410, problem)) as faults, pytest.raises(ProblemError) as raised:
        taken(faults.url, "ws_1", after=3)
    assert (raised.value.code, raised.value.problem["first_sequence"]) == ("position_expired", 40)


def test_each_change_of_the_state_is_told(taken):
    def handler(answer, seen, _):
        if not seen.path.endswith("/stream"):
            return answer.json(200, {"items": [], "next_after_sequence": 1, "last_sequence": 1, "closed": False})
        streams = sum(one.path.endswith("/stream") for one in faults.seen)
        if streams == 1:
            return answer.stream(event(1, line(1)))
        return answer.stream(event(2, line(2)), event(3, END))

    states = []
    with serve(handler) as faults:
        assert taken(faults.url, states=states) == [1, 2, 3]
    whole = ["connecting", "catching up", "live", "reconnecting", "catching up", "live", "ended"]
    assert states == whole


def test_several_streams_resume_together(taken):
    def handler(answer, _, count):
        first = [event("run_1:1,run_2:0", line(1)), event("run_1:1,run_2:1", line(1))]
        rest = [event("run_1:2,run_2:1", line(2, "run.completed")), event("run_1:2,run_2:2", line(2, "run.completed"))]
        answer.stream(*(first if count == 0 else rest))

    with serve(handler) as faults:
        assert taken(faults.url, "run_1", "run_2") == [1, 1, 2, 2]
        assert faults.seen[1].headers["last-event-id"] == "run_1:1,run_2:1"


def test_it_reads_no_faster_than_events_are_taken():
    written = 0
    text = "x" * 60_000

    def handler(answer, *_):
        nonlocal written
        answer.begin()
        for at in range(1, 3_000):
            answer.more(event(at, line(at).replace("{}", f'"{text}"')))
            written = at

    with serve(handler) as faults, AdeClient(faults.url) as client, client.runs.follow("run_1") as reader:
        lines = reader.lines()
        for _ in range(20):
            next(lines)
        before = -1

        def is_held_up():
            nonlocal before
            time.sleep(0.1)
            same, before = before == written, written
            return same

        wait_until(is_held_up)
        assert written < 400
        lines.close()
        assert reader.state == "ended"


def test_a_creation_whose_answer_was_lost_is_asked_for_again_under_the_same_key():
    def handler(answer, _, count):
        answer.cut() if count == 0 else answer.json(201, {"id": "run_1"})

    with serve(handler) as faults, AdeClient(faults.url, "ade_1_secret") as client:
        assert client.runs.create("cfg_1", ["doc_1"])["id"] == "run_1"
    keys = [seen.headers["idempotency-key"] for seen in faults.seen]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert faults.seen[0].headers["authorization"] == "Bearer ade_1_secret"


def test_a_change_that_may_have_been_made_is_not_sent_twice():
    with serve(lambda answer, *_: answer.cut()) as faults, AdeClient(faults.url) as client:
        with pytest.raises(ConnectionFailed):
            client.workspaces.create("a")
        assert len(faults.seen) == 1


def test_what_was_refused_before_it_began_is_sent_again_when_the_service_says():
    def handler(answer, _, count):
        busy = {"code": "draining", "detail": ""}
        answer.json(503, busy, Retry_After="0") if count == 0 else answer.json(201, {"id": "ws_1"})

    with serve(handler) as faults, AdeClient(faults.url) as client:
        assert client.workspaces.create("a")["id"] == "ws_1"


def test_a_list_is_read_part_by_part():
    def handler(answer, seen, _):
        second = seen.query.get("cursor") == "c"
        answer.json(200, {"items": [3], "next_cursor": None} if second else {"items": [1, 2], "next_cursor": "c"})

    with serve(handler) as faults, AdeClient(faults.url) as client:
        assert list(client.runs.list(workspace="ws_1", sort=["-created_at", "id"])) == [1, 2, 3]
    assert faults.seen[1].query["sort"] == "-created_at,id"


def test_what_is_looked_for_is_looked_for_by_the_service_with_whatever_way_it_is_read(taken):
    def handler(answer, seen, _):
        if seen.path.endswith("/stream"):
            answer.stream(event(5001, line(5001, "run.completed")))
        else:
            answer.page(5001, 5001, closed=True)

    with serve(handler) as faults:
        for transport in ("sse", "poll"):
            assert taken(faults.url, contains="a & b", transport=transport) == [5001]
        assert [seen.query["contains"] for seen in faults.seen] == ["a & b", "a & b"]
