"""The template against checkov's rules. What it finds must be in .ci/checkov-exceptions.toml, with its reason, and the other way
round. It has an environment of its own, as it wants other versions of what the SAM command line is built from."""

import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECKOV = ROOT / ".venv/checkov/bin/checkov"


def found() -> tuple[dict[str, set[str]], int]:
    """The checks that fail, each with the resources it fails for; and how many hold."""
    command = [CHECKOV, "--file", "template.yaml", "--framework", "cloudformation", "--skip-download", "--compact", "--output", "json"]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    results = json.loads(ran.stdout)
    if results["summary"]["parsing_errors"] or not results["summary"]["resource_count"]:
        sys.exit("checkov could not read the template")
    failed: dict[str, set[str]] = {}
    for check in results["results"]["failed_checks"]:
        failed.setdefault(check["check_id"], set()).add(check["resource"].rsplit(".", 1)[-1])
    return failed, results["summary"]["passed"]


def main() -> int:
    exceptions = tomllib.loads((ROOT / ".ci/checkov-exceptions.toml").read_text())
    failed, passed = found()
    complaints = []
    for check, resources in sorted(failed.items()):
        allowed = exceptions.get(check, {}).get("resources", [])
        unexpected = set() if allowed == "all" else resources - set(allowed)
        complaints += [f"{check} fails for {resource}, and no reason is given" for resource in sorted(unexpected)]
    for check, exception in exceptions.items():
        named = [] if exception["resources"] == "all" else exception["resources"]
        stale = set(named) - failed.get(check, set())
        complaints += [f"{check} no longer fails for {resource}" for resource in sorted(stale)]
        if check not in failed:
            complaints.append(f"{check} no longer fails for anything")
        if len(exception.get("reason", "")) < 40:
            complaints.append(f"{check} is excepted without a reason")
    print("\n".join(complaints) or f"checkov: {passed} hold, {len(exceptions)} checks are excepted with a reason")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
