"""`python -m bench.crowd ENDPOINT COUNT`: so many subscribers to the coil's topics in one process; the first of them never reads."""

import sys

import zmq

TOPIC = b"v1/coil/"


def main(endpoint: str, count: int) -> int:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    for number in range(count):
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        socket.connect(endpoint)
        if number:
            poller.register(socket, zmq.POLLIN)
    while True:
        for socket, _ in poller.poll():
            while socket.poll(0):
                socket.recv_multipart()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
