"""One row of the speed table: `pipeline run bench/gpu/score.yaml`, samples a second from the first batch to the last commit.

usage: ours.py DIR [--samples 1024] [--set KEY=VALUE ...]

DIR is what make_model.py wrote, with the exported model in DIR/model. Decode, blur, tokenisation and writing are in the number, loading
the model is not. Prints one JSON object: speed, how the processes spent their time, the most memory that each card had in use (MiB).
"""

import argparse
import json
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class CardMemory:
    """The largest memory.used of every card while it is watched, as nvidia-smi says."""

    def __enter__(self):
        query = ["nvidia-smi", "--query-gpu=index,memory.used", "--format=csv,noheader,nounits", "--loop-ms=1000"]
        self.process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True) if shutil.which("nvidia-smi") else None
        return self

    def __exit__(self, *_):
        self.peaks = {}
        if self.process is None:
            return
        self.process.terminate()
        for line in self.process.communicate()[0].splitlines():
            fields = line.split(", ")
            if len(fields) == 2 and fields[1].isdigit():
                self.peaks[fields[0]] = max(int(fields[1]), self.peaks.get(fields[0], 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--set", action="append", default=[])
    args = parser.parse_args()
    first = args.dir / "first.json"
    first.write_text(json.dumps(json.loads((args.dir / "samples.json").read_text())[: args.samples]))
    out = args.dir / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [os.environ.get("NODE", "node"), ROOT / "bin" / "pipeline.js", "run", ROOT / "bench" / "gpu" / "score.yaml", "--no-report"]
    settings = [part for setting in (f"source.annotations={first.resolve()}", *args.set) for part in ("--set", setting)]
    with CardMemory() as cards:
        env = {**os.environ, "BENCH_DIR": str(args.dir.resolve()), "BENCH_OUT": str(out.resolve())}
        done = subprocess.run([*command, *settings], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("\n".join((done.stdout + done.stderr).splitlines()[-5:]))
    manifest = json.loads((out / "manifest.json").read_text())
    phases, inference = manifest["duration_ms_by_phase"], manifest["inference"]
    seconds = (phases["score"] - phases["load"]) / 1000
    row = {"set": args.set, "samples": manifest["counts"]["num_scored"], "samples_per_s": round(manifest["counts"]["num_scored"] / seconds, 2)}
    row |= {key: round(inference[key]) for key in ("session_ms", "host_ms", "idle_ms")} | {"load_ms": phases["load"]}
    print(json.dumps(row | {"card_mib": list(cards.peaks.values())}), flush=True)


if __name__ == "__main__":
    main()
