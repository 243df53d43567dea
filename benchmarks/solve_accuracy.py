"""How much of a budget `allometry.solve` leaves unused, and how long it takes.

    python benchmarks/solve_accuracy.py

Random limits on one measure at a time, log-uniform between 0.02 and 150 times what EfficientNet-B0 has, for the laws
`compound` and `fast`. In the same run the other way: the largest phi whose `scale(B0, phi)` fits, by bisection alone,
which is what an engineer would write in ten lines. The shortfall is the fraction of the limit that is not used.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

from common import machine, print_result, table

from allometry import Network, ScalingLaw, count, get, scale, solve
from allometry.cost import Budget, Limit, Measure
from allometry.cost.measures import COUNTED
from allometry.scaling import COMPOUND, FAST

LEAST, MOST = 0.02, 150.0
LAWS = {"compound": COMPOUND, "fast": FAST}


def budgets(measure: Measure, origin: Network, *, number: int, seed: int) -> list[Limit]:
    """Log-uniform limits on one measure."""
    draw, own = random.Random(f"{seed}/{measure.name}"), count(origin)[measure]
    span = math.log(LEAST), math.log(MOST)
    return [Limit(measure, int(math.exp(draw.uniform(*span)) * own)) for _ in range(number)]


def bisect(origin: Network, limit: Limit, law: ScalingLaw) -> Network:
    """The network of the largest phi that fits, to within 0.0001."""
    low, high = -100.0, 100.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        fits = limit.allows(limit.value(count(scale(origin, middle, law=law))))
        low, high = (middle, high) if fits else (low, middle)
    return scale(origin, low, law=law)


def summary(uses: Sequence[float], seconds: Sequence[float], limits: Sequence[Limit]) -> dict[str, float]:
    """Shortfalls (shares of the limit), the limit of the largest, how many went over, and the time for one."""
    shortfalls = sorted(1 - use for use in uses)
    worst = min(range(len(uses)), key=lambda place: uses[place])
    return {
        "median": statistics.median(shortfalls),
        "p95": shortfalls[min(len(shortfalls) - 1, math.ceil(0.95 * len(shortfalls)) - 1)],
        "most": shortfalls[-1],
        "most_at": limits[worst].most,
        "over": sum(use > 1 for use in uses),
        "seconds": statistics.median(seconds),
    }


def measure_both(origin: Network, limits: Sequence[Limit], law: ScalingLaw) -> dict[str, dict[str, float]]:
    """`solve` and plain bisection on the same limits."""
    uses: dict[str, list[float]] = {"solve": [], "bisection": []}
    times: dict[str, list[float]] = {"solve": [], "bisection": []}
    for limit in limits:
        began = time.process_time()
        solved = solve(origin, Budget((limit,)), law=law).network
        between = time.process_time()
        bisected = bisect(origin, limit, law)
        ended = time.process_time()
        for way, network, seconds in (
            ("solve", solved, between - began),
            ("bisection", bisected, ended - between),
        ):
            uses[way].append(limit.use(limit.value(count(network))))
            times[way].append(seconds)
    return {way: summary(uses[way], times[way], limits) for way in uses}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=300, help="budgets per measure and law (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the budgets (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    origin = get("efficientnet-b0")
    results = []
    for law_name, law in LAWS.items():
        for measure in COUNTED:
            limits = budgets(measure, origin, number=args.number, seed=args.seed)
            results.append({"law": law_name, "measure": measure.name, **measure_both(origin, limits, law)})
    result: dict[str, Any] = {
        "benchmark": "solve_accuracy",
        "budgets": args.number,
        "range": [LEAST, MOST],
        "seed": args.seed,
        "results": results,
        "machine": machine(),
    }
    print_result(result, lines(result), as_json=args.json)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a Markdown table with its caption."""
    header = ["law, measure, way", "median", "95th percentile", "largest", "at a limit of", "over", "seconds"]
    rows = [
        _row(f"{row['law']}, {row['measure']}, {way}", row[way])
        for row in result["results"]
        for way in ("solve", "bisection")
    ]
    least, most = result["range"]
    return [
        *table(header, rows),
        "",
        f"Shortfall under the limit, of {result['budgets']} budgets in each row, {least:g}x to {most:g}x of "
        f"EfficientNet-B0, seed {result['seed']}: the median, the 95th percentile, the largest and its limit; how many "
        "went over their limit; the median processor time for one.",
    ]


def _row(name: str, values: dict[str, float]) -> list[str]:
    shares = (f"{values[kind]:.2%}" for kind in ("median", "p95", "most"))
    at, over = f"{values['most_at']:,.0f}", f"{values['over']:.0f}"
    return [name, *shares, at, over, f"{values['seconds']:.3f}"]


if __name__ == "__main__":
    main()
