"""How `edgeseg serve` holds: many callers at once, its memory, and what HTTP costs an image.

python benchmarks/serve.py --clients 400 --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
from library.processes import EDGESEG, write_result

from edgeseg.drawing.encode import encode
from edgeseg.images import image_file
from edgeseg.phantom.head import demo_phantoms
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import single_threaded_opencv

_HOST = "127.0.0.1"
_HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description="Many callers at once, memory, and overhead.")
    parser.add_argument("--clients", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, default=200, help="requests of one caller, for CPU")
    asked = parser.parse_args()
    image = encode(".png", demo_phantoms()[0].image)
    command = [*EDGESEG, "serve", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(re.findall(r":(\d+)/", server.stdout.readline())[0])
        try:
            found = asyncio.run(_measure(server.pid, port, image, asked))
        finally:
            server.terminate()
    found["in_process_cpu_ms"] = _in_process_cpu_ms(image, asked.alone)
    found["overhead_cpu_ms"] = found["request_cpu_ms"] - found["in_process_cpu_ms"]
    write_result("serve", found)


async def _measure(
    pid: int, port: int, image: bytes, asked: argparse.Namespace
) -> dict[str, object]:
    for _ in range(50):  # warm
        await _post(port, image)
    started = _cpu_s(pid)
    for _ in range(asked.alone):
        await _post(port, image)
    request_cpu_ms = 1000 * (_cpu_s(pid) - started) / asked.alone
    before_mib, peak_mib = _rss_mib(pid), 0.0
    statuses: Counter[str] = Counter()
    latencies_ms = []
    for _ in range(asked.rounds):
        calls = asyncio.gather(*(_timed(port, image) for _ in range(asked.clients)))
        while not calls.done():
            peak_mib = max(peak_mib, _rss_mib(pid))
            await asyncio.sleep(0.02)
        for status, ms in calls.result():
            statuses[status] += 1
            if status == "200":
                latencies_ms.append(ms)
    health = await _ask(
        port, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    return {
        "clients": asked.clients,
        "rounds": asked.rounds,
        "statuses": dict(statuses),
        "latency_ms_p50": float(np.percentile(latencies_ms, 50)),
        "latency_ms_p99": float(np.percentile(latencies_ms, 99)),
        "rss_before_mib": before_mib,
        "rss_peak_mib": peak_mib,
        "rss_after_mib": _rss_mib(pid),
        "health_after": health,
        "request_cpu_ms": request_cpu_ms,
    }


async def _timed(port: int, image: bytes) -> tuple[str, float]:
    started = time.perf_counter()
    status = await _post(port, image)
    return status, 1000 * (time.perf_counter() - started)


async def _post(port: int, image: bytes) -> str:
    head = (
        f"POST /v1/measure?pixel_size=0.1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {len(image)}\r\n\r\n"
    )
    return await _ask(port, head.encode() + image)


async def _ask(port: int, request: bytes) -> str:
    """Send a request and return the status of its answer, or how the connection broke."""
    try:
        reader, writer = await asyncio.open_connection(_HOST, port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
    except OSError as error:
        return type(error).__name__
    return answer[9:12].decode("ascii", "replace") or "nothing"


def _in_process_cpu_ms(image: bytes, count: int) -> float:
    segmenter = Segmenter("hc18-nano", device="cpu", threads=1)
    with single_threaded_opencv():
        for i in range(count + 50):
            if i == 50:
                started = time.process_time()
            segmenter.predict(image_file.decode_frame(image).pixels, 0.1)
    return 1000 * (time.process_time() - started) / count


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    main()
