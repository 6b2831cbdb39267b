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
    if str(query.get("follow")).lower() in ("true", "1", ""):
        query["follow"] = "false"
    if str(query.get("wait")).isdigit() and 1 < int(query["wait"]) <= 30:
        query["wait"] = 1


def as_a_list(query):
    """A page and a cursor at once, two names of one thing, and a cursor of another list are refused. What is to be refused
    for what it is stays."""
    if query.get("cursor") is not None:
        query["cursor"] = ""
        if "page" in query:
            del query["page" if is_number(query["page"], 1_000_000) else "cursor"]
    sizes = [name for name in ("perPage", "page_size", "limit") if name in query]
    kept = next((name for name in sizes if not is_number(query[name], 200)), sizes[0] if sizes else None)
    for name in sizes:
        if name != kept:
            del query[name]


def is_number(value, most):
    return str(value).isdigit() and 1 <= int(value) <= most
