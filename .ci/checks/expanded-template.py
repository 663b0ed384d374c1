"""What SAM makes of the template, for each stage: within CloudFormation's and IAM's limits, new versions for a new release and
callers led to them."""

import json
import logging
import pathlib
import re
import sys

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_RESOURCES = 500
LARGEST_TEMPLATE = 1_000_000
LARGEST_MANAGED_POLICY = 6_144
LARGEST_ROLE = 10_240


def expanded(**parameters: str) -> dict:
    """The template as CloudFormation gets to see it."""
    template = json.loads(json.dumps(yaml_parse((ROOT / "template.yaml").read_text())))
    for resource in template["Resources"].values():
        code = resource.get("Properties", {}).get("CodeUri")
        if code:
            resource["Properties"]["CodeUri"] = f"s3://bucket/{code}"
    values = {name: str(it["Default"]) for name, it in template["Parameters"].items() if "Default" in it}
    values |= parameters | {"AWS::Region": "eu-central-1", "AWS::Partition": "aws"}
    return Translator(None, Parser(), None, boto3.Session(region_name="eu-central-1")).translate(template, values)


def of_type(template: dict, kind: str) -> dict:
    return {name: it for name, it in template["Resources"].items() if it["Type"] == kind}


def size(document: dict) -> int:
    """How many characters IAM counts, with each reference as long as an ARN at most is here."""
    return len(re.sub(r'\{"(Ref|Fn::GetAtt)": [^}]*\}', '"' + "x" * 100 + '"', json.dumps(document, separators=(",", ": "))))


def complaints_of(template: dict, shifts: bool) -> list[str]:
    complaints = []
    if len(template["Resources"]) > MOST_RESOURCES:
        complaints.append(f"{len(template['Resources'])} resources, {MOST_RESOURCES} are allowed")
    if len(json.dumps(template)) > LARGEST_TEMPLATE:
        complaints.append("the template is too large")
    for name, policy in of_type(template, "AWS::IAM::ManagedPolicy").items():
        if size(policy["Properties"]["PolicyDocument"]) > LARGEST_MANAGED_POLICY:
            complaints.append(f"{name} is longer than a managed policy may be")
    for name, role in of_type(template, "AWS::IAM::Role").items():
        if sum(size(it["PolicyDocument"]) for it in role["Properties"].get("Policies", [])) > LARGEST_ROLE:
            complaints.append(f"the policies of {name} are longer than a role's may be")
    # Whoever calls a function calls its alias: else a deployment would not be one.
    for kind in ("AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping"):
        for name, it in of_type(template, kind).items():
            if not str(it["Properties"]["FunctionName"].get("Ref", "")).endswith("Aliaslive"):
                complaints.append(f"{name} leads past the alias")
    routes = {
        f"{method.upper()} {path}"
        for api in of_type(template, "AWS::ApiGatewayV2::Api").values()
        for path, methods in api["Properties"]["Body"]["paths"].items()
        for method in methods
    }
    for stage in of_type(template, "AWS::ApiGatewayV2::Stage").values():
        for route in stage["Properties"].get("RouteSettings", {}):
            if route not in routes:
                complaints.append(f"{route} is throttled and is no route")
    groups = len(of_type(template, "AWS::CodeDeploy::DeploymentGroup"))
    # All but the one that decides.
    expected = len(of_type(template, "AWS::Lambda::Function")) - 1 if shifts else 0
    if groups != expected:
        complaints.append(f"{groups} deployment groups, not {expected}")
    return complaints


def beyond_the_role(template: dict) -> list[str]:
    """Types of resources for which the role that CloudFormation deploys with may call nothing: seen here, and not on AWS."""
    access = yaml_parse((ROOT / "infra/deploy/access.yaml").read_text())["Resources"]
    statements = [it for policy in access["ExecutionRole"]["Properties"]["Policies"] for it in policy["PolicyDocument"]["Statement"]]
    actions = [action for it in statements for action in ([it["Action"]] if isinstance(it["Action"], str) else it["Action"])]
    may_change = {action.split(":")[0] for action in actions if not re.search(":(Get|List|Describe)", action)}
    kinds = {it["Type"] for it in template["Resources"].values()}
    services = {kind: kind.split("::")[1].lower().removesuffix("v2") for kind in kinds}
    return [f"infra/deploy/access.yaml does not let {kind} be changed" for kind in sorted(kinds) if services[kind] not in may_change]


def main() -> int:
    # The translator warns of its own metrics, which nobody collects here.
    logging.disable(logging.WARNING)
    complaints = []
    stages = {"dev": False, "staging": True, "prod": True}
    for stage, shifts in stages.items():
        template = expanded(Stage=stage)
        complaints += [f"{stage}: {complaint}" for complaint in complaints_of(template, shifts) + beyond_the_role(template)]
        print(f"{stage}: {len(template['Resources'])} resources of {MOST_RESOURCES}, {len(json.dumps(template)):,} characters")
    versions = [set(of_type(expanded(Release=release), "AWS::Lambda::Version")) for release in ("first", "second")]
    kept = versions[0] & versions[1]
    complaints += [f"a new release does not publish {version}" for version in sorted(kept)]
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
