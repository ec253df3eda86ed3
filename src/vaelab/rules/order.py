"""MET: which column moved first, where the reconstruction has become worse."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule

FIRST = 2.0
"""Times its earlier levels from which a term has moved before the reconstruction does."""


class MovedBeforeTheReconstruction(Rule):
    """Another term had risen before the reconstruction became worse.

    What it checks: the KL and the adaptive weight in the rows before the reconstruction left its best level for good, against their
    own earlier levels.
    Why it matters: everything rises in a run that breaks, whatever broke it. A learning rate that is too high moves all terms at once; a latent that
    grows moves the KL first, an adaptive weight that runs away moves first itself.
    Evidence it needs: at least 12 rows before the reconstruction leaves its level.
    What to do: mend what moved first; the rest follows.
    References: causes C3, D7.
    """

    code = "MET1012"
    finds = ("", "rising")
    needs = ("tracks",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        for lead in facts.leads:
            if lead.times > FIRST:
                onset, column = lead.track.onset, facts.run.columns[lead.track.metric].original
                yield self.finding(
                    f"{lead.metric} had risen to {lead.times:.3g} times its earlier levels when {column} left its best level at about step"
                    f" {onset:,}: it moved first.",
                    size=lead.times,
                    subject=facts.view.role(lead.metric).name,
                    metrics=(lead.metric, lead.track.metric),
                    steps=(onset, None),
                    evidence=(Evidence(lead.metric, lead.now), Evidence("times its earlier levels", lead.times)),
                )
