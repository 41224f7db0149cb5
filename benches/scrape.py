#!/usr/bin/env python3
"""What scraping costs: promrelay beside a real Prometheus, on the same targets.

    cargo build --release && benches/scrape.py [target/release/promrelay] [--targets 5000]

Each target is an address of 127.0.0.0/8 and exposes 300 samples of windows_exporter, of which a
third change from scrape to scrape, compressed as exporters do (`--identity`: not); its labels are
those of a pod. promrelay and then Prometheus (in agent mode, as Debian packages it) scrape all of
them every 15 s and send all samples to one receiver, which answers 204. Both are measured from
their start: the first round, in which they meet all series, and then the rounds in which they know
them. Needs Linux, some GiB of memory for Prometheus, and nothing but Python's own library.
"""

import argparse
import asyncio
import gzip
import json
import multiprocessing
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import time
import urllib.request

SAMPLES, INTERVAL, BODIES = 300, 15, 16
GZIP = True
RELAY_METRICS = "promrelay_scrape_kept_samples_total", "promrelay_send_samples_total"
PROMETHEUS_METRICS = (
    "prometheus_agent_samples_appended_total",
    "prometheus_remote_storage_samples_total",
)
FIXTURE = pathlib.Path(__file__).parent.parent / "tests/fixtures/windows_exporter-0.31.prom"


def free_ports(count):
    """Ports on which nobody listens, on any address."""
    sockets = [socket.create_server(("0.0.0.0", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def bodies():
    """Bodies of 300 samples, in which every third value is another one each time."""
    lines, samples = [], 0
    for line in FIXTURE.read_text().splitlines():
        if line.startswith("#") or samples < SAMPLES:
            lines.append(line)
            samples += not line.startswith("#")
    for index in range(SAMPLES - samples):
        lines.append(f'windows_service_state{{name="service-{index}",state="running"}} 1')
    for body in range(BODIES):
        changed = []
        for index, line in enumerate(lines):
            if not line.startswith("#") and index % 3 == 0:
                series = line.rpartition(" ")[0]
                line = f"{series} {1000 * index + 17.25 * body}"
            changed.append(line)
        yield ("\n".join(changed) + "\n").encode()


class Target(asyncio.Protocol):
    """A target: an HTTP server that answers every request with the next body."""

    plain, compressed, asked = [], [], 0

    def connection_made(self, transport):
        self.transport, self.request = transport, b""

    def data_received(self, data):
        self.request += data
        while b"\r\n\r\n" in self.request:
            head, _, self.request = self.request.partition(b"\r\n\r\n")
            Target.asked += 1
            answers = Target.compressed if b"gzip" in head and GZIP else Target.plain
            self.transport.write(answers[Target.asked % BODIES])


class Receiver(asyncio.Protocol):
    """A receiver of remote write: reads requests and answers 204."""

    def connection_made(self, transport):
        self.transport, self.head, self.left = transport, b"", 0

    def data_received(self, data):
        while data:
            if self.left:
                self.left, data = max(0, self.left - len(data)), data[self.left :]
                if not self.left:
                    self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                continue
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            lengths = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
            self.head, self.left = b"", int(lengths[0].partition(b":")[2])


def serve(protocol, port):
    async def run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, "0.0.0.0", port, backlog=8192)
        await server.serve_forever()

    if protocol is Target:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n%scontent-length: %d"
        for body in bodies():
            Target.plain.append(head % (b"", len(body)) + b"\r\n\r\n" + body)
            body = gzip.compress(body)
            encoding = b"content-encoding: gzip\r\n"
            Target.compressed.append(head % (encoding, len(body)) + b"\r\n\r\n" + body)
    asyncio.run(run())


def write_targets(path, count, port):
    groups = []
    for index in range(count):
        address = f"127.0.{1 + index // 250}.{1 + index % 250}:{port}"
        labels = {
            "namespace": "monitoring",
            "pod": f"windows-exporter-proxy-{index:05x}",
            "node": f"aks-windows-{index // 100:03}-{index % 100:06x}",
            "container": "proxy",
        }
        groups.append({"targets": [address], "labels": labels})
    path.write_text(json.dumps(groups))


def configuration(url):
    return f"""
global: {{scrape_interval: {INTERVAL}s, scrape_timeout: 10s}}
remote_write: [{{name: all, url: '{url}'}}]
scrape_configs:
  - job_name: node-exporter
    file_sd_configs: [{{files: [targets.json]}}]
"""


def cpu_seconds(process):
    fields = open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(process):
    status = open(f"/proc/{process.pid}/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def metric(port, name):
    """The sum of all series of a metric."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        lines = response.read().decode().splitlines()
    wanted = [line for line in lines if line.startswith((name + "{", name + " "))]
    return sum(float(line.rpartition(" ")[2]) for line in wanted)


def measure(name, command, directory, port, scraped, sent, rounds):
    with open(directory / f"{name}.log", "w") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        time.sleep(INTERVAL + 2)
        first = cpu_seconds(process)
        time.sleep(rounds * INTERVAL)
        cpu, samples, sent = cpu_seconds(process), metric(port, scraped), metric(port, sent)
        per_round = (cpu - first) / rounds
        print(f"{name}: {first:.1f} CPU s for the first round, then {per_round:.1f} for each")
        total = f"{samples / 1e6:.2f} million samples scraped, {sent / 1e6:.2f} million sent"
        print(f"{name}: {total}, {cpu:.1f} CPU s, {peak_mib(process)} MiB peak RSS", flush=True)
        return samples / cpu
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("relay", nargs="?", default="target/release/promrelay")
    parser.add_argument("--targets", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--identity", action="store_true")
    parser.add_argument("--only", choices=["promrelay", "prometheus"])
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    target, receiver, relay_port, prometheus_port = free_ports(4)
    global GZIP
    GZIP = not arguments.identity
    servers = [(Target, target), (Receiver, receiver)]
    servers = [multiprocessing.Process(target=serve, args=server) for server in servers]
    for server in servers:
        server.start()
    rates = []
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        write_targets(directory / "targets.json", arguments.targets, target)
        url = f"http://127.0.0.1:{receiver}/api/v1/write"
        (directory / "config.yml").write_text(configuration(url))
        relay = [os.path.abspath(arguments.relay), "run", "--config.file=config.yml"]
        relay += ["--storage.path=relay", f"--web.listen-address=127.0.0.1:{relay_port}"]
        prometheus = ["prometheus", "--config.file=config.yml", "--enable-feature=agent"]
        prometheus += [f"--web.listen-address=127.0.0.1:{prometheus_port}"]
        prometheus += ["--storage.agent.path=agent"]
        programs = {
            "promrelay": (relay, relay_port, RELAY_METRICS),
            "prometheus": (prometheus, prometheus_port, PROMETHEUS_METRICS),
        }
        for name, (command, port, metrics) in programs.items():
            if arguments.only in (None, name):
                rate = measure(name, command, directory, port, *metrics, arguments.rounds)
                rates.append(rate)
    for server in servers:
        server.terminate()
    if len(rates) == 2:
        print(f"promrelay: {rates[0] / rates[1]:.2f} times as many samples per CPU second")


main()
