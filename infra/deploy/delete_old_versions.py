"""Deletes versions of a stack's functions that nobody can be led back to: run by the workflow after each deployment.

    delete_old_versions.py STACK [--keep N]

Each release publishes a version of every function, and CloudFormation, which SAM tells to, keeps all of them; an account has room
for 75 GB of code. Of each function the newest N stay, 5 when nothing is said, and whatever else an alias leads to. What is
deleted here CloudFormation no longer knows, but for the newest version.
"""

import argparse

import boto3


def led_to(aliases: list[dict]) -> set[str]:
    """The versions that callers are led to, those included that traffic is shifted to."""
    versions = {it["FunctionVersion"] for it in aliases}
    for it in aliases:
        versions |= set((it.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {}))
    return versions


def old(versions: list[str], used: set[str], keep: int) -> list[str]:
    """The numbers of those to delete. $LATEST is none of them: it is the function itself."""
    numbers = sorted((it for it in versions if it.isdecimal()), key=int)
    return [it for it in numbers[:-keep] if it not in used]


def functions_of(cloudformation, stack: str) -> list[str]:
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    found = [it for page in pages for it in page["StackResourceSummaries"]]
    return sorted(it["PhysicalResourceId"] for it in found if it["ResourceType"] == "AWS::Lambda::Function")


def every(client, operation: str, field: str, function: str) -> list[dict]:
    pages = client.get_paginator(operation).paginate(FunctionName=function)
    return [it for page in pages for it in page[field]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("stack")
    parser.add_argument("--keep", type=int, default=5)
    given = parser.parse_args(arguments)
    if given.keep < 1:
        parser.error("the newest version is the release's: keep one at least")
    lambdas = boto3.client("lambda")
    for function in functions_of(boto3.client("cloudformation"), given.stack):
        used = led_to(every(lambdas, "list_aliases", "Aliases", function))
        versions = [it["Version"] for it in every(lambdas, "list_versions_by_function", "Versions", function)]
        doomed = old(versions, used, given.keep)
        for version in doomed:
            lambdas.delete_function(FunctionName=function, Qualifier=version)
        print(f"{function}: deleted {', '.join(doomed) or 'none'} of {len(versions) - 1} versions", flush=True)


if __name__ == "__main__":
    main()
