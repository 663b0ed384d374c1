"""Gives the deployed HTTP API its routes: the emulator ignores the body of an AWS::ApiGatewayV2::Api, in which SAM has them.

    routes.py STACK

reads the template as SAM has transformed it, makes each route that stands there, and prints the API's id. Anything that it
would lose is an error.
"""

import json
import sys

import boto3

METHODS = {"get", "post", "put", "patch", "delete"}


def function_of(uri):
    """The function, or its alias, that an integration calls."""
    (before, name), *_ = [part.split("${", 1) for part in uri["Fn::Sub"].split("}") if "${AWS::" not in part]
    return name.split(".")[0]


def main(stack):
    cloudformation, gateway, functions = (boto3.client(it) for it in ("cloudformation", "apigatewayv2", "lambda"))
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    template = json.loads(template) if isinstance(template, str) else template
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    physical = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
    (name, api), = [it for it in template["Resources"].items() if it[1]["Type"] == "AWS::ApiGatewayV2::Api"]
    integrations, routes = {}, 0
    for path, operations in api["Properties"]["Body"]["paths"].items():
        for method, operation in operations.items():
            unknown = set(operation) - {"x-amazon-apigateway-integration", "isDefaultRoute", "parameters", "responses"}
            if unknown:
                sys.exit(f"{method} {path}: {unknown} would be lost")
            integration = operation["x-amazon-apigateway-integration"]
            function = function_of(integration["uri"])
            if function not in integrations:
                arn = functions.get_function_configuration(FunctionName=physical[function])["FunctionArn"]
                integrations[function] = gateway.create_integration(
                    ApiId=physical[name],
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=arn,
                    PayloadFormatVersion=integration["payloadFormatVersion"],
                )["IntegrationId"]
            if path == "/$default":
                key = "$default"
            elif method in METHODS:
                key = f"{method.upper()} {path}"
            else:
                sys.exit(f"{method} {path}: no such method")
            gateway.create_route(ApiId=physical[name], RouteKey=key, Target=f"integrations/{integrations[function]}")
            routes += 1
    print(f"{routes} routes to {len(integrations)} functions", file=sys.stderr)
    print(physical[name])


main(*sys.argv[1:])
