"""The main job from end to end: processor time by stage, memory, bytes and files.

    python -m benchmarks.interface --folder=outputs/bench \
        --output=benchmarks/results/interface.json
    python -m benchmarks.interface --folder=outputs/bench --policy_layer=2b \
        --output=benchmarks/results/interface_policy.json
    python -m benchmarks.interface --mail \
        --output=benchmarks/results/interface_mail.json

Everything is made anew, in a temporary folder or in an empty one that is kept; the
second command takes the stages of the first and adds the attributions of every
action. Times are of the processor, all threads together, so that other work on the
machine shows little; on a machine whose cores are busy they still come out larger.
Prints a table and writes JSON.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lucid_rl.files import atomic_open
from lucid_rl.interface import InterfaceSettings, make_interface
from lucid_rl.interface.parts import Part
from lucid_rl.interface.stages import StageCache


def _used(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


# A shell that became this process leaves it what its earlier children used.
_INHERITED = _used(resource.RUSAGE_CHILDREN)


def cpu_seconds() -> float:
    """Processor seconds of this process and of those it waited for."""
    children = _used(resource.RUSAGE_CHILDREN) - _INHERITED
    return _used(resource.RUSAGE_SELF) + children


class PeakMemory:
    """The most memory that this process and its children have held together.

    Sampled twenty times a second; pages that they share count in each.
    """

    def __init__(self) -> None:
        self._largest = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def gb(self) -> float:
        """In GB; at least what this process held alone, which the kernel knows."""
        alone = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        return max(alone, self._largest)

    def _watch(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a thread or a child has just ended
                self._largest = max(self._largest, _resident_gb())
            time.sleep(0.05)


def _resident_gb() -> float:
    """Resident memory of this process and its children."""
    tasks = pathlib.Path("/proc/self/task").iterdir()
    children = [(task / "children").read_text().split() for task in tasks]
    pids = ["self", *itertools.chain.from_iterable(children)]
    pages = [
        int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids
    ]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e9


class TimedStages(StageCache):
    """Notes how long each stage took, without those it called for, and the peaks."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, float] = {}
        self.memory = PeakMemory()

    def get(
        self, name: str, inputs: Mapping[str, Any], make: Callable[[], Part]
    ) -> Part:
        """See `StageCache.get`."""
        start, inner = cpu_seconds(), sum(self.seconds.values())
        part = super().get(name, inputs, make)
        nested = sum(self.seconds.values()) - inner
        # A stage of the first page is read again for the whole one.
        own = cpu_seconds() - start - nested
        self.seconds[name] = self.seconds.get(name, 0.0) + own
        self.peaks[name] = self.memory.gb
        return part


def measure(settings: InterfaceSettings, kept: str | None) -> dict[str, Any]:
    """Makes an interface in a folder, or in a temporary one, and measures it."""
    with contextlib.ExitStack() as stack:
        folder = kept or stack.enter_context(tempfile.TemporaryDirectory())
        settings = dataclasses.replace(
            settings, output_dir=pathlib.Path(folder) / "page"
        )
        cache = TimedStages(str(pathlib.Path(folder) / "stages"))
        imports, wall = cpu_seconds(), time.perf_counter()
        page = make_interface(settings, cache)
        total, wall = cpu_seconds(), time.perf_counter() - wall
        files = {
            str(path.relative_to(page.parent)): path.stat().st_size
            for path in sorted(page.parent.rglob("*"))
            if path.is_file()
        }
    stages = {
        "imports": imports,
        **_named(cache.seconds),
        "writing and the rest": total - imports - sum(cache.seconds.values()),
    }
    return {
        "cpu_seconds": total,
        "wall_seconds": wall,
        "peak_memory_gb": cache.memory.gb,
        "bytes": sum(files.values()),
        "n_files": len(files),
        "stages_cpu_seconds": stages,
        "peak_gb_after_stage": _named(cache.peaks),
        "stages_reused": cache.reused,
        "files": files,
    }


def _named(seconds: dict[str, float]) -> dict[str, float]:
    """Stages' names without the model's digest."""
    named = {}
    for name, value in seconds.items():
        kind, *rest = name.split("/")
        named["/".join([kind, rest[-1]]) if kind == "features" else name] = value
    return named


def main() -> None:
    """Measures and reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--policy_layer", help="add attributions of every action")
    parser.add_argument("--folder", help="where page and stages go, to be kept")
    parser.add_argument("--mail", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", help="JSON file to write")
    arguments = parser.parse_args()
    settings = InterfaceSettings(model=arguments.model)
    if arguments.policy_layer:
        settings = dataclasses.replace(
            settings, policy_layers=(arguments.policy_layer,)
        )
    if arguments.mail:
        settings = settings.for_mail()
    if arguments.quick:
        settings = settings.quick()
    load = os.getloadavg()[0]
    result = measure(settings, arguments.folder)
    result["command"] = " ".join(["python -m benchmarks.interface", *sys.argv[1:]])
    result["machine"] = {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": load,
        "load_after": os.getloadavg()[0],
    }
    print(f"{'stage':<28}{'CPU seconds':>12}")
    for name, seconds in result["stages_cpu_seconds"].items():
        print(f"{name:<28}{seconds:>12.1f}")
    print(f"{'all':<28}{result['cpu_seconds']:>12.1f}")
    print(f"wall time {result['wall_seconds']:.0f} s", end=", ")
    print(f"peak memory {result['peak_memory_gb']:.2f} GB", end=", ")
    print(f"{result['bytes'] / 1e6:.1f} MB in {result['n_files']} files")
    if arguments.output:
        with atomic_open(arguments.output, "w") as stream:
            json.dump(result, stream, indent=1)
            stream.write("\n")


if __name__ == "__main__":
    main()
