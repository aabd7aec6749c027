"""The committed schema is the one the messages have now, and describes what they look like on the wire."""

import hashlib
import json
from pathlib import Path

import pytest

from daemon.messages import METHODS, TOPICS, ErrorCode
from daemon.schema import main, schema_json, schema_sha256

COMMITTED = Path(__file__).parents[2] / "docs" / "schema.json"


def test_the_committed_schema_is_current() -> None:
    assert COMMITTED.read_bytes() == schema_json(), "run: python -m daemon.schema"


def test_the_hash_is_that_of_the_file() -> None:
    assert schema_sha256() == hashlib.sha256(COMMITTED.read_bytes()).hexdigest()


def test_every_topic_method_and_error_code_is_in_it() -> None:
    schema = json.loads(schema_json())
    assert set(schema["telemetry"]["topics"]) == {*TOPICS, "v1/alarm/<id>"}
    assert set(schema["commands"]["methods"]) == set(METHODS)
    assert set(schema["error_codes"]) == set(ErrorCode)


def test_every_reference_leads_somewhere() -> None:
    schema = json.loads(schema_json())
    references: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            references.update(text for key, text in value.items() if key == "$ref")
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(schema)
    assert {reference.removeprefix("#/$defs/") for reference in references} == set(schema["$defs"])


def test_requests_and_parameters_allow_no_unknown_fields_but_telemetry_does() -> None:
    definitions = json.loads(schema_json())["$defs"]
    assert definitions["Request"]["additionalProperties"] is False
    assert definitions["TouchParams"]["additionalProperties"] is False
    assert "additionalProperties" not in definitions["Heartbeat"]


def test_it_is_written_to_the_file_named(tmp_path: Path) -> None:
    assert main([str(tmp_path / "s.json")]) == 0
    assert (tmp_path / "s.json").read_bytes() == schema_json()


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none" / "s.json")]) == 73
    assert "cannot be written" in capsys.readouterr().err
