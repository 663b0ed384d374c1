"""Starts ministack, having taught it what AWS judges a function's calls by and it does not know, and to shift traffic.

- `dynamodb:LeadingKeys`, of which the template's conditions speak; in a transaction and in a batch, item by item.
- `sqs:SendMessage` allows SendMessageBatch too, which is no action of its own. So with the other batches.
- `ses:FromAddress`, and that a mail is sent in the name of an identity.
- A request comes to a function from where it came to the gateway, and not always from 127.0.0.1.
- What comes here has come by TLS: the emulator is on loopback, and the buckets' policies refuse plain HTTP.
- An alias with a weight for a second version leads that part of its calls there: of the gateway, queues, streams and schedules.

At /_e2e/busy it says what streams and queues hold that is due, so that tests need not wait for times to pass; at /_e2e/served
how often each version of each function was called.

Each of these replaces one function of ministack by one that asks the old one. Where ministack is another than the one that
this was written for, it does not start. What remains unjudged stands in README.md.
"""

import collections
import contextvars
import importlib.metadata
import json
import random
import re
import sys
import time

VERSION = "1.5.33"
if importlib.metadata.version("ministack") != VERSION:
    sys.exit(f"this teaches ministack {VERSION}, and what is installed is {importlib.metadata.version('ministack')}")

from ministack import app  # noqa: E402
from ministack.core import iam_actions, iam_evaluator, responses  # noqa: E402
from ministack.services import apigateway, dynamodb, lambda_svc, sqs  # noqa: E402

LEADING_KEYS = "dynamodb:LeadingKeys"
# The partition key of each table. Indexes have others, and no statement about an index asks for them.
PARTITION = "pk"


class Table(str):
    """The ARN of a table, with the partitions that a request touches in it."""

    partitions: list


def of_table(arn, partitions):
    table = Table(arn)
    table.partitions = [it for it in partitions if it is not None]
    return table


def partition_of(step):
    """The partition of what one step puts, or names by its key."""
    item = step.get("Key") or step.get("Item") or step
    return item.get(PARTITION, {}).get("S")


def partitions_of_query(request):
    """The partition that a query reads: what its condition says the partition key equals."""
    names, values = request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})
    for name, value in re.findall(r"([#\w]+)\s*=\s*(:\w+)", request.get("KeyConditionExpression", "")):
        if names.get(name, name) == PARTITION:
            return [values[value]["S"]]
    return []


def tables_of(body, region, account):
    request = json.loads(body or b"{}")
    arns = tables_before(body, region, account)
    if "RequestItems" in request:
        partitions = []
        for asked in request["RequestItems"].values():
            steps = asked["Keys"] if isinstance(asked, dict) else [step for write in asked for step in write.values()]
            partitions.append([partition_of(step) for step in steps])
        return [of_table(arn, touched) for arn, touched in zip(arns, partitions, strict=True)]
    if "KeyConditionExpression" in request:
        return [of_table(arn, partitions_of_query(request)) for arn in arns]
    return [of_table(arn, [partition_of(request)] if "Key" in request or "Item" in request else []) for arn in arns]


def steps_of_transaction(action, body, region, account):
    checks = steps_before(action, body, region, account)
    if not checks:
        return checks
    steps = [step for item in json.loads(body)["TransactItems"] for step in item.values()]
    return [(action, of_table(arn, [partition_of(step)])) for (action, arn), step in zip(checks, steps, strict=True)]


def action_of(service, *rest):
    action = action_before(service, *rest)
    return action.removesuffix("Batch") if service == "sqs" and action else action


def judge(key, action, service, region, resource_arn="*", service_context=None):
    context = dict(service_context or {})
    if isinstance(resource_arn, Table) and resource_arn.partitions:
        context[LEADING_KEYS] = resource_arn.partitions
    if action == "ses:SendEmail" and sender.get():
        context["ses:FromAddress"] = sender.get()
        account = iam_evaluator.caller_arn().split(":")[4]
        resource_arn = f"arn:aws:ses:{region}:{account}:identity/{sender.get()}"
    refusal = judge_before(key, action, service, region, resource_arn=resource_arn, service_context=context)
    if refusal:
        principal = getattr(refusal, "principal_arn", None)
        print(f"refused: {action} on {resource_arn} ({context.get(LEADING_KEYS, '')}) to {principal}", flush=True)
    return refusal


def judge_mail(method, path, headers, body, *rest):
    try:
        sender.set(json.loads(body or b"{}").get("FromEmailAddress"))
    except ValueError:
        sender.set(None)
    return judge_mail_before(method, path, headers, body, *rest)


def origin(address, secure_transport):
    origin_before(address, True)


def invoke(run, record, event, **options):
    if http := event.get("requestContext", {}).get("http"):
        http["sourceIp"] = responses.get_request_client_ip()
    return invoke_before(run, record, event, **options)


def version_of(function, qualifier):
    """The version that one call is led to."""
    alias = (function or {}).get("aliases", {}).get(qualifier) or {}
    for version, weight in (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights", {}).items():
        if random.random() < weight:
            qualifier = version
    return version_before(function, qualifier)


def run(function, event, request_id):
    config = function.get("config") or function
    served[f"{config['FunctionName']} {config['Version']}"] += 1
    return run_before(function, event, request_id)


def busy():
    """The event sources that hold something due, or are being worked on."""
    found = []
    for account, region, mapping in lambda_svc._iter_all_esms():
        name = f"{mapping['EventSourceArn']} of {mapping['FunctionName']}"
        identifier = mapping["UUID"]
        if lambda_svc._esm_inflight.get(identifier):
            found.append(f"at work: {name}")
        elif "/stream/" in name:
            table = mapping["EventSourceArn"].split("/")[1]
            end = dynamodb.stream_end_position(table, account_id=account, region=region)
            if lambda_svc._dynamodb_stream_positions.get_scoped(account, region, identifier, 0) != end:
                found.append(f"behind: {name}")
        else:
            queue = mapping["EventSourceArn"].split(":")[-1]
            queues = [it for it in list(sqs._queues._data.values()) if it["name"] == queue]
            if any(message["visible_at"] <= time.time() for it in queues for message in list(it["messages"])):
                found.append(f"due: {name}")
    return found


async def serve(scope, receive, send):
    told = {"/_e2e/busy": busy, "/_e2e/served": lambda: served}.get(scope.get("path"))
    if scope["type"] != "http" or told is None:
        return await serve_before(scope, receive, send)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told()).encode()})


served = collections.Counter()
sender = contextvars.ContextVar("sender", default=None)
tables_before, iam_actions.dynamodb_resource_arns = iam_actions.dynamodb_resource_arns, tables_of
steps_before, iam_actions.dynamodb_transaction_checks = iam_actions.dynamodb_transaction_checks, steps_of_transaction
action_before, iam_actions.extract_iam_action = iam_actions.extract_iam_action, action_of
judge_before, iam_evaluator.enforce = iam_evaluator.enforce, judge
judge_mail_before, app._enforce_ses_v2 = app._enforce_ses_v2, judge_mail
origin_before, app.pin_request_origin = app.pin_request_origin, origin
invoke_before, apigateway.run_reentrant = apigateway.run_reentrant, invoke
version_before, lambda_svc._effective_func_record_for_qualifier = (
    lambda_svc._effective_func_record_for_qualifier,
    version_of,
)
run_before, lambda_svc._execute_function_provided_warm = lambda_svc._execute_function_provided_warm, run
serve_before, app.app = app.app, serve

app.main()
