"""What the contract says in words only, done to requests before they are sent."""

import json

import schemathesis

with open("known.json", encoding="utf-8") as told:
    KNOWN = set(json.load(told))


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.method == "DELETE":
        spare(case)
    if case.operation.definition.raw.get("operationId") == "switch_safe_mode":
        stay_open(case)
    if case.query and "perPage" in {parameter.name for parameter in case.operation.query}:
        as_a_list(case.query)
    if case.query:
        end_soon(case.query)


def spare(case):
    """What everything else is asked about, and the key that asks, stay. What the tool has made itself may go."""
    for name, value in (case.path_parameters or {}).items():
        if value in KNOWN:
            case.path_parameters[name] = value[:-4] + "0000" if "_" in value else "unknown"


def stay_open(case):
    """In safe mode everything that creates would be refused from then on."""
    if isinstance(case.body, dict) and case.body.get("enabled") is True:
        case.body["enabled"] = False


def end_soon(query):
    """The tool reads frames one by one, and lines and pages as a whole: these are not to wait for what comes."""
    if str(query.get("follow")).lower() == "true":
        query["follow"] = "false"
    if str(query.get("wait")).isdigit() and 1 < int(query["wait"]) <= 30:
        query["wait"] = 1


def as_a_list(query):
    """A page and a cursor at once, two names of one thing, and a cursor of another list are refused."""
    if query.get("cursor") is not None:
        query["cursor"] = ""
        query.pop("page", None)
    for name in [name for name in ("perPage", "page_size", "limit") if name in query][1:]:
        del query[name]
