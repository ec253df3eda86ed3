"""Make docs/faultbench.md, its pictures and docs/faultbench-details.md from the saved verdicts.

python benchmarks/faultbench/page.py
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import tables
from harm import COSTS
from measures import (
    FALSE_ALARM_RATES,
    SEEN,
    by_severity,
    cause_right,
    delay,
    of_kind,
    reliability,
    risk_coverage,
    threshold_at,
    wrong_or_right,
)
from replay import Judged
from score import RESULTS, load_results
from splits import LOOKS, PARTS, part_of
from truth import load

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
PAGE, DETAILS, IMAGES = DOCS / "faultbench.md", DOCS / "faultbench-details.md", DOCS / "images"
PEERS = HERE / "peers.json"
COLOURS = dict(zip(PARTS, ("C1", "C2", "C0"), strict=True))


def main() -> None:
    truths = load()
    runs = load_results(truths, RESULTS)
    parts = {part: [r for r in runs if part_of(r.truth) == part] for part in reversed(PARTS)}
    parts = {part: judged for part, judged in parts.items() if judged}
    tune, final = parts[PARTS[0]], next(iter(parts.values()))
    own, foreign = ([r for r in final if r.truth.name.startswith("own-") is mine] for mine in (True, False))
    shown = {name: parts[name] for name in (next(iter(parts)), PARTS[0])}
    draw("faultbench-severity", shown, severity_picture)
    draw("faultbench-delay", shown, delay_picture)
    draw("faultbench-reliability", shown, reliability_picture)
    kinds = Counter(t.kind for t in truths)
    foreign_count = sum(not t.name.startswith("own-") for t in truths)
    looks = len(json.loads(LOOKS.read_text())) if LOOKS.exists() else 0
    write_page(
        PAGE,
        {
            "count": f"{len(truths)} runs: {len(truths) - foreign_count} of our own trainer, {foreign_count} of"
            f" {len({t.system for t in truths if not t.name.startswith('own-')})} others. "
            f"{kinds['faulty']} faulty, {kinds['passed']} with a fault that passed, {kinds['harmless']} planted but harmless,"
            f" {kinds['healthy']} healthy, {kinds['undecided']} that learned nothing and are not scored."
            f" The final part has {sum(t.split == 'final' for t in truths)} runs in two draws; {looks} look(s) at it are written down.",
            "goals": tables.goals(parts),
            "peers": peers(runs) if PEERS.exists() else "",
        },
    )
    held = [r for r in final if r.truth.held_out]
    sections = {
        "What is held out (final part)": tables.by(held, lambda r: r.truth.held_out, "held out by"),
        "Systems (final part, our own runs)": tables.by(own, lambda r: r.truth.system, "system"),
        "Dialects (tune part, our own runs)": tables.by(
            [r for r in tune if r.truth.name.startswith("own-")], lambda r: r.truth.dialect, "dialect"
        ),
        "Trainers that are not ours (final part)": tables.by(foreign, lambda r: r.truth.system, "trainer"),
        "Trainers that are not ours (tune part)": tables.by(
            [r for r in tune if not r.truth.name.startswith("own-")], lambda r: r.truth.system, "trainer"
        ),
        "What the fault cost (final part)": tables.by(of_kind(final, "faulty"), worst_cost, "largest cost"),
        "Confidence that something (or nothing) is wrong (final part)": tables.reliability_table(
            reliability(wrong_or_right(final))
        ),
        "Belief in the first cause (final part)": tables.reliability_table(reliability(cause_right(final))),
        "Risk and coverage (final part)": risk_table(final),
        "Look-alikes (tune part)": tables.by(
            [r for r in tune if r.truth.kind == "healthy"],
            lambda r: r.truth.lookalike or "plain",
            "healthy kind",
        ),
        "Mechanisms (tune part)": tables.by_mechanism(tune),
    }
    text = (
        "# The fault bench: details\n\nMade by `benchmarks/faultbench/page.py` from the saved verdicts; see [the fault bench](faultbench.md)."
        f" The final part here is: {next(iter(parts))}.\n"
    )
    DETAILS.write_text(
        text + "".join(f"\n## {title}\n\n{part}\n" for title, part in sections.items()), encoding="utf-8"
    )


def peers(runs: Sequence[Judged]) -> str:
    """The peers' table, with vaelab on the runs that they were given."""
    asked = json.loads(PEERS.read_text())
    same = [r for r in runs if r.truth.name in set(asked["runs"])]
    return tables.peer_table(same, asked["peers"])


def worst_cost(run: Judged) -> str:
    """The measure by which the fault is furthest above its limit."""
    costs = dict(run.truth.costs) or {"dB": run.truth.lost_db}
    return max(costs, key=lambda name: costs[name] / COSTS[name])


def risk_table(runs: Sequence[Judged]) -> str:
    curve = risk_coverage(wrong_or_right(runs))
    if not curve:
        return "Not scored yet."
    wanted = (0.25, 0.5, 0.75, 0.9, 1.0)
    rows = [
        (tables.percent(share), tables.percent(next(risk for kept, risk in curve if kept >= share - 1e-9)))
        for share in wanted
    ]
    return tables.table(("surest verdicts kept", "wrong among them"), rows)


def draw(name: str, parts: tables.Parts, picture: Callable[[Axes, tables.Parts], None]) -> None:
    figure, axes = pyplot.subplots(figsize=(6, 4.4), dpi=110)
    picture(axes, parts)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, framealpha=0.6, loc="upper left", bbox_to_anchor=(0, -0.2))
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)


def severity_picture(axes: Axes, parts: tables.Parts) -> None:
    """Share acted on (and watched) against what the fault cost."""
    for part, runs in parts.items():
        acted, seen = (by_severity(runs, test) for test in (lambda r: r.final.alarm, lambda r: r.final.status in SEEN))
        places = range(len(acted))
        axes.plot(places, [s.value for _, _, s in acted], marker="o", color=COLOURS[part], label=f"{part}: act or stop")
        axes.plot(
            places,
            [s.value for _, _, s in seen],
            marker=".",
            linestyle=":",
            color=COLOURS[part],
            label=f"{part}: watch or more",
        )
        for place, (_, _, share) in zip(places, acted, strict=True):
            axes.vlines(place, *share.interval, color=COLOURS[part], alpha=0.3, linewidth=4)
    axes.set_xticks(
        list(places),
        [f"{low:g}-{high:g}" if math.isfinite(high) else f"> {low:g}" for low, high, _ in acted],
        fontsize=8,
    )
    axes.set_xlabel("dB of held-out PSNR that the fault cost")
    axes.set_ylabel("share of runs")
    axes.set_ylim(-0.03, 1.03)


def delay_picture(axes: Axes, parts: tables.Parts) -> None:
    """Share of faulty runs with an alarm by a share of the run after the onset, at two rates of false alarms."""
    for part, runs in parts.items():
        healthy, faulty = of_kind(runs, "healthy"), of_kind(runs, "faulty")
        false = tables.percent(sum(any(p.alarm for p in r.points) for r in healthy) / max(1, len(healthy)))
        curves = [(None, "-", f"act or stop ({false} of healthy runs alarmed)")]
        curves += [
            (threshold_at(healthy, rate), style, f"{rate:.0%} of healthy runs alarmed")
            for rate, style in zip(FALSE_ALARM_RATES, (":", "--"), strict=True)
        ]
        for threshold, style, label in curves:
            waits = sorted(delay(r, right=False, threshold=threshold) for r in faulty)
            places = [w for w in waits if math.isfinite(w)]
            heights = [(i + 1) / len(waits) for i in range(len(places))]
            axes.step(places, heights, where="post", linestyle=style, color=COLOURS[part], label=f"{part}: {label}")
    axes.set_xlabel("share of the run after the onset")
    axes.set_ylabel("faulty runs with an alarm")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def reliability_picture(axes: Axes, parts: tables.Parts) -> None:
    """How often verdicts and first causes were right, by how sure vaelab said it was; a point is the larger, the more runs it stands for."""
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as sure as right")
    for part, runs in parts.items():
        for of, marker, style, name in (
            (wrong_or_right, "o", "-", "something is wrong, or nothing"),
            (cause_right, "^", ":", "first cause"),
        ):
            bins = reliability(of(runs))
            stated, right = [b.stated for b in bins], [b.right for b in bins]
            axes.plot(stated, right, style, marker=marker, markersize=3, color=COLOURS[part], label=f"{part}: {name}")
            axes.scatter(stated, right, [3 * b.n for b in bins], COLOURS[part], marker=marker, alpha=0.4)
    axes.set_xlabel("how sure vaelab said it was")
    axes.set_ylabel("share that was right")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)


def write_page(page: Path, parts: dict[str, str]) -> None:
    """Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->`."""
    text = page.read_text(encoding="utf-8")
    for name, part in parts.items():
        pattern = re.compile(f"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
        text = pattern.sub(partial(_between, part), text)
    page.write_text(text, encoding="utf-8")


def _between(part: str, match: re.Match[str]) -> str:
    return f"{match[1]}\n{part}\n\n{match[2]}"


if __name__ == "__main__":
    main()
