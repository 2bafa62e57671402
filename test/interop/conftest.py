"""The output folder under test: the main job's, or the one that VIG_OUTPUT names."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
# For `integrations`.
sys.path.insert(0, str(ROOT))

#: Of the demo data, for models other than the main job's.
NUM_SAMPLES = 300
IMAGES = ROOT / "data" / "demo" / "images"


@pytest.fixture(scope="session")
def output() -> Path:
    folder = Path(os.environ.get("VIG_OUTPUT", ROOT / "out" / "select"))
    assert (folder / "_SUCCESS").exists(), f"{folder} is not complete: run `npm start` first"
    return folder


@pytest.fixture(scope="session")
def manifest(output: Path) -> dict:
    return json.loads((output / "manifest.json").read_text())


@pytest.fixture(scope="session")
def sql(output: Path):
    """Runs a query in which scores, selection and rejects are tables."""
    connection = duckdb.connect()
    for name in ("scores", "selection", "rejects"):
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{output}/{name}/*.parquet'")
    return lambda query: connection.execute(query).fetchall()


def pipeline(*words: object) -> None:
    """Runs the command as a user would."""
    done = subprocess.run(
        ["node", "bin/pipeline.js", *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="session", params=["main_job", "llava", "qwen2_vl"])
def family_output(request, tmp_path_factory) -> Path:
    """Finished runs over the same samples by models of several tokenizers.

    The main job's; a tiny SentencePiece one (LLaVA's template, byte fallback); a tiny byte-level one whose token
    counts depend on the images' sizes.
    """
    if request.param == "main_job":
        return request.getfixturevalue("output")
    folder = tmp_path_factory.mktemp(request.param)
    records = json.loads((IMAGES.parent / "train.json").read_text(encoding="utf-8"))
    (folder / "train.json").write_text(json.dumps(records[:NUM_SAMPLES]), encoding="utf-8")
    changes = {
        "model.path": ROOT / "test" / "fixtures" / "models" / request.param,
        "source.annotations": folder / "train.json",
        "output.path": folder / "out",
    }
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    pipeline("run", "pipelines/select.yaml", "--quiet", *sets)
    return folder / "out"


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Exports a run's selection once: exported(output, format, *options) is the export's folder."""
    made: dict[tuple, Path] = {}

    def export(output: Path, to: str, *options: object) -> Path:
        key = (output, to, *options)
        if key not in made:
            folder = tmp_path_factory.mktemp(to) / "export"
            pipeline("export", output, "--to", to, "--out", folder, "--quiet", *options)
            made[key] = folder
        return made[key]

    return export


@pytest.fixture(scope="session")
def model_folder(family_output: Path) -> Path:
    return Path(json.loads((family_output / "manifest.json").read_text())["model"]["path"])


@pytest.fixture(scope="session")
def selected(family_output: Path) -> list[dict]:
    return pq.read_table(family_output / "selection").to_pylist()


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in modules)


def needs(*modules: str):
    """Marks a test that wants packages too large for every run; test/interop/README.md says how to get them."""
    return pytest.mark.skipif(
        not has(*modules), reason=f"needs {', '.join(modules)}: pip install -r test/interop/requirements-training.txt"
    )
