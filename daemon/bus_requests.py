"""Commands as they come in: bytes to checked calls, and which of them were carried out already. Pure; no sockets.

Who may do what, and whether the state allows it, is the session's to decide.
"""

import collections

import msgspec

from daemon.messages import API_VERSION, METHODS, Error, ErrorCode, Message, Params, Reply, Request, StopParams

STOP = "stop"
READS = frozenset({"hello", "snapshot"})
MAX_ID_CHARS = 128
REMEMBERED_REPLIES = 1024
COMMANDS_PER_CLIENT = 8
COMMANDS_IN_ALL = 64
STOPS_PER_CLIENT = 64  # far more than a person can press; bounds memory when a client runs wild
WAITING_PER_COMMAND = 8

UNREADABLE = (ValueError, RecursionError)  # malformed JSON, wrong types, bad UTF-8; nesting beyond the decoder's depth

Envelope = tuple[bytes, ...]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One command, right in form: `params` are of the type METHODS names; `state_rev` is the state it was based on.

    `client` is the connection's identity in hex: the same across a client's reconnects when it sets one.
    """

    client: str
    request_id: str
    method: str
    params: Params
    state_rev: int | None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request is not even a call. `request_id` is empty when none could be read."""

    request_id: str
    error: Error


class _Loose(msgspec.Struct, frozen=True, kw_only=True):
    """The two fields worth saving from a request that is wrong in form."""

    id: object = ""
    method: object = ""


_REQUEST = msgspec.json.Decoder(Request)
_LOOSE = msgspec.json.Decoder(_Loose)
_PARAMS = {name: msgspec.json.Decoder(method.params) for name, method in METHODS.items()}


def read_request(client: str, raw: bytes) -> Call | Refusal:
    """A call, or why not. A stop is a call in whatever form it comes, as long as its method can be read."""
    try:
        request = _REQUEST.decode(raw)
    except UNREADABLE as error:
        return _from_wreck(client, raw, error)
    if request.method == STOP:
        return _stop(client, request.id, request.params)
    refused = _form_error(request)
    if refused is not None:
        return Refusal(request_id=_usable_id(request.id), error=refused)
    try:
        params = _PARAMS[request.method].decode(request.params)
    except UNREADABLE as error:
        message = f"{request.method}: {_sentence(error)}"
        remedy = "Send exactly the parameters that docs/schema.json names for this method."
        return Refusal(request_id=request.id, error=Error(code=ErrorCode.BAD_PARAMS, message=message, remedy=remedy))
    state_rev = None if request.expect is None else request.expect.state_rev
    return Call(client=client, request_id=request.id, method=request.method, params=params, state_rev=state_rev)


def _from_wreck(client: str, raw: bytes, why: Exception) -> Call | Refusal:
    try:
        loose = _LOOSE.decode(raw)
    except UNREADABLE:
        loose = _Loose()
    if loose.method == STOP:
        return _stop(client, loose.id, b"{}")
    remedy = "Send one JSON object {id, method, api, params, expect}, as docs/schema.json describes it."
    error = Error(code=ErrorCode.BAD_REQUEST, message=f"the request cannot be read: {_sentence(why)}", remedy=remedy)
    return Refusal(request_id=_usable_id(loose.id), error=error)


def _stop(client: str, request_id: object, raw_params: bytes) -> Call:
    """Stopping is safe, refusing to stop is not: parameters that cannot be read do not keep it from being done."""
    try:
        params = _PARAMS[STOP].decode(raw_params)
    except UNREADABLE:
        params = StopParams()
    return Call(client=client, request_id=_usable_id(request_id), method=STOP, params=params, state_rev=None)


def _form_error(request: Request) -> Error | None:
    if not _usable_id(request.id):
        remedy = "Use a new id for every command, a UUID for instance."
        return Error(code=ErrorCode.BAD_REQUEST, message=f"id must have 1 to {MAX_ID_CHARS} characters", remedy=remedy)
    if request.api != API_VERSION and request.method != "hello":
        return Error(
            code=ErrorCode.API_VERSION,
            message=f"the request is for another API version; this daemon speaks {API_VERSION}",
            remedy="Update the client or the daemon; hello is answered in every version.",
            details={"api": API_VERSION},
        )
    method = METHODS.get(request.method)
    if method is None:
        remedy = f"Known methods: {', '.join(METHODS)}."
        return Error(code=ErrorCode.UNKNOWN_METHOD, message=f"there is no method {request.method[:40]!r}", remedy=remedy)
    if method.changes and request.expect is None:
        remedy = "Send expect.state_rev from the newest v1/session or v1/hb."
        return Error(code=ErrorCode.STATE_REV_MISSING, message=f"{request.method} must name the state it is based on", remedy=remedy)
    return None


def _usable_id(request_id: object) -> str:
    return request_id if isinstance(request_id, str) and len(request_id) <= MAX_ID_CHARS else ""


def _sentence(error: Exception) -> str:
    text = str(error) if not isinstance(error, UnicodeDecodeError) else "not UTF-8"
    return text[:200].rstrip(".")


def encode_reply(request_id: str, outcome: Message) -> bytes:
    """The reply's JSON: an `Error` is a refusal, anything else the result."""
    if isinstance(outcome, Error):
        return msgspec.json.encode(Reply(id=request_id, ok=False, error=outcome))
    return msgspec.json.encode(Reply(id=request_id, ok=True, result=msgspec.Raw(msgspec.json.encode(outcome))))


class Ticket:
    """One command being carried out, and everybody who waits for its reply."""

    def __init__(self, call: Call, envelope: Envelope) -> None:
        self.call = call
        self.waiting = [envelope]


class Desk:
    """Lets each command run once and bounds how many run; remembers the replies to the newest."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], Ticket] = {}
        self._replies: collections.OrderedDict[tuple[str, str], tuple[str, bytes]] = collections.OrderedDict()
        self._commands: collections.Counter[str] = collections.Counter()
        self._stops: collections.Counter[str] = collections.Counter()

    def admit(self, call: Call, envelope: Envelope) -> Ticket | Error | bytes | None:
        """A ticket to carry it out now, an error, the reply it got before, or None: it is running and this asker waits with the first.

        A stop always gets a ticket: an id used twice must not keep the second stop from being one.
        """
        if call.method == STOP:
            return self._issue(call, envelope, self._stops, STOPS_PER_CLIENT)
        key = (call.client, call.request_id)
        if key in self._running:
            return self._join(self._running[key], call, envelope)
        if key in self._replies:
            self._replies.move_to_end(key)
            method, reply = self._replies[key]
            return reply if method == call.method else _reused_id(method)
        if len(self._running) >= COMMANDS_IN_ALL:
            return _busy(COMMANDS_IN_ALL, "all clients")
        ticket = self._issue(call, envelope, self._commands, COMMANDS_PER_CLIENT)
        if isinstance(ticket, Ticket):
            self._running[key] = ticket
        return ticket

    def finish(self, ticket: Ticket, reply: bytes | None) -> list[Envelope]:
        """Everybody who gets `reply`. None (cancelled, no reply) is not remembered and reaches nobody."""
        call = ticket.call
        counted = self._stops if call.method == STOP else self._commands
        counted[call.client] -= 1
        if not counted[call.client]:
            del counted[call.client]
        if call.method != STOP:
            del self._running[call.client, call.request_id]
            if reply is not None:
                self._replies[call.client, call.request_id] = (call.method, reply)
            if len(self._replies) > REMEMBERED_REPLIES:
                self._replies.popitem(last=False)
        return [] if reply is None else ticket.waiting

    def _issue(self, call: Call, envelope: Envelope, counted: collections.Counter[str], limit: int) -> Ticket | Error:
        if counted[call.client] >= limit:
            return _busy(limit, "this client")
        counted[call.client] += 1
        return Ticket(call, envelope)

    def _join(self, ticket: Ticket, call: Call, envelope: Envelope) -> Error | None:
        if ticket.call.method != call.method:
            return _reused_id(ticket.call.method)
        if len(ticket.waiting) < WAITING_PER_COMMAND:
            ticket.waiting.append(envelope)
        return None


def _busy(limit: int, whose: str) -> Error:
    message = f"{limit} commands of {whose} are already being carried out"
    return Error(code=ErrorCode.BUSY, message=message, remedy="Wait for a reply, then send it again.", retryable=True)


def _reused_id(method: str) -> Error:
    remedy = "Use a new id for every command."
    return Error(code=ErrorCode.BAD_REQUEST, message=f"this id was already used for {method}", remedy=remedy)
