"""Diagnosis -> a small HTML fragment for notebooks: the first view, and the rest folded. No scripts, no style sheet."""

from __future__ import annotations

from vaelab.diagnosis import Diagnosis


def html_of(diagnosis: Diagnosis) -> str:
    """Verdict, change, why and the plots that show it; metrics, findings, causes and next steps below, folded."""
    # here, for what only reads and diagnoses must not pay for the templates
    from vaelab.report.first_view import first_view
    from vaelab.report.layout import finding_tree, flatten
    from vaelab.report.markdown import environment
    from vaelab.report.svg_plot import svg_plot

    rows = flatten(finding_tree(diagnosis.findings))
    template = environment(autoescape=True).get_template("notebook.html.j2")
    return template.render(d=diagnosis, v=first_view(diagnosis), findings=rows, svg_plot=svg_plot)
