"""Events: too many, too large, or not what they seem."""

import json
import os

from ade_engine.about import option, path
from ade_engine.lines import _target


def _issue(n):
    return "run.validation.issue", {"severity": "error", "code": f"code_{n}", "field": f"field_{n}", "row": n, "message": f"m{n}"}


def _columns(n, count):
    return [{"field": f"f_{n}_{c}", "header": f"h{c}", "source_column_index": c, "score": 0.5, "is_required": True} for c in range(count)]


def _table(n, columns=2):
    mapped, kinds = _columns(n, columns), {f"c_{n}": 1}
    validation = {"issues_total": 1, "issues_by_severity": {f"s_{n}": 1}, "issues_by_code": kinds, "issues_by_field": {f"f_{n}": 1}}
    return "run.table.summary", {
        "table_id": f"t_{n}", "source_file": f"/somewhere/file_{n}.xlsx", "source_sheet": f"s_{n}", "file_index": n, "sheet_index": 0,
        "table_index": n, "row_count": 1, "column_count": columns, "validation": validation,
        "mapping": {"mapped_columns": mapped, "unmapped_columns": [{"header": f"u_{n}", "source_column_index": 1, "output_header": "raw_1"}]},
    }


def _summary(n):
    counts = {f"code_{n}_{k}": k for k in range(20)}
    return "run.validation.summary", {"issues_total": n, "issues_by_severity": counts, "issues_by_code": counts, "issues_by_field": counts}


def _same(kind, **payload):
    return lambda n: (kind, {key: value.format(n) if isinstance(value, str) else value for key, value in payload.items()})


MAKERS = {
    "issue": _issue,
    "table": _table,
    "summary": _summary,
    "phase": _same("run.phase.started", phase="phase_{}", message="m"),
    "phase_end": _same("run.phase.completed", phase="phase_{}", status="succeeded", duration_ms=1, metrics={"a": 1}),
    "error": _same("run.error", stage="run", phase="phase_{}", code="code_{}", message="m{}"),
    "console": _same("console.line", level="error", message="line {}", logger="logger_{}"),
    "unknown": _same("custom.kind_{}", n="{}"),
    "reserved": lambda n: (["run.queued", "run.waiting", "run.cancelling", "build.completed", "stream.degraded"][n % 5], {"n": n}),
    "started": _same("run.started", engine_version="v{}"),
    "completed": _same("run.completed", status="succeeded", output_paths=["output/file_{}"], error={"code": "c"}),
}


def _line(kind, payload):
    return (json.dumps({"type": kind, "payload": payload}) + "\n").encode()


def emit(where, kind, count, distinct="distinct"):
    """``emit WHERE KIND COUNT [same]``: so many events of a kind, each with names of its own."""
    with _target(where) as target:
        for n in range(int(count)):
            name, payload = MAKERS[kind](n if distinct == "distinct" else 0)
            target.write(_line(name if kind != "unknown" else f"custom.kind_{n}", payload))


def tables(where, count, columns):
    """``tables WHERE COUNT COLUMNS``: each as wide as an event may be."""
    with _target(where) as target:
        for n in range(int(count)):
            target.write(_line(*_table(n, int(columns))))


def large(where, count, size):
    """``large WHERE COUNT BYTES``: events whose lines have this size."""
    with _target(where) as target:
        for n in range(int(count)):
            head = b'{"type":"test.large","payload":{"n":%d,"text":"' % n
            target.write(head + b"x" * (int(size) - len(head) - 4) + b'"}}\n')


def nested(where, depth, opening="["):
    """``nested WHERE DEPTH [OPENING]``: a payload of brackets in brackets, once closed and once not."""
    opening, closing = {"[": ("[", "]"), "{": ('{"a":', "}")}[opening]
    depth = int(depth)
    with _target(where) as target:
        middle = "0" if opening != "[" else ""
        target.write(('{"type":"test.nested","payload":{"a":' + opening * depth + middle + closing * depth + "}}\n").encode())
        target.write(('{"type":"test.nested","payload":{"a":' + opening * depth + "\n").encode())


def wide_payload(where, keys):
    """``wide_payload WHERE KEYS``: one object of many keys."""
    with _target(where) as target:
        target.write(_line("test.wide", {f"k{n}": n for n in range(int(keys))}))


def strange(where):
    """Events that are barely JSON, or JSON that barely is an event."""
    with _target(where) as target:
        target.write(STRANGE)


def forged(where, *ids):
    """``forged WHERE SEQUENCE RUN``: an event that says whose it is, and where it stands."""
    sequence, run = ids
    stolen = {"sequence": int(sequence), "run_id": run, "event_id": "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "source": "api",
              "workspace_id": "ws_x", "build_id": "build_x", "created_at": "1970-01-01T00:00:00Z", "engine_timestamp": 7}
    with _target(where) as target:
        target.write((json.dumps({"type": "test.forged", "payload": {}} | stolen) + "\n").encode())
        target.write((json.dumps({**stolen, "type": "run.completed", "payload": {"status": "succeeded"}}) + "\n").encode())
        target.write((json.dumps({**stolen, "type": "test.after", "payload": {"sequence": int(sequence)}}) + "\n").encode())


def result(*text):
    """The last line of standard output."""
    print(" ".join(text), flush=True)


def result_paths(count):
    """``result_paths COUNT``: a result with so many outputs that are not there."""
    with _target("stdout") as target:
        target.write(b'{"status":"succeeded","output_paths":[')
        for n in range(int(count)):
            target.write(b'"output/%d.xlsx",' % n)
        target.write(b'"output/last.xlsx"],"processed_files":[]}\n')


def result_size(megabytes):
    """``result_size MEGABYTES``: a result with a long message."""
    with _target("stdout") as target:
        target.write(b'{"status":"failed","error":{"message":"')
        for _ in range(int(megabytes)):
            target.write(b"m" * (1 << 20))
        target.write(b'"}}\n')


def later(name, text):
    """The event file of another life: written at once, under the name of a file that is moved into its place."""
    with open(path(name), "a") as file:
        file.write(json.dumps({"type": "test.later", "payload": {"text": text}}) + "\n")
    os.replace(path(name), os.path.join(option("--logs-dir"), "events.ndjson"))


STRANGE = b"\n".join([
    b'{"type":"test.null","payload":null}', b'{"type":"test.list","payload":[1]}', b'{"type":"test.text","payload":"x"}',
    b'{"type":"","payload":{}}', b'{"type":" ","payload":{}}', b'{"type":"a\\nid: 7\\n\\n","payload":{}}', b'{"type":"run.","payload":{}}',
    b'{"type":"test.surrogate","payload":{"a":"\\ud800","b":"\\udc00\\ud800"}}', b'{"type":"test.nul","payload":{"\\u0000":"\\u0000"}}',
    b'{"type":"test.number","payload":{"a":1e999,"b":-1e999,"c":123456789012345678901234567890,"d":-0,"e":0.1e-400}}',
    b'{"type":"test.nan","payload":{"a":NaN,"b":Infinity}}', b'{"type":"test.twice","payload":{"a":1,"a":2},"payload":{},"type":"run.completed"}',
    b'{"type":"test.raw\xff","payload":{"a":"\xff\xfe"}}', b'\xef\xbb\xbf{"type":"test.bom","payload":{}}', b'{"type":"test.cr","payload":{}}\r',
    b'{"type":"test.rest","payload":{}} and more', b'{"type":"test.two","payload":{}}{"type":"test.two","payload":{}}', b'{"type":7}', b'{}', b'[]',
    b'{"type":"run.table.summary","payload":{"mapping":7,"validation":[],"row_count":-1,"file_index":1e30,"table_index":"x"}}',
    b'{"type":"run.table.summary","payload":{"row_count":18446744073709551615,"column_count":18446744073709551615,"mapping":{"mapped_columns":[1,null,{"field":7}]}}}',
    b'{"type":"run.table.summary","payload":{"row_count":9223372036854775807,"validation":{"issues_total":9223372036854775807,"issues_by_code":{"a":9223372036854775807}}}}',
    b'{"type":"run.table.summary","payload":{"row_count":9223372036854775807,"validation":{"issues_total":9223372036854775807,"issues_by_code":{"a":9223372036854775807}}}}',
    b'{"type":"run.validation.summary","payload":{"issues_total":-9223372036854775808,"issues_by_severity":{"error":-1},"max_severity":{}}}',
    b'{"type":"run.validation.issue","payload":{"severity":[],"code":{},"field":null,"row":"x"}}', b'{"type":"run.phase.started","payload":{"phase":null}}',
    b'{"type":"run.phase.completed","payload":{"phase":"never_begun","duration_ms":-5}}', b'{"type":"run.error","payload":{"code":7,"message":[],"stage":{}}}',
    b'{"type":"console.line","payload":{"message":{"a":1},"level":"loud","stream":"nowhere","scope":"build"}}', b'{"type":"console.line"}',
    b'{"type":"run.started","payload":7}', b'{"type":"run.completed","payload":{"status":"no such","output_paths":{"a":1},"error":[]}}', b"",
])
