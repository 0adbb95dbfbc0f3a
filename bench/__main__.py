"""`python -m bench`: run every benchmark and print one Markdown table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.table import markdown

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, without the slowest peers and the cold starts")
    parser.add_argument("--no-peers", action="store_true", help="fastscale alone")
    parser.add_argument("--only", metavar="WORDS", help="benchmarks whose names match, as pytest's -k")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the table there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", str(FOLDER), f"--benchmark-json={results}", "--benchmark-quiet", "-rs"]
        command += ["--quick"] * options.quick + ["--no-peers"] * options.no_peers
        command += ["-k", options.only] if options.only else []
        run = subprocess.run(command, cwd=FOLDER.parent, stdout=sys.stderr)
        if not results.exists() or results.stat().st_size == 0:
            return run.returncode or 1
        table = markdown(json.loads(results.read_text())["benchmarks"])
    print(table)
    if options.out:
        options.out.write_text(table + "\n", encoding="utf-8")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
