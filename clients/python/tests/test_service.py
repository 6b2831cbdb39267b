"""What is more than streams, against the real service: `ADE` names the program."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from ade_client import AdeClient, ProblemError

PROGRAM = Path(os.environ.get("ADE", Path(__file__).parents[3] / "target/debug/ade")).resolve()

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="there is no program")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ade")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ADE")}
    settings = {"ADE_BIND": "127.0.0.1:0", "ADE_DATA_DIR": str(folder)}
    with subprocess.Popen([PROGRAM, "serve"], env=kept | settings, stdout=subprocess.PIPE, text=True) as child:
        line = child.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").strip(), (folder / "admin.key").read_text().strip()
        child.send_signal(signal.SIGTERM)
        child.wait(60)


@pytest.fixture
def client(service):
    with AdeClient(*service) as client:
        yield client


def refused(code):
    return pytest.raises(ProblemError, check=lambda problem: problem.code == code)


def test_files_of_a_configuration_are_listed_read_written_moved_and_deleted_by_who_knows_them(client):
    workspace = client.workspaces.create("Files")["id"]
    of = workspace, client.configurations.create(workspace, "Roster")["id"]
    files = client.configuration_files
    there = [entry["path"] for entry in files.list(*of, limit=2)]
    assert len(there) > 4
    assert "pyproject.toml" in there

    files.make_directory(*of, "src/ade_config/more")
    path = "src/ade_config/more/ä (1) 100%.py"
    made = files.write(*of, path, "x = 1\n")
    assert (made["created"], made["path"]) == (True, path)
    with refused("precondition_failed"):
        files.write(*of, path, "x = 2\n")
    read = files.read(*of, path)
    assert (read["content"], read["etag"]) == ("x = 1\n", made["etag"])
    written = files.write(*of, path, b"x = 2\n", etag=read["etag"])
    assert files.download(*of, path) == b"x = 2\n"
    with refused("precondition_failed"):
        files.delete(*of, path, etag=read["etag"])
    moved = files.rename(*of, path, "src/ade_config/more/b.py", etag=written["etag"])
    other = files.write(*of, "src/ade_config/more/c.py", "y")
    moved = files.rename(*of, moved["to"], "src/ade_config/more/c.py", replacing=other["etag"])
    files.delete(*of, moved["to"], etag=moved["etag"])
    files.delete_directory(*of, "src/ade_config/more", recursive=True)

    assert client.configurations.validate(*of)["issues"] == []
    assert client.configurations.rename(*of, "Members")["display_name"] == "Members"
    assert client.configurations.publish(*of)["status"] == "published"
    with refused("configuration_not_editable"):
        files.write(*of, "late.py", "")
    assert client.configurations.activate(*of)["status"] == "active"
    assert client.configurations.deactivate(*of)["status"] == "inactive"
    client.configurations.delete(*of)
    with refused("not_found"):
        client.configurations.get(*of)


def test_members_documents_and_workspaces_are_changed_and_deleted(client, service):
    workspace = client.workspaces.create("Members")["id"]
    other = client.workspaces.create("Others")["id"]
    made = client.api_keys.create("editor", "viewer", workspaces=[other])
    assert client.api_keys.get(made["id"])["name"] == "editor"
    member = client.members.add(workspace, "viewer", member=made["id"])["id"]
    with AdeClient(service[0], made["key"]) as editor:
        with refused("role_required"):
            editor.workspaces.change(workspace, name="Mine")
        client.members.change(workspace, member, "operator")
        assert editor.workspaces.change(workspace, name="Mine")["name"] == "Mine"
        assert editor.session()["memberships"] == [{"workspace_id": workspace, "role": "operator"}]
        assert [one["id"] for one in client.members.list(workspace)] == [member]
        assert client.members.get(workspace, member)["role"] == "operator"

        document = editor.documents.upload(workspace, b"a,b\n1,2\n", "a.csv")["id"]
        assert editor.documents.change(workspace, document, tags=["x"])["tags"] == ["x"]
        assert editor.documents.sheets(workspace, document)[0]["kind"] == "file"
        editor.documents.delete(workspace, document)
        with refused("not_found"):
            editor.documents.get(workspace, document)
        client.members.remove(workspace, member)
        with refused("not_found"):
            editor.workspaces.get(workspace)
    assert client.workspaces.choose(workspace)["is_default"]
    client.workspaces.delete(workspace)
    with refused("not_found"):
        client.workspaces.get(workspace)
    assert any(entry["path"].endswith("/members") for entry in client.system.audit(limit=1000)["items"])
    assert client.system.set_safe_mode(True, "for a test")["enabled"]
    assert not client.system.set_safe_mode(False)["enabled"]
    assert client.system.health()["status"] == "ok"


def test_what_a_model_was_asked_in_each_call_is_shown(client):
    brief = {"title": "Members", "goal": "Less paper."}
    made = client.executions.create("brief-to-plan", scope_type="project", scope_id="1", input={"brief": brief})
    execution, calls = made["execution_id"], []
    for event in client.executions.follow(execution):
        if event["type"] == "llm_call":
            calls.append(event["payload"]["call_id"])
        elif event["type"] == "clarification_needed":
            break
    prompt = client.executions.prompt(execution, calls[0])
    assert [message["role"] for message in prompt["messages"]] == ["system", "user"]
    assert "Less paper." in prompt["messages"][1]["text"]
    assert calls[0].encode() in client.executions.log(execution)
    with refused("not_found"):
        client.executions.prompt(execution, "call_01ARZ3NDEKTSV4RRFFQ69G5FAV")
