import io

import nbformat
from faults import event, line, serve
from nbclient import NotebookClient

from ade_client.progress import Progress, Terminal


def told(*events):
    progress = Progress()
    for kind, payload, more in events:
        progress.take({"type": kind, "payload": payload, **more})
    return progress


def test_a_run_that_builds_is_as_far_as_its_phases():
    steps = [
        ("run.queued", {}, {}),
        ("build.created", {}, {"run_id": "run_1"}),
        ("build.phase.completed", {"phase": "create_venv"}, {}),
        ("build.phase.completed", {"phase": "upgrade_pip"}, {}),
        ("build.phase.completed", {"phase": "install_engine"}, {}),
    ]
    assert told(*steps).fraction == 0.5
    end = ("run.completed", {"status": "succeeded", "failure": None}, {})
    assert told(*steps, ("build.completed", {"status": "active"}, {"run_id": "run_1"})).status is None
    assert (told(*steps, end).fraction, told(*steps, end).status) == (1.0, "succeeded")


def test_a_failure_says_why_and_does_not_fill_the_bar():
    failure = {"code": "engine_error", "message": "no such sheet"}
    progress = told(("run.started", {}, {}), ("run.completed", {"status": "failed", "failure": failure}, {}))
    assert (progress.text, progress.fraction) == ("failed: no such sheet", 0.0)


def test_an_execution_is_as_far_as_its_steps():
    progress = told(
        ("execution_started", {"steps": ["plan", "write"]}, {}),
        ("step_completed", {}, {"step_id": "plan", "item": "a"}),
        ("step_completed", {}, {"step_id": "plan", "item": None}),
        ("clarification_needed", {"questions": [1, 2]}, {"step_id": "write"}),
    )
    assert (progress.fraction, progress.text) == (0.5, "write asks 2 questions")


def test_where_lines_cannot_be_written_over_each_change_is_a_line():
    out = io.StringIO()
    display = Terminal(out)
    progress = told(("run.waiting", {"reason": "capacity", "position": 2}, {}))
    display.show(progress, "live")
    display.show(progress, "live")
    display.show(progress, "reconnecting")
    display.close()
    assert out.getvalue() == "  0% waiting for capacity, number 2\n  0% waiting for capacity, number 2 (reconnecting)\n"


def test_in_a_notebook_it_is_a_bar_of_the_page():
    end = line(1, "run.completed").replace('"payload":{}', '"payload":{"status":"succeeded","failure":null}')
    with serve(lambda answer, *_: answer.stream(event(1, end))) as faults:
        program = f"""
from ade_client import AdeClient, watch
end = watch(AdeClient("{faults.url}").runs.follow("run_1"))
"""
        cells = [nbformat.v4.new_code_cell(program)]
        notebook = NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=60, kernel_name="python3").execute()
    [output] = notebook.cells[0].outputs
    assert '<progress max="1" value="1.000"' in output["data"]["text/html"]
    assert "succeeded" in output["data"]["text/html"]
