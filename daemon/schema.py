"""The JSON Schema of everything on the network, derived from the messages themselves, and its hash.

`python -m daemon.schema [FILE]` writes it (docs/schema.json). Describes; decides and checks nothing.
"""

import hashlib
import json
import sys
from pathlib import Path

import msgspec

from daemon.messages import ALARM_TOPIC, API_VERSION, LEASE_TTL_S, METHODS, TOPICS, AlarmBody, ErrorCode, Header, Reply, Request

DEFAULT_FILE = Path("docs/schema.json")
CANNOT_CREATE = 73


def schema_json() -> bytes:
    """The schema as it stands in the file, byte for byte.

    `$defs` holds one JSON Schema for each struct; `telemetry` and `commands` say which struct goes where.
    """
    structs = [Header, _request_on_paper(), Reply, AlarmBody, *TOPICS.values()]
    structs += [kind for method in METHODS.values() for kind in (method.params, method.result)]
    _, components = msgspec.json.schema_components(structs, schema_hook=_anything, ref_template="#/$defs/{name}")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "atmsd network messages",
        "api": API_VERSION,
        "lease_ttl_s": LEASE_TTL_S,
        "telemetry": {
            "header": _ref(Header),
            "topics": {topic: _ref(body) for topic, body in TOPICS.items()} | {ALARM_TOPIC + "<id>": _ref(AlarmBody)},
        },
        "commands": {
            "request": _ref(Request),
            "reply": _ref(Reply),
            "methods": {
                name: {"params": _ref(method.params), "result": _ref(method.result), "changes": method.changes, "lease": method.lease}
                for name, method in METHODS.items()
            },
        },
        "error_codes": list(ErrorCode),
        "$defs": components,
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def schema_sha256() -> str:
    """Hash of the schema's file, as `hello` tells it and as `sha256sum docs/schema.json` prints it."""
    return hashlib.sha256(schema_json()).hexdigest()


def _anything(kind: type) -> dict[str, object]:
    if kind is not object:
        raise NotImplementedError(f"no schema for {kind}")
    return {"description": "Any JSON value."}


def _request_on_paper() -> type[msgspec.Struct]:
    """`Request` with its params as an object: the generator cannot print the default of a field that is kept undecoded."""
    fields = [
        (field.name, dict[str, object], msgspec.field(default_factory=dict))
        if field.type is msgspec.Raw
        else (field.name, field.type, msgspec.field(default=field.default))
        for field in msgspec.structs.fields(Request)
    ]
    return msgspec.defstruct("Request", fields, kw_only=True, forbid_unknown_fields=True, namespace={"__doc__": Request.__doc__})


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/$defs/{kind.__name__}"}


def main(arguments: list[str]) -> int:
    """Write the schema to the file named, or to docs/schema.json below the present folder; returns the exit code."""
    path = Path(arguments[0]) if arguments else DEFAULT_FILE
    try:
        path.write_bytes(schema_json())
    except OSError as error:
        sys.stderr.write(f"{path}: cannot be written ({error.strerror}). Run this from the repository's root or name a file.\n")
        return CANNOT_CREATE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
