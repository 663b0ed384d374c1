"""What infra/deploy/delete_old_versions.py deletes, and what never, against a stand-in for AWS."""

import contextlib
import io
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "infra/deploy"))


class Aws:
    """A stack with two functions, one of them in the middle of a shift. Everything comes in pages of one."""

    VERSIONS = {"auth": ["$LATEST", "1", "2", "9", "10", "11", "12"], "docs": ["$LATEST", "3", "4", "5"]}
    ALIASES = {
        "auth": [
            {"FunctionVersion": "1"},
            {"FunctionVersion": "11", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.1}}},
        ],
        "docs": [{"FunctionVersion": "5"}],
    }

    def __init__(self):
        self.deleted = []

    def client(self, _service: str):
        return self

    def get_paginator(self, operation: str):
        self.operation = operation
        return self

    def paginate(self, StackName: str = "", FunctionName: str = ""):
        if self.operation == "list_stack_resources":
            resources = [("AWS::Lambda::Function", name) for name in self.VERSIONS] + [("AWS::SQS::Queue", "jobs")]
            return [
                {"StackResourceSummaries": [{"ResourceType": kind, "PhysicalResourceId": name}]} for kind, name in resources
            ]
        if self.operation == "list_aliases":
            return [{"Aliases": [it]} for it in self.ALIASES[FunctionName]]
        return [{"Versions": [{"Version": it}]} for it in self.VERSIONS[FunctionName]]

    def delete_function(self, FunctionName: str, Qualifier: str) -> None:
        self.deleted.append((FunctionName, Qualifier))


def deleted_with(*arguments: str) -> list:
    aws = Aws()
    sys.modules["boto3"] = aws
    sys.modules.pop("delete_old_versions", None)
    import delete_old_versions

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        delete_old_versions.main(["stack", *arguments])
    return aws.deleted


class OldVersions(unittest.TestCase):
    def test_the_newest_stay_by_their_numbers_and_so_does_what_an_alias_leads_to(self):
        self.assertEqual(deleted_with("--keep", "2"), [("auth", "9"), ("auth", "10"), ("docs", "3")])
        latest = [("auth", "9"), ("auth", "10"), ("docs", "3"), ("docs", "4")]
        self.assertEqual(deleted_with("--keep", "1"), latest)

    def test_where_there_are_few_all_of_them_stay(self):
        self.assertEqual(deleted_with("--keep", "6"), [])
        self.assertEqual(deleted_with(), [], "the sixth is led to")

    def test_a_function_is_never_left_without_its_release(self):
        with self.assertRaises(SystemExit):
            deleted_with("--keep", "0")


if __name__ == "__main__":
    unittest.main()
