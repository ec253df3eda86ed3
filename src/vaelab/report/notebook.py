"""Diagnosis -> a small HTML fragment for notebooks: no scripts, no style sheet, readable on light and dark."""

from __future__ import annotations

from vaelab.diagnosis import Diagnosis


def html_of(diagnosis: Diagnosis) -> str:
    """Verdict, metric table, findings, top causes and next steps."""
    # here, for what only reads and diagnoses must not pay for the templates
    from vaelab.report.layout import finding_tree, flatten
    from vaelab.report.markdown import environment

    rows = flatten(finding_tree(diagnosis.findings))
    return environment(autoescape=True).get_template("notebook.html.j2").render(d=diagnosis, findings=rows)
