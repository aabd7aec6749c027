"""Every message survives its own wire, and the door between known and unknown fields stands where it should."""

import functools
import json
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.telemetry import Telemetry
from daemon import messages
from daemon.bus_requests import Call, Refusal, encode_reply, read_request
from daemon.messages import METHODS, TOPICS, Error, Expect, Header, Message, Params, Priority, Request

FINITE = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(float, FINITE)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INT64 | FINITE | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)


@functools.cache
def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a message's field, or of a whole message, read off its type."""
    known: dict[Any, st.SearchStrategy[Any]] = {
        int: INT64,
        str: TEXT,
        msgspec.Raw: JSON.map(lambda value: msgspec.Raw(msgspec.json.encode(value))),
        dict[str, object]: st.dictionaries(TEXT, JSON, max_size=3),
    }
    if kind in known:
        return known[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, **{field.name: values_of(field.type) for field in msgspec.structs.fields(kind)})
    arguments = get_args(kind)
    if type(None) in arguments:
        return st.none() | values_of(next(argument for argument in arguments if argument is not type(None)))
    if get_origin(kind) is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*map(values_of, arguments))
    if get_origin(kind) is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    return st.from_type(kind)


def kinds_of(base: type) -> list[Any]:
    found = [value for value in vars(messages).values() if isinstance(value, type) and issubclass(value, base) and value is not base]
    assert len(found) > 5
    return found


def holds_raw(kind: type[msgspec.Struct]) -> bool:
    """Anywhere inside: raw JSON compares by identity, not by what it says."""
    parts = [part for field in msgspec.structs.fields(kind) for part in (field.type, *get_args(field.type))]
    structs = [part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)]
    return msgspec.Raw in parts or any(holds_raw(struct) for struct in structs)


PLAIN = [kind for kind in (*kinds_of(Message), *kinds_of(Params)) if not holds_raw(kind)]


@pytest.mark.parametrize("kind", PLAIN)
@settings(max_examples=20)
@given(st.data())
def test_decoding_gives_back_what_was_encoded(kind: Any, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    assert msgspec.json.decode(msgspec.json.encode(value), type=kind) == value


@pytest.mark.parametrize("kind", kinds_of(Message))
@settings(max_examples=10)
@given(st.data())
def test_a_message_is_json_that_any_language_can_read(kind: Any, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    fields = json.loads(msgspec.json.encode(value))
    assert list(fields) == [field.name for field in msgspec.structs.fields(kind)]


@pytest.mark.parametrize("kind", [kind for kind in kinds_of(Message) if not holds_raw(kind)])
@settings(max_examples=10)
@given(st.data())
def test_a_client_passes_over_fields_of_a_newer_daemon(kind: Any, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    newer = json.loads(msgspec.json.encode(value)) | {"field of tomorrow": 1}
    assert msgspec.json.decode(json.dumps(newer), type=kind) == value


@pytest.mark.parametrize("kind", kinds_of(Params))
@settings(max_examples=10)
@given(st.data())
def test_a_command_with_a_field_too_many_is_refused(kind: Any, data: st.DataObject) -> None:
    fields = json.loads(msgspec.json.encode(data.draw(values_of(kind)))) | {"force": True}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(fields), type=kind)


@given(st.sampled_from(sorted(METHODS)), st.data())
def test_every_good_request_becomes_its_call(method: str, data: st.DataObject) -> None:
    params = data.draw(values_of(METHODS[method].params))
    request_id = data.draw(TEXT.filter(bool))
    raw = msgspec.json.encode(
        Request(id=request_id, method=method, api=1, params=msgspec.Raw(msgspec.json.encode(params)), expect=Expect(state_rev=5))
    )
    rev = None if method == "stop" else 5
    assert read_request("c", raw) == Call(client="c", request_id=request_id, method=method, params=params, state_rev=rev)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_become_a_call_or_a_refusal_that_can_be_sent(raw: bytes) -> None:
    outcome = read_request("c", raw)
    assert isinstance(outcome, Call | Refusal)
    if isinstance(outcome, Refusal):
        reply = json.loads(encode_reply(outcome.request_id, outcome.error))
        assert reply["ok"] is False and reply["error"]["code"]


FIELDS = {
    "id": JSON,
    "method": JSON | st.sampled_from(sorted(METHODS)),
    "api": JSON | st.just(1),
    "params": JSON,
    "expect": JSON,
    "more": JSON,
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_no_object_whatever_its_fields_raises(fields: dict[str, Any]) -> None:
    outcome = read_request("c", json.dumps(fields).encode())
    assert isinstance(outcome, Call | Refusal)
    if fields.get("method") == "stop":
        assert isinstance(outcome, Call)


@given(values_of(Error), TEXT)
def test_a_reply_holds_either_a_result_or_an_error(error: Error, request_id: str) -> None:
    refused = json.loads(encode_reply(request_id, error))
    done = json.loads(encode_reply(request_id, messages.Done(state_rev=1)))
    assert (refused["ok"], refused["result"], done["ok"], done["error"]) == (False, None, True, None)
    assert done["result"] == {"state_rev": 1}


@given(st.lists(st.binary(max_size=100), max_size=4))
def test_any_frames_leave_telemetry_standing(frames: list[bytes]) -> None:
    Telemetry().take(frames, 0)


SEEN = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 30), st.booleans()), max_size=40)


@given(SEEN)
def test_values_of_a_topic_never_go_back_within_an_epoch_and_gaps_add_up(seen: list[tuple[int, int, bool]]) -> None:
    telemetry = Telemetry()
    taken: list[int] = []
    epoch_before = None
    for epoch, seq, retained in seen:
        header = Header(seq=seq, mono_ns=0, utc="u", epoch=epoch, severity=Priority.NONE, valid=True, retained=retained)
        body = messages.Heartbeat(state_rev=seq, step=messages.Step.AIM, chair="c", operator=None, hot_age_ms=None)
        received = telemetry.take([b"v1/hb", msgspec.json.encode(header), msgspec.json.encode(body)], 0)
        if epoch != epoch_before:
            taken, epoch_before = [], epoch
        if received is not None:
            taken.append(seq)
        assert taken == sorted(set(taken))
        assert telemetry.missed["v1/hb"] == taken[-1] - taken[0] + 1 - len(taken)
        assert telemetry.state_rev == taken[-1]


def test_every_topic_has_its_body_and_no_two_share_one() -> None:
    assert len(set(TOPICS.values())) == len(TOPICS)
