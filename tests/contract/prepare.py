"""Gives the service something to be asked for, and prints the settings of schemathesis with the ids of it.

    prepare.py <address> <key> <settings>

Writes `known.json` beside, which the hooks read: what is not to be deleted.
"""

import json
import sys
import time
import urllib.request

ADDRESS, KEY, SETTINGS = sys.argv[1:]
API = f"{ADDRESS}/api/v1"


def call(method, url, body=None, content_type="application/json"):
    request = urllib.request.Request(url, method=method, data=body, headers={
        "Content-Type": content_type, "Authorization": f"Bearer {KEY}",
    })
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def create(path, body):
    return call("POST", f"{API}/{path}", json.dumps(body).encode())


def upload(path, name, content):
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    body = head.encode() + content + b"\r\n--x--\r\n"
    return call("POST", f"{API}/{path}", body, "multipart/form-data; boundary=x")


def until(path, fits):
    for _ in range(600):
        found = call("GET", f"{API}/{path}")
        if fits(found["status"]):
            return found
        time.sleep(0.1)
    raise SystemExit(f"{path} does not end: {found}")


workspace = create("workspaces", {"name": "Contract"})["id"]
source = {"type": "template", "template_id": "default"}
configuration = create(f"workspaces/{workspace}/configurations", {"display_name": "One", "source": source})["id"]
document = upload(f"workspaces/{workspace}/documents", "roster.csv", b"id,email\r\n1,a@example.org\r\n")["id"]
build = create(f"workspaces/{workspace}/configurations/{configuration}/builds", {})["id"]
run = create(f"configurations/{configuration}/runs", {"options": {"document_ids": [document]}})["id"]
brief = {"title": "Members register online", "goal": "No more forms on paper."}
execution = create("executions", {
    "workflow_id": "brief-to-plan", "scope_type": "project", "scope_id": "1", "input": {"brief": brief},
})["execution_id"]
written = create("documents", {"scope_type": "project", "scope_id": "2", "document_type": "note", "content": {"a": 1}})
until(f"runs/{run}", lambda status: status in ("succeeded", "failed"))
until(f"builds/{build}", lambda status: status in ("active", "failed"))
until(f"executions/{execution}", lambda status: status == "waiting_clarification")

known = {
    "workspace": [workspace],
    "configuration": [configuration],
    "document": [document, written["document_id"]],
    "run": [run],
    "execution": [execution],
    "workflow": ["brief-to-plan"],
    "step": ["requirements", "summary"],
    "path": ["pyproject.toml", "src/ade_config/manifest.json"],
}
# The `id` of each kind of work.
by_path = {"runs": run, "builds": build, "executions": execution, "workspaces": workspace}
keys = [key["id"] for key in call("GET", f"{API}/api-keys")["items"]]

with open("known.json", "w", encoding="utf-8") as told:
    json.dump([name for names in known.values() for name in names] + list(by_path.values()) + keys, told)
with open(SETTINGS, encoding="utf-8") as settings:
    print(settings.read())
for collection, name in by_path.items():
    print("[[operations]]")
    print(f'include-path-regex = "^/api/v1/{collection}/[{{]id[}}]"')
    print(f'parameters = {{ "path.id" = {{ dictionary = "{collection}", probability = 0.9 }} }}')
print("[auth.openapi]")
print(f"bearer = {{ bearer = {json.dumps(KEY)} }}")
print("[dictionaries]")
for name, values in (known | {name: [value] for name, value in by_path.items()}).items():
    print(f"{name} = {{ values = {json.dumps(values)} }}")
print("[parameters]")
for name in known:
    # The others are generated: ids that are well formed and unknown, and texts that are none.
    print(f'"path.{name}" = {{ dictionary = "{name}", probability = 0.9 }}')
