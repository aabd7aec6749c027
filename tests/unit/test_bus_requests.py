"""Requests as bytes: what becomes a call, what is refused and how, and that nothing is carried out twice."""

import json
from typing import Any

import pytest

from daemon.bus_requests import (
    COMMANDS_IN_ALL,
    COMMANDS_PER_CLIENT,
    REMEMBERED_REPLIES,
    STOPS_PER_CLIENT,
    WAITING_PER_COMMAND,
    Call,
    Desk,
    Refusal,
    Ticket,
    read_request,
)
from daemon.messages import Error, ErrorCode, NameParams, NoParams, StopParams, TouchParams


def request(method: str = "take_lease", **fields: Any) -> bytes:
    whole = {"id": "1", "method": method, "api": 1, "params": {"name": "Ada"} if method == "take_lease" else {}}
    return json.dumps(whole | fields).encode()


def refusal(raw: bytes) -> Refusal:
    got = read_request("c", raw)
    assert isinstance(got, Refusal)
    return got


def test_a_good_request_becomes_a_call_with_typed_parameters() -> None:
    call = read_request("c", request("touch_landmark", params={"landmark": "NAS"}, expect={"state_rev": 4}))
    assert call == Call(client="c", request_id="1", method="touch_landmark", params=TouchParams(landmark="NAS"), state_rev=4)


def test_parameters_may_be_left_out_where_there_are_none() -> None:
    call = read_request("c", b'{"id":"1","method":"arm","api":1,"expect":{"state_rev":4}}')
    assert isinstance(call, Call) and call.params == NoParams()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", ErrorCode.BAD_REQUEST),
        (b"\xff\xfe\x00", ErrorCode.BAD_REQUEST),
        (b"[]", ErrorCode.BAD_REQUEST),
        (b"null", ErrorCode.BAD_REQUEST),
        (b'{"id":"1","method":"arm"', ErrorCode.BAD_REQUEST),
        (b'{"id":"\xff","method":"arm","api":1}', ErrorCode.BAD_REQUEST),
        (b'{"id":"1","api":1}', ErrorCode.BAD_REQUEST),
        (request("arm", id=1), ErrorCode.BAD_REQUEST),
        (request("arm", id=""), ErrorCode.BAD_REQUEST),
        (request("arm", id="x" * 129), ErrorCode.BAD_REQUEST),
        (request("arm", api="1"), ErrorCode.BAD_REQUEST),
        (request("arm", api=True), ErrorCode.BAD_REQUEST),
        (request("arm", api=10**400), ErrorCode.API_VERSION),
        (b'{"id":"1","method":"arm","api":1' + b"0" * 5000 + b"}", ErrorCode.BAD_REQUEST),
        (request("arm", expect=4), ErrorCode.BAD_REQUEST),
        (request("arm", expect={"state_rev": "4"}), ErrorCode.BAD_REQUEST),
        (request("arm", expect={"state_rev": 4, "more": 1}), ErrorCode.BAD_REQUEST),
        (request("arm", more=1), ErrorCode.BAD_REQUEST),
        (request("arm", api=2), ErrorCode.API_VERSION),
        (request("fire"), ErrorCode.UNKNOWN_METHOD),
        (request("__class__"), ErrorCode.UNKNOWN_METHOD),
        (request("arm"), ErrorCode.STATE_REV_MISSING),
        (request("arm", expect=None), ErrorCode.STATE_REV_MISSING),
        (request("arm", expect={"state_rev": 4}, params=None), ErrorCode.BAD_PARAMS),
        (request("arm", expect={"state_rev": 4}, params={"force": True}), ErrorCode.BAD_PARAMS),
        (request("take_lease", params={}), ErrorCode.BAD_PARAMS),
        (request("take_lease", params={"name": 5}), ErrorCode.BAD_PARAMS),
        (request("take_lease", params={"name": "Ada", "nmae": "x"}), ErrorCode.BAD_PARAMS),
        (b'{"id":"1","method":"take_lease","api":1,"params":{"name":"\xff"}}', ErrorCode.BAD_PARAMS),
        (b'{"id":"1","method":"take_lease","api":1,"params":' + b"[" * 30_000 + b"]" * 30_000 + b"}", ErrorCode.BAD_REQUEST),
    ],
)
def test_what_is_wrong_in_form_is_refused_with_its_own_code(raw: bytes, code: ErrorCode) -> None:
    refused = refusal(raw)
    assert refused.error.code is code
    assert refused.error.message and refused.error.remedy


def test_a_refusal_names_the_request_even_when_only_its_id_can_be_read() -> None:
    assert refusal(request("arm", more=1)).request_id == "1"


def test_a_refusal_does_not_echo_a_method_of_any_length() -> None:
    assert len(refusal(request("x" * 60_000)).error.message) < 200


def test_hello_is_a_call_in_every_api_version() -> None:
    call = read_request("c", request("hello", api=99))
    assert isinstance(call, Call) and call.method == "hello"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"id":"1","method":"stop","api":1}',
        b'{"id":"1","method":"stop","api":99}',
        b'{"id":"1","method":"stop"}',
        b'{"method":"stop"}',
        b'{"id":5,"method":"stop","api":1}',
        b'{"id":"1","method":"stop","api":1,"params":{"reason":"smoke"}}',
        b'{"id":"1","method":"stop","api":1,"params":null}',
        b'{"id":"1","method":"stop","api":1,"more":true}',
        b'{"id":"","method":"stop","api":1}',
    ],
)
def test_stop_is_a_call_in_whatever_form_it_comes(raw: bytes) -> None:
    call = read_request("c", raw)
    assert isinstance(call, Call) and call.method == "stop" and call.params == StopParams()


def test_stop_keeps_the_reason_it_was_given() -> None:
    call = read_request("c", request("stop", params={"why": "smoke"}))
    assert isinstance(call, Call) and call.params == StopParams(why="smoke")


# ---- once each ------------------------------------------------------------------------------------------------------


def call_of(request_id: str = "1", client: str = "c", method: str = "take_lease") -> Call:
    return Call(client=client, request_id=request_id, method=method, params=NameParams(name="Ada"), state_rev=None)


def start(desk: Desk, call: Call, envelope: bytes = b"e") -> Ticket:
    ticket = desk.admit(call, (envelope,))
    assert isinstance(ticket, Ticket)
    return ticket


def code_of(admitted: object) -> ErrorCode:
    assert isinstance(admitted, Error)
    return admitted.code


def test_the_same_id_after_the_end_gets_the_same_reply() -> None:
    desk = Desk()
    desk.finish(start(desk, call_of()), b"reply")
    assert desk.admit(call_of(), (b"e",)) == b"reply"


def test_the_same_id_while_it_runs_waits_for_the_first_ones_reply() -> None:
    desk = Desk()
    ticket = start(desk, call_of(), b"first")
    assert desk.admit(call_of(), (b"second",)) is None
    assert desk.finish(ticket, b"reply") == [(b"first",), (b"second",)]


def test_who_asks_too_often_while_it_runs_does_not_fill_the_memory() -> None:
    desk = Desk()
    ticket = start(desk, call_of())
    for _ in range(100):
        desk.admit(call_of(), (b"e",))
    assert len(desk.finish(ticket, b"reply")) == WAITING_PER_COMMAND


def test_the_same_id_from_another_client_is_another_command() -> None:
    desk = Desk()
    desk.finish(start(desk, call_of(client="a")), b"reply")
    assert isinstance(desk.admit(call_of(client="b"), (b"e",)), Ticket)


@pytest.mark.parametrize("finished", [False, True])
def test_an_id_used_for_two_methods_is_refused(finished: bool) -> None:
    desk = Desk()
    ticket = start(desk, call_of(method="take_lease"))
    if finished:
        desk.finish(ticket, b"reply")
    assert code_of(desk.admit(call_of(method="hold"), (b"e",))) is ErrorCode.BAD_REQUEST


def test_the_newest_1024_replies_are_remembered_and_no_more() -> None:
    desk = Desk()
    for number in range(REMEMBERED_REPLIES + 1):
        desk.finish(start(desk, call_of(str(number))), b"reply")
    assert desk.admit(call_of("1"), (b"e",)) == b"reply"
    assert isinstance(desk.admit(call_of("0"), (b"e",)), Ticket)
    assert REMEMBERED_REPLIES == 1024


def test_a_command_that_was_cancelled_may_be_asked_for_again() -> None:
    desk = Desk()
    assert desk.finish(start(desk, call_of()), None) == []
    assert isinstance(desk.admit(call_of(), (b"e",)), Ticket)


def test_a_client_with_too_many_commands_in_flight_is_told_busy_until_one_ends() -> None:
    desk = Desk()
    tickets = [start(desk, call_of(str(number))) for number in range(COMMANDS_PER_CLIENT)]
    refused = desk.admit(call_of("one more"), (b"e",))
    assert code_of(refused) is ErrorCode.BUSY and isinstance(refused, Error) and refused.retryable
    desk.finish(tickets[0], b"reply")
    assert isinstance(desk.admit(call_of("one more"), (b"e",)), Ticket)


def test_all_clients_together_are_bounded() -> None:
    desk = Desk()
    for number in range(COMMANDS_IN_ALL):
        start(desk, call_of(client=str(number)))
    assert code_of(desk.admit(call_of(client="one more"), (b"e",))) is ErrorCode.BUSY


def test_a_stop_is_let_in_when_nothing_else_is() -> None:
    desk = Desk()
    for number in range(COMMANDS_IN_ALL):
        start(desk, call_of(str(number), client=str(number // COMMANDS_PER_CLIENT)))
    assert isinstance(desk.admit(call_of(client="0", method="stop"), (b"e",)), Ticket)


def test_a_stop_with_an_id_used_before_is_carried_out_again() -> None:
    desk = Desk()
    desk.finish(start(desk, call_of(method="stop")), b"reply")
    assert isinstance(desk.admit(call_of(method="stop"), (b"e",)), Ticket)


def test_a_client_that_floods_stops_is_bounded_and_others_can_still_stop() -> None:
    desk = Desk()
    for _ in range(STOPS_PER_CLIENT):
        start(desk, call_of(method="stop"))
    assert code_of(desk.admit(call_of(method="stop"), (b"e",))) is ErrorCode.BUSY
    assert isinstance(desk.admit(call_of(client="other", method="stop"), (b"e",)), Ticket)
