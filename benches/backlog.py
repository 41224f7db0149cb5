#!/usr/bin/env python3
"""What a dead receiver costs: memory and start-up with a backlog, and the route beside it.

    cargo build --release && benches/backlog.py [target/release/promrelay]

First a backlog of 2 GiB is written for a route whose receiver is down; the relay is killed, started
again, and its receiver comes up. Then four writers send to two routes, in turns with both
receivers up and with one of them down. Needs Linux, 3 GiB of disk in the current directory, and
nothing but Python's own library.
"""

import base64
import http.client
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

RELAY = sys.argv[1] if len(sys.argv) > 1 else "target/release/promrelay"
ADDRESS, DEAD, LIVE = ("127.0.0.1", 19201), 19888, 19889


def varint(number):
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def series(labels, timestamp):
    pairs = (field(1, field(1, name) + field(2, value)) for name, value in sorted(labels.items()))
    sample = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + varint(timestamp)
    return field(1, b"".join(pairs) + field(2, sample))


def snappy(raw):
    """A block of literals only: as large as what it holds."""
    block = varint(len(raw))
    for start in range(0, len(raw), 65536):
        literal = raw[start : start + 65536]
        block += bytes([61 << 2]) + struct.pack("<H", len(literal) - 1) + literal
    return block


def request(method, path, body=None):
    connection = http.client.HTTPConnection(*ADDRESS, timeout=30)
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, response.read().decode()


def write(connection, body):
    headers = {
        "content-type": "application/x-protobuf",
        "content-encoding": "snappy",
        "x-prometheus-remote-write-version": "0.1.0",
    }
    connection.request("POST", "/api/v1/write", body, headers)
    response = connection.getresponse()
    response.read()
    assert response.status == 204, response.status


def start(directory):
    """Starts the relay; answers the process and how long it took to be ready, in seconds."""
    began = time.time()
    arguments = [f"--config.file={directory}/promrelay.yml", f"--storage.path={directory}/data"]
    arguments.append("--web.listen-address=%s:%d" % ADDRESS)
    log = open(f"{directory}/log", "a")
    relay = subprocess.Popen([RELAY, "run", *arguments], stderr=log)
    while True:
        try:
            if request("GET", "/-/ready")[0] == 200:
                return relay, time.time() - began
        except OSError:
            time.sleep(0.005)


def sink(port):
    command = [RELAY, "sink", f"--web.listen-address=127.0.0.1:{port}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def memory(process):
    status = open(f"/proc/{process.pid}/status").read().splitlines()
    kib = {line.split()[0]: line.split()[1] for line in status if line.startswith("Vm")}
    return "%d MiB RSS, %d at most" % (int(kib["VmRSS:"]) >> 10, int(kib["VmHWM:"]) >> 10)


def configure(directory, routes):
    entry = "  - {name: %s, url: 'http://127.0.0.1:%d/%s', queue: {max_bytes: 4GiB}}\n"
    with open(f"{directory}/promrelay.yml", "w") as file:
        file.write("remote_write:\n")
        file.writelines(entry % (name, port, name) for name, port in routes.items())


def end(*processes):
    for process in processes:
        process.kill()
        process.wait()


def backlog(directory):
    configure(directory, {"dead": DEAD})
    relay, took = start(directory)
    print(f"start, empty: {took:.3f} s, {memory(relay)}")
    noise = base64.b64encode(os.urandom(32 << 20))
    connection, written, began = http.client.HTTPConnection(*ADDRESS), 0, time.time()
    while written < 2 << 30:
        at = random.randrange(len(noise) - 16 * 65000)
        values = (noise[at + 65000 * n : at + 65000 * (n + 1)] for n in range(16))
        body = b"".join(series({b"__name__": b"m", b"x": value}, written) for value in values)
        write(connection, snappy(body))
        written += len(body)
    print(f"2 GiB written in {time.time() - began:.1f} s: {memory(relay)}")
    end(relay)
    relay, took = start(directory)
    print(f"start after SIGKILL, with 2 GiB: {took:.3f} s, {memory(relay)}")
    receiver, began = sink(DEAD), time.time()
    while '\npromrelay_queue_records{route="dead"} 0\n' not in request("GET", "/metrics")[1]:
        time.sleep(0.1)
    print(f"drained in {time.time() - began:.1f} s: {memory(relay)}")
    end(relay, receiver)


def beside(directory, port, seconds=5):
    """Requests of 500 series for routes `a` and `b`; the receiver of `b` is at `port`."""
    configure(directory, {"a": LIVE, "b": port})
    (relay, _), receiver, latencies = start(directory), sink(LIVE), []
    time.sleep(0.5)
    stop = time.time() + seconds

    def writer(number):
        labels = lambda n: {b"__name__": b"m%d" % n, b"host": b"h%d" % number}
        body = snappy(b"".join(series(labels(n), 1700000000000) for n in range(500)))
        connection = http.client.HTTPConnection(*ADDRESS)
        while time.time() < stop:
            began = time.time()
            write(connection, body)
            latencies.append(time.time() - began)

    writers = [threading.Thread(target=writer, args=(number,)) for number in range(4)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    latencies.sort()
    p50, p99 = (latencies[len(latencies) * part // 100] * 1e3 for part in (50, 99))
    rate = len(latencies) / seconds
    print(f"{rate:.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {memory(relay)}")
    end(relay, receiver)


with tempfile.TemporaryDirectory(dir=".") as scratch:
    backlog(scratch)
for turn in range(3):
    for what, port in (("both receivers up: ", LIVE), ("one of them down:  ", DEAD)):
        with tempfile.TemporaryDirectory(dir=".") as scratch:
            print(what, end="")
            beside(scratch, port)
