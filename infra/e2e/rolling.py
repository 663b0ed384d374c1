"""Rolls a deployment on the emulator from one build to another and back, and once more, while tenants use it. Then it holds
what there is against what was asked for. Run by .ci/checks/rolling.sh; README.md says what that proves.

    rolling.py --stack STACK --url URL --old BINARIES --new BINARIES --artisan PROGRAM [--seconds N]

The stack runs the old build. As CodeDeploy would, this publishes a version of every function and leads callers to it by the
weights of their alias. `artisan` is that of the new build.

It ends with an error if a request was not answered as it should be, if a change left no audit record or more than one, if an
event is missing or was not delivered, if a mail was not sent, if an audit log does not verify, or if a build served nothing while
it should have.
"""

import argparse
import collections
import concurrent.futures
import io
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile

import boto3
from traffic import Book, Lost, Receiver, Tenant

# How many calls of a hundred the new build gets, one stage after the other. Of every other stage a tenant signs up.
STAGES = (0, 10, 50, 100, 50, 0, 50, 100)
# After these `artisan migrate` brings items up, with these options. After the first the old build comes back, to items that it
# has not written.
MIGRATED_AFTER = {3: (), 7: ("--again",)}
# How long everything that is due may take when nobody asks for more. What was forgotten the sweep finds after ten minutes.
PATIENCE = 900


def ask(path):
    with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}{path}", timeout=30) as answer:
        return json.load(answer)


class Stack:
    """What is deployed."""

    def __init__(self, name):
        cloudformation = boto3.client("cloudformation")
        resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
        self.physical = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in resources}
        self.outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        functions = [it for it in resources if it["ResourceType"] == "AWS::Lambda::Function"]
        self.functions = {it["PhysicalResourceId"]: it["LogicalResourceId"].removesuffix("Function") for it in functions}
        self.lambdas = boto3.client("lambda")
        self.versions = {}

    def items(self, table):
        """All items of a table, as DynamoDB has them."""
        pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=self.physical[table], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def messages(self):
        """How many there are in the queues that functions read, those included that are not to be seen yet."""
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible")
        queues, found = boto3.client("sqs"), 0
        for name, url in self.physical.items():
            if name.endswith("Queue") and not name.endswith("FaultsQueue"):
                attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=list(counts))["Attributes"]
                found += sum(int(attributes[it]) for it in counts)
        return found

    def open_deliveries(self):
        found = (it for it in self.items("ActivityTable") if it["sk"]["S"].startswith("DLV#"))
        return sum(it["status"]["S"] in ("pending", "retrying") for it in found)

    def publish(self, old, binaries):
        """A version of every function that there was in the old build, that nobody is led to."""
        for function, name in self.functions.items():
            (live,) = self.lambdas.list_aliases(FunctionName=function)["Aliases"]
            # ApiKeysFunction is the package `api-keys`.
            package = re.sub("(?<!^)(?=[A-Z])", "-", name).lower()
            if not (binaries / package / "bootstrap").is_file():
                sys.exit(f"{package} is not built")
            if not (old / package / "bootstrap").is_file():
                print(f"not rolled, as the old build does not have it: {package}", flush=True)
                continue
            self.lambdas.update_function_code(FunctionName=function, ZipFile=zipped(binaries / package / "bootstrap"))
            new = self.lambdas.publish_version(FunctionName=function)["Version"]
            self.versions[function] = (live["FunctionVersion"], new)

    def shift(self, share):
        """Leads so many of a hundred calls to the new build."""
        for function, (old, new) in self.versions.items():
            weights = {new: share / 100} if 0 < share < 100 else {}
            self.lambdas.update_alias(
                FunctionName=function,
                Name="live",
                FunctionVersion=new if share == 100 else old,
                RoutingConfig={"AdditionalVersionWeights": weights},
            )

    def served(self):
        """How often each function was called, in the old build and in the new one."""
        counts, found = ask("/_e2e/served"), {}
        for function, versions in self.versions.items():
            found[self.functions[function]] = tuple(counts.get(f"{function} {version}", 0) for version in versions)
        return found

    def formats(self):
        """How many organizations there are in each format."""
        return collections.Counter(int(it["v"]["N"]) for it in self.items("CoreTable") if it["sk"]["S"] == "ORG")

    def take_back_to_before_limits(self, organization):
        """Makes an organization what those are that signed up before requests were limited."""
        boto3.client("dynamodb").update_item(
            TableName=self.physical["CoreTable"],
            Key={"pk": {"S": f"ORG#{organization}"}, "sk": {"S": "ORG"}},
            UpdateExpression="REMOVE requests_per_hour_limit, requests_per_hour_left",
            ConditionExpression="attribute_exists(requests_per_hour_limit)",
        )


def zipped(bootstrap):
    """A function as it is uploaded. Half of a program in the dev profile are symbols."""
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, bootstrap], check=True)
        content = pathlib.Path(stripped.name).read_bytes()
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = (stat.S_IFREG | 0o755) << 16
        archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 1)
    return into.getvalue()


def drain(stack):
    """Waits until nothing is due, nobody is at work, no message is left and no delivery is open; or until patience is at its end:
    then the accounts say what is missing. A batch whose function did not start is seen again after minutes."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and (ask("/_e2e/busy") or stack.messages() or stack.open_deliveries()):
        time.sleep(3)


def mails():
    """Who was sent how many mails, and what the last said."""
    sent = [mail for account in ask("/_ministack/ses/messages")["messages"].values() for mail in account]
    return collections.Counter(it["To"][0] for it in sent), {it["To"][0]: it["BodyText"] for it in sent}


def confirm(tenant):
    """Follows the link in the mail that a sign-up causes: without, nobody can be invited."""
    until = time.monotonic() + 60
    while tenant.person.email not in (last := mails()[1]):
        if time.monotonic() > until:
            sys.exit(f"no mail to {tenant.person.email}")
        time.sleep(0.2)
    tenant.person.confirm(last[tenant.person.email].rsplit("token=")[1].split()[0].split("&")[0])


class Account:
    """What is compared, and what of it does not hold."""

    def __init__(self):
        self.wrong = []

    def say(self, what, *problems):
        print(what, flush=True)
        self.wrong += problems
        for problem in problems[:20]:
            print(f"  WRONG: {problem}")
        if len(problems) > 20:
            print(f"  and {len(problems) - 20} more")


def of_functions(account, stack):
    """Every function was called in both builds; the sweep, which runs once a minute, if chance will have it."""
    served = stack.served()
    missed = [(it, calls) for it, calls in served.items() if not all(calls) and it != "Sweep"]
    told = ", ".join(f"{it} {old} + {new}" for it, (old, new) in sorted(served.items()))
    problems = [f"{it} was served by one build alone: {calls}" for it, calls in missed]
    account.say(f"calls to the old and the new build: {told}", *problems)


def of_requests(account, book):
    refused = [it for it in book.failures() if 0 < it.status < 500]
    failed = [it for it in book.failures() if not 0 < it.status < 500]
    account.say(
        f"requests: {len(book.requests)} sent, {len(refused)} refused or answered wrongly, {len(failed)} failed",
        *(f"{it.operation} while {it.stage}: {it.status} {it.answer[:500]}" for it in refused + failed),
    )


def of_records(account, book, stack):
    """Each change has one record, and no read has any."""
    records = [it for it in stack.items("AuditTable") if it["sk"]["S"].startswith("AUD#")]
    left = collections.Counter(json.loads(it["entry"]["S"])["request_id"] for it in records)
    fine = [it for it in book.requests if it.fine]
    problems = [f"{it.operation} left {left[it.id]} audit records" for it in fine if left[it.id] != it.records]
    changes, of_them = sum(it.records for it in fine), sum(left[it.id] for it in fine)
    account.say(f"audit records: {changes} changes, {of_them} records of them, {len(records)} in all", *problems)


def of_events(account, book, stack, tenants, receiver):
    """Each change caused its events, and each endpoint took each event of its organization once at least."""
    items = stack.items("ActivityTable")
    events = [it for it in items if it["sk"]["S"].startswith("EVT#")]
    # By tenant and type: not every build notes of an event which request it is from.
    caused = collections.Counter((it.organization, kind) for it in book.requests if it.fine for kind in it.events)
    written = collections.Counter((it["organization_id"]["S"], it["event"]["S"]) for it in events)
    problems = [f"{it}: {caused[it]} caused, {written[it]} written" for it in caused | written if caused[it] != written[it]]
    account.say(f"events: {caused.total()} caused, {written.total()} written", *problems)

    endpoints = collections.defaultdict(list)
    for tenant in tenants:
        endpoints[tenant.organization] = list(tenant.endpoints)
    owed = {(path, it["id"]["S"]) for it in events for path in endpoints[it["organization_id"]["S"]]}
    problems = [f"{event} never came to {path}" for path, event in owed if not receiver.taken[path, event]]
    problems += [f"{event} came to {path}, which nobody wrote" for path, event in receiver.taken if (path, event) not in owed]
    problems += [f"{event} came to {path} with a bad signature" for path, event in receiver.forged]
    taken, tried = len(receiver.taken), receiver.attempts.total()
    again = receiver.taken.total() - taken
    account.say(f"deliveries: {len(owed)} owed, {taken} taken, {again} times again; {tried} attempts", *problems)
    states = collections.Counter(it["status"]["S"] for it in items if it["sk"]["S"].startswith("DLV#"))
    account.say(f"as the table has them: {dict(states)}", *(it for it in states if it != "succeeded"))


def of_mails(account, book):
    sent = mails()[0]
    problems = [f"{book.mails[to]} to {to}, sent {sent[to]}" for to in book.mails if sent[to] < book.mails[to]]
    account.say(f"mails: {book.mails.total()} caused, {sent.total()} sent", *problems)


def of_logs(account, tenants, artisan):
    """Every audit log is exported and verified as `artisan` does."""

    def verify(tenant):
        return tenant, run(artisan, "audit", "verify", tenant.organization)

    problems, sealed = [], 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for tenant, (code, said) in pool.map(verify, tenants):
            sealed += said.get("sealed", 0) if isinstance(said, dict) else 0
            if code:
                problems.append(f"{tenant.organization}: {said}")
    account.say(f"audit logs: {len(tenants)}, with {sealed} sealed records, verified", *problems)


def run(artisan, *arguments):
    """What a command of `artisan` ends with and says."""
    done = subprocess.run([*artisan, "--json", *arguments], capture_output=True, text=True)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode or 1, done.stdout + done.stderr


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--stack", required=True)
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--old", required=True, type=pathlib.Path)
    arguments.add_argument("--new", required=True, type=pathlib.Path)
    arguments.add_argument("--artisan", required=True)
    arguments.add_argument("--seconds", type=float, default=20, help="that each stage lasts")
    given = arguments.parse_args()

    stack, account = Stack(given.stack), Account()
    config = pathlib.Path(tempfile.mkdtemp()) / "outputs.json"
    config.write_text(json.dumps([{k: it[k] for k in ("OutputKey", "OutputValue")} for it in stack.outputs]))
    artisan = [given.artisan, "--config", str(config)]

    book, receiver, stopped, tenants = Book(), Receiver(), threading.Event(), []
    domain = f"t{time.time_ns()}.example.com"

    def sign_up(settled=True):
        tenant = Tenant(given.url, book, receiver, len(tenants), domain)
        confirm(tenant)
        if settled:
            tenant.settle()
        else:
            tenant.may_settle = False
            stack.take_back_to_before_limits(tenant.organization)
        tenants.append(tenant)
        tenant.start(stopped)

    try:
        # The elder can't make a key before it is brought up, and is read and changed until then.
        sign_up(settled=False)
        sign_up()
        sign_up()
        stack.publish(given.old, given.new)
        for number, share in enumerate(STAGES):
            book.stage = f"{share} % of calls went to the new build"
            before = stack.served()
            stack.shift(share)
            time.sleep(given.seconds / 2)
            if number % 2 == 1:
                sign_up()
            time.sleep(given.seconds / 2)
            if number in MIGRATED_AFTER:
                code, said = run(artisan, "migrate", *MIGRATED_AFTER[number])
                account.say(f"artisan migrate {' '.join(MIGRATED_AFTER[number])}: {said}", *([said] if code else []))
                tenants[0].may_settle = True
            of_stage(account, stack, share, before)
    except Lost:
        account.say("nothing was rolled any further", "a tenant could not sign up: see the requests")
    finally:
        stopped.set()
        for thread in [it for tenant in tenants for it in tenant.threads]:
            thread.join()
    drain(stack)

    of_functions(account, stack)
    of_requests(account, book)
    of_records(account, book, stack)
    of_events(account, book, stack, tenants, receiver)
    of_mails(account, book)
    of_logs(account, tenants, artisan)
    sys.exit(f"{len(account.wrong)} things do not hold" if account.wrong else 0)


def of_stage(account, stack, share, before):
    """Who served in a stage, and that both builds did in one of both."""
    after = stack.served()
    calls = [sum(after[it][build] - before[it][build] for it in after) for build in (0, 1)]
    formats = ", ".join(f"{count} in format {it}" for it, count in sorted(stack.formats().items()))
    problems = []
    if (share < 100 and not calls[0]) or (share > 0 and not calls[1]):
        problems.append("a build served nothing")
    told = f"{share:3} % to the new build: {calls[0]} calls to the old one, {calls[1]} to the new one"
    account.say(f"{told}; organizations: {formats}", *problems)


main()
