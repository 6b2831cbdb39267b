"""Every operation of the service's contract has a method of this client, or a reason why it has none."""

import json
import re
from pathlib import Path

import httpx
import pytest

from ade_client import AdeClient

DOCUMENT = Path(__file__).parents[3] / "docs/openapi.json"
RUN, BUILD, EXECUTION, WORKSPACE = (f"{kind}_01ARZ3NDEKTSV4RRFFQ69G5FAV" for kind in ("run", "build", "exec", "ws"))
OF = ("ws_1", "cfg_1")


class Done(Exception):
    """What a method sends is known."""


METHODS = {
    "list_api_keys": lambda client: client.api_keys.list(),
    "create_api_key": lambda client: client.api_keys.create("ci", "viewer"),
    "show_api_key": lambda client: client.api_keys.get("key_1"),
    "revoke_api_key": lambda client: client.api_keys.revoke("key_1"),
    "list_audit_entries": lambda client: client.system.audit(),
    "show_actors": lambda client: client.system.actors(),
    "list_nodes": lambda client: client.system.nodes(),
    "run_maintenance": lambda client: client.system.maintain(),
    "show_safe_mode": lambda client: client.system.safe_mode(),
    "switch_safe_mode": lambda client: client.system.set_safe_mode(True),
    "show_health": lambda client: client.system.health(),
    "show_build": lambda client: client.builds.get(BUILD),
    "cancel_build": lambda client: client.builds.cancel(BUILD),
    "ensure_build": lambda client: client.builds.create(*OF),
    "list_builds": lambda client: client.builds.list(*OF).first(1),
    "list_workspace_builds": lambda client: client.builds.list("ws_1").first(1),
    "list_build_console_lines": lambda client: client.builds.console(BUILD),
    "read_build_events": lambda client: next(client.builds.follow(BUILD, transport="poll").lines()),
    "stream_build_events": lambda client: next(client.builds.follow(BUILD).lines()),
    "download_build_events": lambda client: client.builds.log(BUILD),
    "list_runs": lambda client: client.runs.list(workspace="ws_1").first(1),
    "list_runs_of_configuration": lambda client: client.runs.list(configuration="cfg_1").first(1),
    "create_run": lambda client: client.runs.create("cfg_1"),
    "show_run": lambda client: client.runs.get(RUN),
    "cancel_run": lambda client: client.runs.cancel(RUN),
    "retry_run": lambda client: client.runs.retry(RUN),
    "show_run_summary": lambda client: client.runs.summary(RUN),
    "show_run_diagnostics": lambda client: client.runs.diagnostics(RUN),
    "list_run_outputs": lambda client: client.runs.outputs(RUN),
    "download_run_output": lambda client: client.runs.download(RUN, "/nowhere", "a/b.xlsx"),
    "list_run_console_lines": lambda client: client.runs.console(RUN),
    "read_run_events": lambda client: next(client.runs.follow(RUN, transport="poll").lines()),
    "stream_run_events": lambda client: next(client.runs.follow(RUN).lines()),
    "download_run_events": lambda client: client.runs.log(RUN),
    "list_executions": lambda client: client.executions.list().first(1),
    "create_execution": lambda client: client.executions.create("w", scope_type="s", scope_id="1"),
    "show_execution": lambda client: client.executions.get(EXECUTION),
    "cancel_execution": lambda client: client.executions.cancel(EXECUTION),
    "retry_execution": lambda client: client.executions.retry(EXECUTION),
    "list_steps": lambda client: client.executions.steps(EXECUTION),
    "answer_questions": lambda client: client.executions.answer(EXECUTION, "step", {}),
    "decide_on_document": lambda client: client.executions.decide(EXECUTION, "step", True),
    "show_call_prompt": lambda client: client.executions.prompt(EXECUTION, "call_1"),
    "show_execution_costs": lambda client: client.executions.costs(EXECUTION),
    "read_execution_events": lambda client: next(client.executions.follow(EXECUTION, transport="poll").lines()),
    "stream_execution_events": lambda client: next(client.executions.follow(EXECUTION).lines()),
    "download_execution_events": lambda client: client.executions.log(EXECUTION),
    "list_workflows": lambda client: client.workflows.list(),
    "create_workflow": lambda client: client.workflows.create({}),
    "show_workflow": lambda client: client.workflows.get("w"),
    "replace_workflow": lambda client: client.workflows.replace("w", {}, etag='"1"'),
    "delete_workflow": lambda client: client.workflows.delete("w"),
    "show_step_schema": lambda client: client.workflows.schema("w", "step"),
    "show_workflow_stats": lambda client: client.workflows.stats("w"),
    "show_usage": lambda client: client.workflows.usage(),
    "list_workflow_documents": lambda client: client.workflow_documents.list().first(1),
    "create_workflow_document": lambda client: client.workflow_documents.create({}),
    "show_workflow_document": lambda client: client.workflow_documents.get("doc_1"),
    "change_workflow_document": lambda client: client.workflow_documents.change("doc_1", {}, etag='"1"'),
    "list_workflow_document_versions": lambda client: client.workflow_documents.versions("doc_1").first(1),
    "show_session": lambda client: client.session(),
    "create_stream_ticket": lambda client: client.ticket(RUN),
    "list_workspaces": lambda client: client.workspaces.list().first(1),
    "create_workspace": lambda client: client.workspaces.create("a"),
    "show_workspace": lambda client: client.workspaces.get("ws_1"),
    "change_workspace": lambda client: client.workspaces.change("ws_1", name="b"),
    "delete_workspace": lambda client: client.workspaces.delete("ws_1"),
    "choose_workspace": lambda client: client.workspaces.choose("ws_1"),
    "read_feed_events": lambda client: next(client.workspaces.follow(WORKSPACE, transport="poll").lines()),
    "stream_feed_events": lambda client: next(client.workspaces.follow(WORKSPACE, after=1).lines()),
    "download_feed_events": lambda client: client.workspaces.log(WORKSPACE),
    "list_configurations": lambda client: client.configurations.list("ws_1").first(1),
    "create_configuration": lambda client: client.configurations.create("ws_1", "a"),
    "import_configuration": lambda client: client.configurations.import_("ws_1", b"zip"),
    "show_configuration": lambda client: client.configurations.get(*OF),
    "change_configuration": lambda client: client.configurations.rename(*OF, "b"),
    "delete_configuration": lambda client: client.configurations.delete(*OF),
    "publish_configuration": lambda client: client.configurations.publish(*OF),
    "activate_configuration": lambda client: client.configurations.activate(*OF),
    "deactivate_configuration": lambda client: client.configurations.deactivate(*OF),
    "validate_configuration": lambda client: client.configurations.validate(*OF),
    "export_configuration": lambda client: client.configurations.export(*OF),
    "replace_configuration": lambda client: client.configurations.replace(*OF, b"zip", etag='"1"'),
    "list_configuration_files": lambda client: client.configuration_files.page(*OF),
    "read_configuration_file": lambda client: client.configuration_files.read(*OF, "a/b.py"),
    "write_configuration_file": lambda client: client.configuration_files.write(*OF, "a/b.py", "x"),
    "rename_configuration_file": lambda client: client.configuration_files.rename(*OF, "a/b.py", "c.py"),
    "delete_configuration_file": lambda client: client.configuration_files.delete(*OF, "a/b.py", etag='"1"'),
    "make_configuration_directory": lambda client: client.configuration_files.make_directory(*OF, "a/b"),
    "delete_configuration_directory": lambda client: client.configuration_files.delete_directory(*OF, "a/b"),
    "list_documents": lambda client: client.documents.list("ws_1").first(1),
    "upload_document": lambda client: client.documents.upload("ws_1", b"a", "a.csv"),
    "show_document": lambda client: client.documents.get("ws_1", "doc_1"),
    "change_document": lambda client: client.documents.change("ws_1", "doc_1", tags=[]),
    "delete_document": lambda client: client.documents.delete("ws_1", "doc_1"),
    "download_document": lambda client: client.documents.download("ws_1", "doc_1", "/nowhere"),
    "list_sheets": lambda client: client.documents.sheets("ws_1", "doc_1"),
    "list_members": lambda client: client.members.list("ws_1"),
    "show_member": lambda client: client.members.get("ws_1", "key_1"),
    "add_member": lambda client: client.members.add("ws_1", "viewer", member="key_1"),
    "change_member": lambda client: client.members.change("ws_1", "key_1", "operator"),
    "remove_member": lambda client: client.members.remove("ws_1", "key_1"),
    "list_people": lambda client: client.members.people(),
    "stream_events": lambda client: next(client.follow(RUN, BUILD).lines()),
}

LEFT_OUT = {
    "show_service": "a page for people",
    "show_contract_page": "a page for people",
    "show_contract_style": "of a page for people",
    "show_contract": "what clients are made from",
    "sign_in": "a session is for browsers; a program has a key",
    "sign_out": "a session is for browsers; a program has a key",
    "list_providers": "for a page on which people sign in",
    "begin_sign_in": "a browser goes there itself",
    "finish_sign_in": "the provider sends a browser there",
    "show_liveness": "for whoever starts and stops the service",
    "show_readiness": "for whoever starts and stops the service; `system.health` tells the same",
    "show_metrics": "for Prometheus",
    "update_member": "the same as change_member",
    "create_run_in_workspace": "the same as create_run, at a longer path",
    "list_runs_of_configuration_in_workspace": "the same as list_runs_of_configuration, at a longer path",
    "stream_execution_events_shortly": "the same as stream_execution_events, at a shorter path",
    "download_run_log": "the same as download_run_events, by an older name",
    "download_build_log": "the same as download_build_events, by an older name",
}

pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="there is no contract beside this client")


def operations() -> dict[str, tuple[str, str]]:
    """By their names, without the paths under which configurations are found as `configs`."""
    found = {}
    for path, methods in json.loads(DOCUMENT.read_text("utf-8"))["paths"].items():
        for method, told in methods.items():
            name = told.get("operationId", "") if isinstance(told, dict) else ""
            if name and not name.endswith("_alias"):
                found[name] = (method.upper(), path)
    return found


def test_each_operation_of_the_contract_has_a_method_or_a_reason_why_not():
    known = operations()
    assert not METHODS.keys() & LEFT_OUT.keys()
    missing = known.keys() - METHODS.keys() - LEFT_OUT.keys()
    assert not missing, "give them a method here, or a reason in LEFT_OUT"
    assert not (METHODS.keys() | LEFT_OUT.keys()) - known.keys(), "no operations any more"


def test_each_method_sends_what_its_operation_is():
    known = operations()
    for name, act in METHODS.items():
        sent = []

        def answer(request, sent=sent):
            sent.append(f"{request.method} {request.url.raw_path.decode().split('?')[0]}")
            raise Done

        with httpx.Client(transport=httpx.MockTransport(answer)) as http, pytest.raises(Done):
            act(AdeClient("http://service", "ade_1", http_client=http))
        method, path = known[name]
        pattern = re.sub(r"\{\w+\}", "[^/]+", path.replace("{path}", ".+"))
        assert re.fullmatch(f"{method} {pattern}", sent[0]), f"{name}: {sent}"
