#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A memory ring between two processes: the reader makes it and passes its two file descriptors over
a socket, the producer at the other end writes records. Neither needs BPF or root.
"""

import contextlib
import os
import socket
import struct
import sys

import rbcore

RECORDS = 100_000


def produce(connection: socket.socket) -> None:
    """The producing process. A full ring refuses the record, as it does in the kernel."""
    _, fds, _, _ = socket.recv_fds(connection, 1, 2)
    with rbcore.MemoryRing.from_fds(fds[0], fds[1]) as ring, rbcore.Producer(ring) as producer:
        for number in range(RECORDS):
            with contextlib.suppress(rbcore.Full), producer.reserve(8) as view:
                view[:] = struct.pack("Q", number)


def receive(reader: rbcore.Reader, producer: int) -> int:
    """Reads until the producer is gone and the ring is empty; returns the number of records."""
    received = 0
    following = 0
    gone = False
    while True:
        try:
            batch = reader.next(0.02)
        except rbcore.Flushed:
            return received
        for record in batch:
            number = struct.unpack("Q", record)[0]
            if number < following:
                sys.exit("a record came twice or out of order")
            following = number + 1
        received += len(batch)
        if not gone and os.waitpid(producer, os.WNOHANG)[0]:
            gone = True
            reader.flush()  # Flushed comes after the last record


def main() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        produce(theirs)
        os._exit(0)
    with rbcore.MemoryRing(1 << 20) as ring, rbcore.Reader(ring) as reader:
        socket.send_fds(ours, [b"x"], [ring.memory_fd, ring.event_fd])
        received = receive(reader, child)
        lost = reader.ring_stats().lost or 0
    print(f"{RECORDS} produced = {received} received + {lost} lost")
    sys.exit(received + lost != RECORDS)


if __name__ == "__main__":
    main()
