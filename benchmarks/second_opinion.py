"""The statistics of A/B tests computed a second time, by scipy and choix."""

from __future__ import annotations

import math
import random

from core.prove import rating, stats
from core.prove.verdict import for_promotion


def agreement() -> dict[str, float]:
    """The largest distance from a second implementation (scipy, choix), over many counts."""
    import choix
    import numpy as np
    from scipy import special
    from scipy import stats as scipy_stats

    draw = random.Random(9)
    far = {"evidence": 0.0, "wilson": 0.0, "sign_test": 0.0, "bradley_terry": 0.0}
    for _ in range(300):
        wins, losses = draw.randint(0, 200), draw.randint(0, 200)
        n = max(1, wins + losses)
        a, b = 1 + wins, 1 + losses
        share = (
            special.betainc(b, a, 0.5) - special.betainc(b, a, 0.2)
            if wins < losses
            else special.betainc(a, b, 0.8) - special.betainc(a, b, 0.5)
        )
        mixture = math.exp((wins + losses) * math.log(2) + special.betaln(a, b)) * share / 0.3
        far["evidence"] = max(far["evidence"], abs(for_promotion(wins, losses) - mixture) / max(mixture, 1e-9))
        exact = scipy_stats.binomtest(wins, n)
        held = exact.proportion_ci(method="wilson")
        ours = stats.wilson(wins, n)
        far["wilson"] = max(far["wilson"], abs(held.low - ours[0]), abs(held.high - ours[1]))
        far["sign_test"] = max(far["sign_test"], abs(exact.pvalue - stats.sign_test(wins, n - wins)))
    for _ in range(30):
        games = {(i, j): (draw.randint(1, 30), draw.randint(1, 30), 0) for i in range(6) for j in range(i)}
        told = [each for (i, j), won in games.items() for each in [(i, j)] * won[0] + [(j, i)] * won[1]]
        theirs = np.asarray(choix.ilsr_pairwise(6, told, alpha=0.0, tol=1e-13, max_iter=10_000))
        found = rating.fit(games, 0).theta
        gap = max(abs(found[each] - (theirs[each] - theirs[0])) for each in range(6))
        far["bradley_terry"] = max(far["bradley_terry"], float(gap))
    return {name: float(f"{value:.2g}") for name, value in far.items()}
