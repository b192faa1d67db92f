"""Forwards frames between two interfaces of this network namespace, each after DELAY_MS and with
a chance of LOSS percent to be dropped: what `tc netem` does, for kernels without it.

link.py INTERFACE INTERFACE DELAY_MS LOSS
"""
import collections
import random
import select
import socket
import struct
import sys
import time

ALL_PROTOCOLS, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PROMISCUOUS = 263, 1, 1


def open_interface(name):
    interface = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    interface.bind((name, ALL_PROTOCOLS))
    interface.setblocking(False)
    membership = struct.pack("iHH8s", socket.if_nametoindex(name), PROMISCUOUS, 0, b"")
    interface.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
    return interface


first, second = open_interface(sys.argv[1]), open_interface(sys.argv[2])
delay_s, loss = float(sys.argv[3]) / 1000, float(sys.argv[4]) / 100
other = {first: second, second: first}
# Seeded, so that a test that fails can be run again.
chance = random.Random(1)
waiting = collections.deque()
print("forwarding", flush=True)
while True:
    while waiting and waiting[0][0] <= time.monotonic():
        _, interface, frame = waiting.popleft()
        try:
            interface.send(frame)
        except OSError:
            pass
    patience = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    readable, _, _ = select.select([first, second], [], [], patience)
    for interface in readable:
        frame, address = interface.recvfrom(65535)
        if address[2] != PACKET_OUTGOING and chance.random() >= loss:
            waiting.append((time.monotonic() + delay_s, other[interface], frame))
