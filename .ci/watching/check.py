"""What is shipped for Prometheus and Grafana is well-formed: the alert rules as YAML that Prometheus takes, each rule whole, and
the dashboard's panels. That they name only metrics which the hub tells is a test of the binary: `genimage/tests/it/watching.rs`.

    check.py CONTRIB-FOLDER
"""

import json
import pathlib
import re
import sys

import yaml

DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
RULE_KEYS = {"alert", "expr", "for", "labels", "annotations"}
SEVERITIES = {"critical", "warning"}

wrong = []


class Strict(yaml.SafeLoader):
    """YAML lets a key come twice and the last one win; Prometheus does not."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    for key in {key for key in keys if keys.count(key) > 1}:
        wrong.append(f"line {node.start_mark.line + 1}: {key} comes twice")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def is_text(value):
    return isinstance(value, str) and value.strip() != ""


def is_balanced(expression):
    """Whether every bracket is closed by its own kind; texts in quotes are passed over."""
    pairs, open_ones = {")": "(", "]": "[", "}": "{"}, []
    for char in re.sub(r'"(\\.|[^"\\])*"', "", expression):
        if char in pairs.values():
            open_ones.append(char)
        elif char in pairs and (not open_ones or open_ones.pop() != pairs[char]):
            return False
    return not open_ones


def check_expression(about, expression):
    if not is_text(expression):
        wrong.append(f"{about} has no expr")
    elif not is_balanced(expression):
        wrong.append(f"{about}: brackets do not match in {expression}")


def check_rule(rule):
    about = rule.get("alert")
    if not is_text(about) or not NAME.fullmatch(about):
        wrong.append(f"a rule has no good name: {rule}")
    for key in rule.keys() - RULE_KEYS:
        wrong.append(f"{about} has {key}, which Prometheus does not know")
    check_expression(about, rule.get("expr"))
    if not DURATION.fullmatch(str(rule.get("for", ""))):
        wrong.append(f"{about} does not say for how long: {rule.get('for')}")
    labels, annotations = rule.get("labels") or {}, rule.get("annotations") or {}
    if labels.get("severity") not in SEVERITIES:
        wrong.append(f"{about} has the severity {labels.get('severity')}")
    for name in ["summary", "description"]:
        text = annotations.get(name)
        if not is_text(text) or text.count("{{") != text.count("}}"):
            wrong.append(f"{about} has no good {name}: {text}")


def check_alerts(path):
    groups = yaml.load(path.read_text(), Strict)["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for group in groups:
        if not is_text(group.get("name")):
            wrong.append("a group has no name")
    for rule in rules:
        check_rule(rule)
    names = [rule.get("alert") for rule in rules]
    for name in {name for name in names if names.count(name) > 1}:
        wrong.append(f"{name} comes twice")
    return len(rules)


def check_dashboard(path):
    dashboard = json.loads(path.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    for panel in panels:
        about = f"panel {panel.get('id')}"
        if not is_text(panel.get("title")):
            wrong.append(f"{about} has no title")
        if not panel.get("targets"):
            wrong.append(f"{about} shows nothing")
        for target in panel.get("targets", []):
            check_expression(about, target.get("expr"))
    return len(panels)


contrib = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__))
rules, panels = check_alerts(contrib / "prometheus-alerts.yml"), check_dashboard(contrib / "grafana-dashboard.json")
if rules == 0 or panels == 0:
    wrong.append(f"{rules} rules and {panels} panels")
print(*wrong, f"watching: {rules} alert rules, {panels} panels, {len(wrong)} complaints", sep="\n")
sys.exit(1 if wrong else 0)
