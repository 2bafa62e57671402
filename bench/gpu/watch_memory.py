"""Runs a command and prints the memory of its processes, a JSON object an interval, and at the end the peaks and the time.

usage: watch_memory.py [--every SECONDS] COMMAND ARGS...     (Linux)

MB (10^6 bytes) resident at the interval's end: of the command itself, and of each process that it started and that lives. `anonymous`
leaves out pages of mapped files, which the system takes back when it needs them.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path


def resident(pid):
    """(all resident bytes, anonymous ones) of a process; None once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Vm") or line.startswith("Rss")}
    return (found["VmRSS"], found["RssAnon"]) if "VmRSS" in found else None


def tree(root):
    """The process and its descendants, oldest first."""
    try:
        children = [int(pid) for task in Path(f"/proc/{root}/task").iterdir() for pid in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [root, *(pid for child in sorted(children) for pid in tree(child))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=float, default=60)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    start = time.monotonic()
    child = subprocess.Popen(args.command)
    peaks, due = {}, args.every
    while child.poll() is None:
        now = {pid: memory for pid in tree(child.pid) if (memory := resident(pid))}
        for pid, memory in now.items():
            peaks[pid] = tuple(map(max, memory, peaks.get(pid, (0, 0))))
        if time.monotonic() - start >= due:
            mb = lambda index: [round(memory[index] / 1e6) for memory in now.values()]
            print(json.dumps({"seconds": round(due), "resident_mb": mb(0), "anonymous_mb": mb(1)}), file=sys.stderr, flush=True)
            due += args.every
        time.sleep(0.1)
    mb = lambda index: [round(memory[index] / 1e6) for memory in peaks.values()]
    print(json.dumps({"seconds": round(time.monotonic() - start, 1), "peak_resident_mb": mb(0), "peak_anonymous_mb": mb(1)}), file=sys.stderr)
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
