"""The table of functions in docs/functions.md: what each weighs, how it starts, and what it is given and allowed.

Memory, timeout and permissions come from template.yaml, the rest from docs/functions.json, which holds what was measured last.

    function-table.py                         fails if the table is not what the two say
    function-table.py --write                 writes it
    function-table.py --record FIGURES DIR    first keeps what `bench cold-start --json` wrote to FIGURES, and how large the
                                              bootstraps in DIR are when zipped
"""

import datetime
import json
import pathlib
import runpy
import sys

from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/functions.md"
MEASURED = ROOT / "docs/functions.json"
BEGIN, END = "<!-- made by .ci/checks/function-table.py -->\n", "<!-- until here -->\n"
EMPTY = "empty-function"
# What every function has, said once above the table.
OF_ALL = {"ObservabilityPolicy", "TracePolicy", "AppendOnlyAuditPolicy"}


def one_or_many(value: object) -> list:
    return value if isinstance(value, list) else [value]


def name_of(reference: object) -> str:
    """What a reference of the template is to, as people call it."""
    if isinstance(reference, str):
        return reference
    ((kind, to),) = reference.items()
    if kind == "Fn::GetAtt":
        resource, attribute = to if isinstance(to, list) else to.split(".")
        return f"{resource}/stream" if attribute == "StreamArn" else resource
    if kind == "Fn::Sub":
        # An ARN that is written out says what it is of in its last part.
        return to.replace(".Arn}", "}").replace("${", "").replace("}", "").split(":")[-1]
    return str(to)


def circumstances(condition: dict) -> str:
    """When something is allowed. The guard beside a fence of keys goes without saying."""
    told = []
    for operator, values in condition.items():
        if operator == "Null":
            continue
        for key, allowed in values.items():
            names = ", ".join(f"`{name_of(value)}`" for value in one_or_many(allowed))
            told.append(f" of {names}" if key == "dynamodb:LeadingKeys" else f" if {key} is {names}")
    return "".join(told)


def permissions(role: dict) -> str:
    """The policies that a role shares with others, and what it is allowed by its own."""
    allowed = [f"`{name_of(it)}`" for it in role.get("ManagedPolicyArns", []) if name_of(it) not in OF_ALL]
    for policy in role.get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = ", ".join(action.split(":")[-1] for action in one_or_many(statement["Action"]))
            resources = ", ".join(f"`{name_of(it)}`" for it in one_or_many(statement["Resource"]))
            refused = "never " if statement["Effect"] == "Deny" else ""
            allowed.append(f"{refused}{actions}: {resources}{circumstances(statement.get('Condition', {}))}")
    return "; ".join(allowed)


def table(template: dict, measured: dict) -> str:
    figures = measured["functions"]
    heading = ["function", "zip MB", "init ms", "× empty", "first event ms", "next ms", "peak MiB", "memory MB", "timeout s", "permissions"]
    lines = [f"| {' | '.join(heading)} |", "|---|" + "--:|" * 8 + "---|"]
    globals_ = template["Globals"]["Function"]
    rows = {EMPTY: ["", "", "one table: GetItem; not deployed"]}
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function" or "BuildProperties" not in resource.get("Metadata", {}):
            continue
        properties = resource["Properties"]
        given = [str(properties.get(name, globals_[name])) for name in ("MemorySize", "Timeout")]
        role = template["Resources"][name_of(properties["Role"])]["Properties"]
        rows[resource["Metadata"]["BuildProperties"]["Binary"]] = [*given, permissions(role)]
    for function in [EMPTY, *sorted(rows.keys() - {EMPTY})]:
        it = figures.get(function)
        seen = (
            [
                f"{it['zip_bytes'] / 1e6:.2f}",
                f"{it['init_ms']:.1f}",
                f"{it['init_ratio']:.2f}",
                f"{it['first_ms']:.1f}",
                f"{it['warm_ms']:.1f}",
                f"{it['peak_mib']:.0f}",
            ]
            if it
            else ["not measured"] + [""] * 5
        )
        lines.append(f"| {' | '.join([function, *seen, *rows[function]])} |")
    return "\n".join(lines) + "\n"


def by_memory(template: dict, measured: dict) -> str:
    """Times under the share of a processor that comes with memory."""
    figures = measured["functions"]
    sizes = [str(size) for size in measured["memory_mb"]]
    lines = [f"| function | {' | '.join(f'{size} MB' for size in sizes)} |", "|---|" + "--:|" * len(sizes)]
    for function in sorted(figures, key=lambda name: (name != EMPTY, name)):
        cells = []
        for size in sizes:
            it = figures[function]["by_memory"].get(size)
            cells.append(" / ".join(f"{it[part]:.0f}" for part in ("init_ms", "first_ms", "warm_ms")) if it else "")
        lines.append(f"| {function} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def record(figures: pathlib.Path, folder: pathlib.Path) -> None:
    """Keeps what was measured: of each time the median."""
    zipped_bytes = runpy.run_path(str(ROOT / ".ci/checks/bootstrap-size.py"))["zipped_bytes"]
    report = json.loads(figures.read_text())
    about = report["circumstances"]
    functions = {
        it["function"]: {
            "zip_bytes": zipped_bytes(folder / it["function"] / "bootstrap"),
            "init_ms": it["init"]["p50_ms"],
            "init_p90_ms": it["init"]["p90_ms"],
            "init_processor_ms": it["init_processor"]["p50_ms"],
            "init_ratio": it["init_ratio"],
            "first_ms": it["first"]["p50_ms"],
            "first_processor_ms": it["first_processor"]["p50_ms"],
            "warm_ms": it["warm"]["p50_ms"],
            "warm_processor_ms": it["warm_processor"]["p50_ms"],
            "peak_mib": it["peak_mib"],
            "by_memory": {
                str(under["memory_mb"]): {f"{part}_ms": under[part]["p50_ms"] for part in ("init", "first", "warm")}
                for under in it["by_memory"]
            },
        }
        for it in report["functions"]
    }
    kept = {
        "measured_on": datetime.datetime.fromtimestamp(about["began_at_unix_seconds"], datetime.UTC).date().isoformat(),
        "architecture": about["architecture"],
        "processors": about["processors"],
        "starts": report["runs"],
        "distance_ms": report["distance_ms"],
        "memory_mb": sorted({int(size) for it in functions.values() for size in it["by_memory"]}),
    }
    # A line for each function, so that a change shows as one.
    lines = [f"  {json.dumps(name)}: {json.dumps(it)}" for name, it in functions.items()]
    head = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items())
    MEASURED.write_text("{\n" + head + ',\n  "functions": {\n' + ",\n".join(f"  {line}" for line in lines) + "\n  }\n}\n")


def replaced(document: str, tables: list[str]) -> str:
    """The document with the tables between its marks, in their order."""
    parts = document.split(BEGIN)
    if len(parts) != len(tables) + 1:
        sys.exit(f"{DOCUMENT} has {len(parts) - 1} marks for {len(tables)} tables")
    return parts[0] + "".join(BEGIN + "\n" + new + "\n" + END + part.split(END, 1)[1] for new, part in zip(tables, parts[1:]))


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--record"]:
        record(pathlib.Path(arguments[1]), pathlib.Path(arguments[2]))
    template = json.loads(json.dumps(yaml_parse((ROOT / "template.yaml").read_text())))
    measured = json.loads(MEASURED.read_text())
    document = DOCUMENT.read_text()
    wanted = replaced(document, [table(template, measured), by_memory(template, measured)])
    if arguments:
        DOCUMENT.write_text(wanted)
    elif wanted != document:
        print("docs/functions.md is not what template.yaml and docs/functions.json say: run .ci/checks/function-table.py --write")
        return 1
    print(f"{len(measured['functions'])} functions are measured and listed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
