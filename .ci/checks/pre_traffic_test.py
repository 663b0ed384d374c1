"""The check before traffic (infra/pre-traffic), against stand-ins for Lambda and CodeDeploy.

That all functions answer its event is tested where the functions are: infra/acceptance/tests/it/events.rs.
"""

import io
import json
import os
import pathlib
import sys
import threading
import types
import unittest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "infra/pre-traffic"
WELL = {
    "health:2": {"statusCode": 200, "body": "{}"},
    "leads:7": {"statusCode": 404, "body": "{}"},
    "deliver:3": {"batchItemFailures": []},
    "sweep:4": None,
}


class Aws:
    """Lambda with versions that answer so, and CodeDeploy, which remembers what it was told."""

    def __init__(self, answers: dict):
        self.answers, self.told, self.called = answers, [], []

    def client(self, _service: str, config=None):
        return self

    def invoke(self, FunctionName: str, Payload: bytes) -> dict:
        self.called.append((FunctionName, json.loads(Payload)["routeKey"]))
        answer = self.answers[FunctionName]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, threading.Event):
            answer.wait()
        failed = {"FunctionError": "Unhandled"} if answer == "fails" else {}
        return {"Payload": io.BytesIO(json.dumps(answer, default=str).encode()), **failed}

    def put_lifecycle_event_hook_execution_status(self, **told) -> None:
        self.told.append(told)


class Context:
    """So much time there is, in seconds."""

    def __init__(self, seconds: float):
        self.get_remaining_time_in_millis = lambda: round(seconds * 1000)


def told_after(seconds: float = 180, **changed) -> tuple[list, list]:
    """What CodeDeploy is told, and who was called, when these versions answer otherwise than well."""
    aws = Aws(WELL | {name.replace("_", ":"): answer for name, answer in changed.items()})
    sys.modules["boto3"] = aws
    sys.modules["botocore"] = types.ModuleType("botocore")
    sys.modules["botocore.config"] = types.SimpleNamespace(Config=dict)
    sys.modules.pop("pre_traffic", None)
    os.environ |= {"HEALTH_VERSION": "health:2", "VERSIONS": " ".join(WELL)}
    import pre_traffic

    pre_traffic.handler({"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}, Context(seconds))
    return aws.told, aws.called


class PreTraffic(unittest.TestCase):
    def setUp(self):
        sys.path.insert(0, str(FOLDER))
        self.addCleanup(sys.path.remove, str(FOLDER))
        self.addCleanup(setattr, sys, "stdout", sys.stdout)
        sys.stdout = self.log = io.StringIO()

    def assert_status(self, expected: str, told: list):
        want = {"deploymentId": "d-1", "lifecycleEventHookExecutionId": "hook-1", "status": expected}
        self.assertEqual(told, [want])

    def test_a_release_that_is_well_is_given_traffic(self):
        told, called = told_after()
        self.assert_status("Succeeded", told)
        self.assertEqual(sorted(called), sorted((version, "GET /health") for version in WELL))
        self.assertEqual(self.log.getvalue(), "")

    def test_one_version_that_is_not_well_holds_the_release_back_and_is_named(self):
        for version, answer in [
            ("health_2", {"statusCode": 503}),
            ("health_2", {"statusCode": 404}),
            ("health_2", None),
            ("leads_7", "fails"),
            ("leads_7", {"statusCode": 500}),
            ("deliver_3", {"batchItemFailures": [{"itemIdentifier": "1"}]}),
            ("sweep_4", TimeoutError("no answer")),
        ]:
            with self.subTest(version=version, answer=answer):
                self.log.truncate(0)
                told, _ = told_after(**{version: answer})
                self.assert_status("Failed", told)
                self.assertIn(version.replace("_", ":"), self.log.getvalue())

    def test_a_version_that_hangs_is_named_while_there_is_time_to_tell(self):
        hangs = threading.Event()
        self.addCleanup(hangs.set)
        told, _ = told_after(seconds=15.2, leads_7=hangs)
        self.assert_status("Failed", told)
        [line] = self.log.getvalue().splitlines()
        self.assertEqual(json.loads(line)["version"], "leads:7")


if __name__ == "__main__":
    unittest.main()
