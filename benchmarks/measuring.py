"""What the benchmarks share: observations to work on, clocks, processes apart."""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LUCID_0310 = pathlib.Path(os.environ.get("LUCID_0310", ROOT / ".venv/lucid-0.3.10"))


def timed(function: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Calls a function.

    Returns:
        Its result, and wall-clock and processor seconds (all threads).
    """
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
    }


def fastest(runs: Sequence[dict[str, dict[str, float]]]) -> dict:
    """The least time of each step over runs of the same steps."""
    return {
        step: {unit: min(run[step][unit] for run in runs) for unit in runs[0][step]}
        for step in runs[0]
    }


def peak_mb() -> float:
    """Most memory this process has held so far, in MB.

    From /proc, as getrusage counts what the parent held before it started us.
    """
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run_apart(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Runs `python -m module`, whose last line on standard output is JSON.

    A process of its own has its own peak of memory, and its own Lucid.
    """
    process = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(process.stdout.strip().splitlines()[-1])


class Worker:
    """`python -m module`, kept running to answer requests by `serve`.

    Two of them can take turns, so that what else the machine does hits both alike.
    """

    def __init__(self, module: str, arguments: Sequence[str]):
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """The worker's answer to a request."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a worker ended: code {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def serve(answer: Callable[..., dict[str, Any]]) -> None:
    """Answers a `Worker`'s requests until it is closed."""
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)


def sampled_observations(
    n: int, interval: int = 24, model: Any = "bundled"
) -> np.ndarray:
    """Observations u8 [n, H, W, C] of a model at play."""
    import lucid_rl as lr

    return lr.sample_observations(model, n, n_envs=32, interval=interval).observations


def write_result(
    name: str, result: dict[str, Any], file: str | None = None
) -> pathlib.Path:
    """Writes a benchmark's result, beside the command that made it, as `file`.json."""
    import lucid_rl
    from lucid_rl.files import write_json
    from lucid_rl.reports import command_line

    path = RESULTS / f"{file or name}.json"
    machine = {
        "version": lucid_rl.__version__,
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[1],
    }
    write_json(path, {"command": command_line(), **machine, **result})
    return path


def processor() -> str:
    """The processor's name, and which instructions it has for bfloat16."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = text.partition("model name")[2].partition("\n")[0].strip("\t :")
    instructions = {"amx_bf16", "avx512_bf16"} & set(text.split())
    return ", ".join([name, *sorted(instructions)])


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints columns, the first one aligned left."""
    cells = [[_text(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]))


def _text(cell: Any) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
