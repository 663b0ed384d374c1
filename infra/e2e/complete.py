"""Completes what `sam deploy` has made in the emulator.

    complete.py STACK              prints the URL of the API
    complete.py STACK --faults     fails if a queue of faults holds anything

- The emulator ignores the body of an AWS::ApiGatewayV2::Api, in which SAM has all routes: they are made from the template as
  SAM has transformed it. Whatever of a route would be lost is an error.
- The address that mails are sent from is made an identity of SES, which docs/deploying.md leaves to whoever deploys.
"""

import json
import os
import sys

import boto3

METHODS = {"get", "post", "put", "patch", "delete"}
KNOWN = {"x-amazon-apigateway-integration", "isDefaultRoute", "parameters", "responses"}


def called(uri, physical):
    """The alias that an integration calls: CloudFormation knows one by its ARN."""
    names = [it.split("}")[0] for it in uri["Fn::Sub"].split("${")[1:]]
    (name,) = [it for it in names if not it.startswith("AWS::")]
    if not physical[name].endswith(":live"):
        sys.exit(f"{name} is called by no alias")
    return physical[name]


def make_routes(template, physical):
    gateway = boto3.client("apigatewayv2")
    ((name, api),) = [it for it in template["Resources"].items() if it[1]["Type"] == "AWS::ApiGatewayV2::Api"]
    integrations, routes = {}, 0
    for path, operations in api["Properties"]["Body"]["paths"].items():
        for method, operation in operations.items():
            if unknown := set(operation) - KNOWN:
                sys.exit(f"{method} {path}: {unknown} would be lost")
            integration = operation["x-amazon-apigateway-integration"]
            alias = called(integration["uri"], physical)
            if alias not in integrations:
                integrations[alias] = gateway.create_integration(
                    ApiId=physical[name],
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=alias,
                    PayloadFormatVersion=integration["payloadFormatVersion"],
                )["IntegrationId"]
            if path == "/$default":
                key = "$default"
            elif method == "x-amazon-apigateway-any-method":
                key = f"ANY {path}"
            elif method in METHODS:
                key = f"{method.upper()} {path}"
            else:
                sys.exit(f"{method} {path}: no such method")
            gateway.create_route(ApiId=physical[name], RouteKey=key, Target=f"integrations/{integrations[alias]}")
            routes += 1
    print(f"{routes} routes to {len(integrations)} functions", file=sys.stderr)
    return physical[name]


def faults(physical):
    """What is in the queues that nothing reads."""
    queues, found = boto3.client("sqs"), {}
    for name, url in physical.items():
        if name.endswith("FaultsQueue"):
            counted = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            found[name] = int(counted["Attributes"]["ApproximateNumberOfMessages"])
    return found


def main(stack, *options):
    cloudformation = boto3.client("cloudformation")
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    physical = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
    if options == ("--faults",):
        counted = faults(physical)
        print("faults:", counted)
        sys.exit(any(counted.values()))
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    template = json.loads(template) if isinstance(template, str) else template
    sender = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Parameters"]
    (sender,) = [it["ParameterValue"] for it in sender if it["ParameterKey"] == "MailFrom"]
    boto3.client("sesv2").create_email_identity(EmailIdentity=sender)
    api = make_routes(template, physical)
    print(f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{api}/%24default")


main(*sys.argv[1:])
