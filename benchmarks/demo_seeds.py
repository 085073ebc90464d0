"""The demonstration with several seeds: `python -m benchmarks.demo_seeds [--seeds 5]`.

A seed decides the order of the examples, the dropout and the sampling of both arms; model and feedback are the shipped
ones. What is printed is what `finetune-tui demo --json` measured, each in a home folder of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.record import append, spread


def run(seed: int) -> dict[str, Any]:
    """One demonstration in a fresh folder; raises when it does not end well."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tui", "--home", folder, "demo", "--seed", str(seed), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"seed {seed} failed:\n{done.stdout}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    print("seed  base  tuned  difference (95 %)      success         won/lost/tied  verdict  proof  seconds")
    for seed in range(arguments.seeds):
        result = run(seed)
        test, low, high = result["ab"], *result["ab"]["difference_interval"]
        proved = sum(check["passed"] for check in result["proof"])
        rows.append(
            {
                "seed": seed,
                "base": test["score_a"],
                "tuned": test["score_b"],
                "difference": test["difference"],
                "interval": [low, high],
                "success": [test["success_a"], test["success_b"]],
                "won_lost_tied": [test["wins"], test["losses"], test["ties"]],
                "verdict": test["verdict"],
                "checks_passed": [proved, len(result["proof"])],
                "seconds": result["seconds"],
            }
        )
        difference = f"{test['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
        success = f"{test['success_a']:.1%} → {test['success_b']:.1%}"
        decided = f"{test['wins']}/{test['losses']}/{test['ties']}"
        print(
            f"{seed:>4}  {test['score_a']:4.1f}  {test['score_b']:5.1f}  {difference:<22}  {success:<14}  {decided:<13}"
            f"  {test['verdict']}  {proved}/{len(result['proof'])}  {result['seconds']}",
            flush=True,
        )
    summary = {
        "difference": spread([row["difference"] for row in rows]),
        "seconds": spread([row["seconds"] for row in rows]),
        "runs": rows,
    }
    append(
        "demo_seeds", "python -m benchmarks.demo_seeds", summary, ("torch", "transformers", "peft", "llama_cpp_python")
    )


if __name__ == "__main__":
    main()
