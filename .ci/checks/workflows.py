"""The workflows, beyond what actionlint says: nothing of others that can be moved under us, nothing of a caller's in a script,
and no more rights than a job needs."""

import pathlib
import re
import sys

import yaml

FOLDER = pathlib.Path(__file__).resolve().parents[2] / ".github/workflows"
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")
# Beside reading: to prove by OpenID Connect who one is, and to put down what was built.
WRITES = {"id-token", "attestations"}


def complaints_of(workflow: dict) -> list[str]:
    complaints = []
    # YAML 1.1 takes `on` for a truth.
    triggers = workflow.get("on", workflow.get(True))
    if "pull_request_target" in triggers:
        complaints.append("pull_request_target gives a stranger's change the rights of the repository")
    if workflow.get("permissions") != {"contents": "read"}:
        complaints.append("its permissions are not to read the contents, and nothing else")
    for name, job in workflow["jobs"].items():
        rights = job.get("permissions", {})
        written = {right for right, level in rights.items() if level == "write"} if isinstance(rights, dict) else {rights}
        if written - WRITES:
            complaints.append(f"{name} may write {', '.join(sorted(written - WRITES))}")
        for step in [job, *job.get("steps", [])]:
            used = step.get("uses", "./")
            if not used.startswith("./") and not PINNED.match(used):
                complaints.append(f"{name}: {used} is not named by its commit")
            if used.startswith("actions/checkout@") and step.get("with", {}).get("persist-credentials") is not False:
                complaints.append(f"{name}: the token stays behind in the checkout")
            if "${{" in step.get("run", ""):
                complaints.append(f"{name}: what stands in a script by ${{{{ }}}} is run, whoever wrote it; give it a variable")
    return complaints


def main() -> int:
    files = sorted(FOLDER.glob("*.yml"))
    complaints = [f"{file.name}: {it}" for file in files for it in complaints_of(yaml.safe_load(file.read_text()))]
    print("\n".join(complaints) or f"{len(files)} workflows use what is pinned, with the rights they need")
    return 1 if complaints or not files else 0


if __name__ == "__main__":
    sys.exit(main())
