"""Adapts template.yaml to where there is no AWS, in what follows and in nothing else. Run by .ci/checks/e2e.sh.

    adapt.py TEMPLATE BINARIES INTO [--without FUNCTION:ACTION]...

writes INTO/template.json and INTO/Makefile. What is adapted:

- Functions are built for x86_64, and `sam build` packages what `cargo lambda build` has made of all of them at once, in
  BINARIES, instead of calling it function by function.
- Functions are deployed at once: the emulator has no CodeDeploy to shift traffic with.
- Alarms on metric math are left out: the emulator refuses them.
- How many copies of a function read a queue at most is ten where a parameter says it: the emulator takes a parameter for a text,
  and reads no queue at all; and when one of hundreds that one machine starts at once is late, it ends all of them.
- `--without` takes an action out of what the role of a function allows, its managed policies included, to see that it is
  missed.

Whatever the emulator does not know beside that, it refuses as it is deployed. What it ignores stands in README.md.
"""

import argparse
import json
import pathlib
import sys

from samcli.yamlhelper import yaml_parse

FUNCTION = "AWS::Serverless::Function"
ALARM = "AWS::CloudWatch::Alarm"
COPIES = 10
MANAGED_POLICY = "AWS::IAM::ManagedPolicy"


def of_type(template, kind):
    return {name: it for name, it in template["Resources"].items() if it["Type"] == kind}


def build_once(template, folder, binaries, into):
    """Has every function built by a Makefile, which copies. What is not to be built stays where it is."""
    functions = template["Globals"]["Function"]
    if functions["Architectures"] != ["arm64"]:
        sys.exit(f"functions are for {functions['Architectures']} by now: adapt.py knows of arm64 alone")
    functions["Architectures"] = ["x86_64"]
    rules = []
    for name, function in of_type(template, FUNCTION).items():
        metadata = function["Metadata"]
        if metadata == {"SkipBuild": True}:
            function["Properties"]["CodeUri"] = str(folder / function["Properties"]["CodeUri"])
            continue
        if metadata.get("BuildMethod") != "rust-cargolambda" or "Architectures" in function["Properties"]:
            sys.exit(f"{name} is built in a way that adapt.py does not know")
        bootstrap = binaries / metadata["BuildProperties"]["Binary"] / "bootstrap"
        if not bootstrap.is_file():
            sys.exit(f"{bootstrap} is missing: build the functions first")
        # Symbols are half of a program in the dev profile, and all of it is zipped and unzipped.
        rules.append(f"build-{name}:\n\tstrip -o $(ARTIFACTS_DIR)/bootstrap {bootstrap}\n")
        function["Metadata"] = {"BuildMethod": "makefile"}
        function["Properties"]["CodeUri"] = "."
    (into / "Makefile").write_text("\n".join(rules))


def deploy_at_once(template):
    for function in (template["Globals"]["Function"], *(it["Properties"] for it in of_type(template, FUNCTION).values())):
        function.pop("DeploymentPreference", None)


def leave_out_metric_math(template):
    for name, alarm in of_type(template, ALARM).items():
        if "Metrics" in alarm["Properties"]:
            print(f"left out: {name}, an alarm on metric math")
            del template["Resources"][name]


def write_out_concurrency(template):
    for function in of_type(template, FUNCTION).values():
        for event in function["Properties"].get("Events", {}).values():
            scaling = event["Properties"].get("ScalingConfig", {})
            if isinstance(scaling.get("MaximumConcurrency"), dict):
                scaling["MaximumConcurrency"] = COPIES


def take_out(template, function, action):
    """Takes an action out of the role of a function. A managed policy becomes the role's own first, as others have it too."""
    resources = template["Resources"]
    role = resources[resources[function]["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
    found = 0
    managed = [resources[it["Ref"]]["Properties"]["PolicyDocument"] for it in role.pop("ManagedPolicyArns")]
    for number, document in enumerate(managed):
        document = json.loads(json.dumps(document))
        role["Policies"].append({"PolicyName": f"managed-{number}", "PolicyDocument": document})
    for policy in role["Policies"]:
        statements = policy["PolicyDocument"]["Statement"]
        for statement in list(statements):
            actions = statement["Action"]
            actions = [actions] if isinstance(actions, str) else actions
            if statement["Effect"] != "Allow" or action not in actions:
                continue
            found += 1
            statement["Action"] = [it for it in actions if it != action]
            if not statement["Action"]:
                statements.remove(statement)
    if not found:
        sys.exit(f"nothing allows {function} {action}")
    print(f"taken out: {action} of {function}, from {found} statements")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("template", type=pathlib.Path)
    arguments.add_argument("binaries", type=pathlib.Path)
    arguments.add_argument("into", type=pathlib.Path)
    arguments.add_argument("--without", action="append", default=[], metavar="FUNCTION:ACTION")
    given = arguments.parse_args()
    template = yaml_parse(given.template.read_text())
    build_once(template, given.template.resolve().parent, given.binaries.resolve(), given.into)
    deploy_at_once(template)
    leave_out_metric_math(template)
    write_out_concurrency(template)
    for it in given.without:
        take_out(template, *it.split(":", 1))
    (given.into / "template.json").write_text(json.dumps(template, indent=1))


main()
