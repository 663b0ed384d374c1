"""Asked by CodeDeploy before a new version of a function is given traffic: does the release start, and is it well?

Every version of the release is called with one event, probe.json, which is at once a request for /health and a batch of no
records. A version that lacks a permission, a variable or a secret does not start, and says so in the function log. The version
that serves /health must answer 200, which takes the tables and the queue; the other ones for HTTP have no such route and say
that; those that work on batches report no failures; the sweep sweeps, which it may at any time.

Every function of a release asks this before its own traffic is shifted, so one that does not start holds all of them back.

It is Python because the runtime brings the clients of CodeDeploy and Lambda along: there is nothing to build.
"""

import concurrent.futures
import json
import os
import pathlib

import boto3
from botocore.config import Config

PROBE = pathlib.Path(__file__).with_name("probe.json").read_bytes()

# The one sweep there may be at a time can take a minute; a second one is refused until then.
PATIENT = Config(read_timeout=70, max_pool_connections=20, retries={"mode": "standard", "total_max_attempts": 10})

# Kept for telling CodeDeploy, which waits an hour for whoever says nothing.
SECONDS_TO_TELL = 15


def fault(answer: dict, payload: bytes, is_health: bool) -> str | None:
    """What is wrong with a version's answer, if anything is."""
    if "FunctionError" in answer:
        return f"it failed ({answer['FunctionError']})"
    body = json.loads(payload or b"null")
    if is_health:
        status = body.get("statusCode") if isinstance(body, dict) else None
        return None if status == 200 else f"/health was answered with {status}"
    if body is None:
        return None
    if isinstance(body, dict) and body.get("statusCode") == 404:
        return None
    if isinstance(body, dict) and body.get("batchItemFailures") == []:
        return None
    return "its answer is none that a function gives"


def probe(functions, version: str) -> str | None:
    """Calls one version; what is wrong with it, if anything is."""
    try:
        answer = functions.invoke(FunctionName=version, Payload=PROBE)
        return fault(answer, answer["Payload"].read(), version == os.environ["HEALTH_VERSION"])
    except Exception as error:  # Whatever it is, this version was not seen to be well.
        return f"it could not be called: {error!r}"


def handler(event: dict, context) -> None:
    functions = boto3.client("lambda", config=PATIENT)
    versions = os.environ["VERSIONS"].split()
    pool = concurrent.futures.ThreadPoolExecutor(len(versions))
    probes = {version: pool.submit(probe, functions, version) for version in versions}
    patience = context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_TELL
    answered, _ = concurrent.futures.wait(probes.values(), timeout=patience)
    pool.shutdown(wait=False, cancel_futures=True)
    status = "Succeeded"
    for version, asked in probes.items():
        found = asked.result() if asked in answered else "it did not answer in time"
        if found is not None:
            status = "Failed"
            print(json.dumps({"level": "ERROR", "message": "a new version is not well", "version": version, "error": found}))
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
