#!/usr/bin/env python3
"""What deploying takes besides the SAM CLI.

    stack.py template FOLDER ARCHITECTURE   writes FOLDER/template.yaml, whose functions are the built zips
    stack.py parameters ENV [NAME=VALUE...] prints the parameters of a deployment, one on each line; at the first
                                            one, with new keys, the first API key in .tools/ENV-key
    stack.py architecture ENV [NAME=VALUE...] prints what its functions must be built for
    stack.py name ENV                       prints the stack's name
    stack.py outputs NAME [OUTPUT]          prints the stack's outputs, or one of them
    stack.py logs NAME                      prints what the stack's functions have logged
    stack.py complete-policies NAME         allows what an emulator asks for where AWS asks for nothing more
    stack.py delete-table NAME              deletes the table that a stack has left behind

Runs with the Python of .tools/aws, which has boto3.
"""
import base64
import hashlib
import json
import os
import pathlib
import re
import secrets
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def fail(message):
    sys.exit(f"error: {message}")


def settings(env):
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    there = {name: part["deploy"]["parameters"] for name, part in config.items() if isinstance(part, dict) and "deploy" in part}
    if env not in there:
        fail(f"samconfig.toml has no environment '{env}'; there are: {', '.join(there)}")
    return there[env]


def cloudformation():
    import boto3
    return boto3.client("cloudformation")


def stack(name):
    import botocore.exceptions
    try:
        found = cloudformation().describe_stacks(StackName=name)["Stacks"][0]
        # A first deployment that was not confirmed leaves a stack without anything in it.
        return None if found["StackStatus"] == "REVIEW_IN_PROGRESS" else found
    except botocore.exceptions.NoRegionError:
        fail("no region: set AWS_REGION, or one in your AWS profile")
    except botocore.exceptions.NoCredentialsError:
        fail("no AWS credentials: log in, or set AWS_PROFILE")
    except botocore.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def template(folder, architecture):
    def built(match):
        name = match.group(1)
        zipped = ROOT / "target" / "lambda" / architecture / name / "bootstrap.zip"
        if not zipped.exists():
            fail(f"{zipped.relative_to(ROOT)} is not there: run scripts/build-functions {architecture}")
        return f"CodeUri: {zipped}"

    text, count = re.subn(r"CodeUri: functions/([a-z-]+)", built, (ROOT / "template.yaml").read_text())
    if count == 0:
        fail("template.yaml has no functions")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.yaml").write_text(text)


def parameters(env, *overrides):
    given = settings(env)
    wanted = dict(text.split("=", 1) for text in [*given.get("parameter_overrides", []), *overrides])
    if stack(given["stack_name"]) is None:
        if "SecretsKey" not in wanted:
            wanted["SecretsKey"] = base64.b64encode(secrets.token_bytes(32)).decode()
        if "BootstrapKeySha256" not in wanted:
            key = f"evk_{secrets.token_hex(32)}"
            wanted["BootstrapKeySha256"] = hashlib.sha256(key.encode()).hexdigest()
            file = ROOT / ".tools" / f"{env}-key"
            file.parent.mkdir(exist_ok=True)
            file.unlink(missing_ok=True)
            with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as keep:
                keep.write(key + "\n")
    # What is not said stays as it is in the stack. SAM takes nothing only in quotes.
    for name, value in wanted.items():
        print(f"{name}={value}" if value else f'{name}=""')


def architecture(env, *overrides):
    given = settings(env)
    found = stack(given["stack_name"]) or {}
    standing = {item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])}
    said = dict(text.split("=", 1) for text in [*given.get("parameter_overrides", []), *overrides])
    print(said.get("Architecture") or standing.get("Architecture") or "arm64")


def outputs(name, output=None):
    found = stack(name)
    if found is None:
        fail(f"there is no stack '{name}': make deploy first")
    values = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
    if output is not None:
        print(values.get(output) or fail(f"the stack has no output '{output}'"))
        return
    width = max(map(len, values), default=0)
    for key in sorted(values):
        print(f"{key:<{width}}  {values[key]}")


def logs(name):
    import boto3
    client = boto3.client("logs")
    for page in client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{name}-"):
        for group in page["logGroups"]:
            for events in client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                for event in events["events"]:
                    print(f"{group['logGroupName'].rsplit('/', 1)[-1]}: {event['message'].rstrip()}")


def complete_policies(name):
    """ministack wants sqs:SendMessageBatch allowed, which AWS does not know: there, sqs:SendMessage is for both."""
    import boto3
    iam = boto3.client("iam")
    for page in cloudformation().get_paginator("list_stack_resources").paginate(StackName=name):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceType"] != "AWS::IAM::Role":
                continue
            role = resource["PhysicalResourceId"]
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                for statement in document["Statement"]:
                    if "sqs:SendMessage" in statement["Action"]:
                        statement["Action"].append("sqs:SendMessageBatch")
                iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def delete_table(name):
    import boto3
    dynamodb = boto3.client("dynamodb")
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=name)
    dynamodb.delete_table(TableName=name)
    print(f"the table {name} is deleted")


COMMANDS = {
    "template": template,
    "parameters": parameters,
    "architecture": architecture,
    "name": lambda env: print(settings(env)["stack_name"]),
    "outputs": outputs,
    "logs": logs,
    "complete-policies": complete_policies,
    "delete-table": delete_table,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
