"""Dashboard and alerts name only what the code exports, and Prometheus' own tools accept them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dmqcache.metrics.exported import EXPORTS
from tests.metrics.scrape import text_of
from tests.server.served import busy_node

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "dashboards" / "dmqcache.json"
ALERTS = ROOT / "dashboards" / "alerts.yml"

#: What Prometheus itself adds to each series of a target.
TARGET_LABELS = {"job", "instance"}
#: Words of the query language that are followed by a list of labels, not by arguments.
GROUPING = ("by", "without", "on", "ignoring", "group_left", "group_right")
OPERATORS = {"and", "or", "unless", "bool", "offset", *GROUPING}


def exported() -> dict[str, set[str]]:
    """Sample name -> its labels, as /metrics really shows them."""
    found: dict[str, set[str]] = {"up": set()}
    for metric in text_string_to_metric_families(text_of(busy_node())):
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels() -> Iterator[tuple[str, str, str]]:
    """Title, query and legend of each panel's target."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target["legendFormat"]


def rules() -> Iterator[tuple[str, str, str]]:
    """Name, query and all the rest of each alert; read without a YAML library, promtool checks the form."""
    for text in ALERTS.read_text().split("- alert: ")[1:]:
        name, _, rest = text.partition("\n")
        query = re.search(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", rest, re.MULTILINE)
        assert query, name
        yield name, " ".join((query[1] or query[2]).split()), rest


def queries() -> list[Any]:
    found = [*panels(), *rules()]
    return [pytest.param(query, shown, id=f"{name}-{i}") for i, (name, query, shown) in enumerate(found)]


def names_in(query: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels that a query names."""
    query = re.sub(r'"(?:[^"\\]|\\.)*"', '""', query)
    query = re.sub(r"\boffset \d+\w", "", query)
    labels = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", query))
    for group in re.findall(rf"\b(?:{'|'.join(GROUPING)})\s*\(([^)]*)\)", query):
        labels |= set(re.findall(r"\w+", group))
    bare = re.sub(rf"\b(?:{'|'.join(GROUPING)})\s*\([^)]*\)", " ", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    words = set(re.findall(r"[A-Za-z_:][\w:]*(?!\w|\s*\()", bare))
    return words - OPERATORS, labels


def shown_labels(text: str) -> set[str]:
    """Labels in a legend ({{node}}) or in an annotation ({{ $labels.node }})."""
    return set(re.findall(r"\{\{(\w+)\}\}", text)) | set(re.findall(r"\$labels\.(\w+)", text))


def promtool(*arguments: str, cwd: Path | None = None) -> str:
    """Run promtool; its output if it is content. Never skipped: CI installs it."""
    found = shutil.which("promtool")
    assert found, "promtool is missing: apt-get install prometheus"
    done = subprocess.run([found, *arguments], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_reader_of_queries_sees_what_is_there() -> None:
    metrics, labels = names_in(
        'histogram_quantile(0.9, sum by (job, le) (rate(a_bucket{x="b", y!~"c|d"}[5m]))) > 2 '
        "and on (z) b_x offset 10m"
    )
    assert (metrics, labels) == ({"a_bucket", "b_x"}, {"job", "le", "x", "y", "z"})
    assert shown_labels("{{node}} and {{ $labels.reason }} of {{ $value }}") == {"node", "reason"}


@pytest.mark.parametrize(("query", "shown"), queries())
def test_only_what_is_exported_is_asked_for(query: str, shown: str) -> None:
    known = exported()
    metrics, labels = names_in(query)
    assert metrics, query
    assert metrics <= set(known), metrics - set(known)
    allowed = set().union(TARGET_LABELS, *(known[name] for name in metrics))
    assert labels <= allowed, labels - allowed
    assert shown_labels(shown) <= allowed, shown_labels(shown) - allowed


def test_variables_ask_for_what_is_exported() -> None:
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    asked = [variable["definition"] for variable in variables if variable["type"] == "query"]
    assert len(asked) == 2
    for query in asked:
        metric, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert metric in exported()
        assert label in TARGET_LABELS


def test_every_export_is_on_the_dashboard() -> None:
    text = DASHBOARD.read_text()
    assert [export.name for export in EXPORTS if export.name not in text] == []


@pytest.mark.parametrize("label", ["reason", "kind", "code", "origin", "direction", "status"])
def test_values_that_queries_compare_with_occur_in_the_code(label: str) -> None:
    """A drop reason that was renamed would silence its alert."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "dmqcache").rglob("*.py")))
    for _, query, _ in [*panels(), *rules()]:
        for values in re.findall(rf'\b{label}(?:=~|!~|!=|=)"([^"]*)"', query):
            for value in values.split("|"):
                # udp_refused is made of "udp_" and "refused".
                assert f'"{value}"' in source or f'"{value.partition("_")[2]}"' in source, value


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(ALERTS))


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml", cwd=ALERTS.parent)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = re.split(
        r"^ +- (?=\{?eval_time)", (ROOT / "dashboards" / "alerts_test.yml").read_text(), flags=re.M
    )
    fires, silent = set(), set()
    for case in cases[1:]:
        name = re.search(r"alertname: (\w+)", case)
        assert name, case
        (fires if "exp_alerts:" in case else silent).add(name[1])
    names = {name for name, _, _ in rules()}
    assert (fires, silent) == (names, names)


def test_promtool_can_read_every_panel(tmp_path: Path) -> None:
    """Grafana's variables replaced, each query must be one of Prometheus'."""
    lines = ["groups:", "  - name: panels", "    rules:"]
    for i, (_, query, _) in enumerate(panels()):
        plain = query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
        assert "$" not in plain
        lines += [f"      - record: panel:{i}", f"        expr: {json.dumps(plain)}"]
    rules_file = tmp_path / "panels.yml"
    rules_file.write_text("\n".join(lines) + "\n")
    promtool("check", "rules", str(rules_file))


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    cells = [(x + i, y + j) for x, y, w, h in places for i in range(w) for j in range(h)]
    assert len(set(cells)) == len(cells), "panels overlap"
    assert max(x for x, _ in cells) < 24


def test_rules_have_what_operators_need() -> None:
    names = [name for name, _, _ in rules()]
    assert len(set(names)) == len(names)
    for name, _, text in rules():
        assert re.search(r"severity: (warning|critical)", text), name
        assert "summary:" in text, name
        assert "description:" in text, name


def test_operations_explain_every_metric_and_every_alert() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    samples = [export.name + ("_total" if export.kind == "counter" else "") for export in EXPORTS]
    assert [name for name in samples if f"`{name}`" not in text] == []
    assert [name for name, _, _ in rules() if f"**{name}**" not in text] == []
