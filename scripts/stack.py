#!/usr/bin/env python3
"""What deploying takes besides the SAM CLI.

    stack.py template FOLDER ARCHITECTURE   writes FOLDER/template.yaml, whose functions are the built zips
    stack.py release FOLDER ARCHITECTURE    writes FOLDER/template-ARCHITECTURE.yaml, whose functions are the zips beside it
    stack.py parameters ENV FILE.yaml [NAME=VALUE...]
                                            writes the parameters of a deployment to FILE.yaml, as SAM reads them, and prints what its
                                            functions must be built for. The environment variable PARAMS may name parameters as
                                            well. Makes the keys that the stack does not have yet, and keeps them in .tools/
    stack.py kept ENV KIND                  prints the file of the key that the stack uses, if there is one; KIND: key, secrets-key
    stack.py keep-secrets-key ENV           sees to it that SECRETS_KEY outlives the stack, if its table does
    stack.py name ENV                       prints the stack's name
    stack.py confirms ENV                   prints yes if changes are to be confirmed
    stack.py outputs NAME [OUTPUT]          prints the stack's outputs, or one of them
    stack.py table NAME                     prints the table of a stack, in whatever state that is, or nothing
    stack.py bucket NAME                    prints the bucket of its archive likewise
    stack.py waiting NAME [ID...]           prints the change sets that nobody has executed, but for these
    stack.py discard NAME ID...             deletes change sets
    stack.py logs NAME                      prints what the stack's functions have logged
    stack.py complete-policies NAME         allows what an emulator asks for where AWS asks for nothing more
    stack.py consul NAME register|deregister
                                            tells the Consul agent of CONSUL_HTTP_ADDR of the stack's API; does nothing if that is not set
    stack.py delete-table NAME              deletes the table that a stack has left behind
    stack.py delete-bucket NAME             deletes the bucket that a stack has left behind, with all that is in it

Runs with the Python of .tools/aws, which has boto3: .tools/aws/bin/python scripts/stack.py …
"""
import base64
import difflib
import hashlib
import json
import os
import pathlib
import re
import secrets
import shlex
import sys
import tomllib
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"

# What an update can begin from; other states take something else first.
READY = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"]
FAILED = ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"]


def fail(message):
    sys.exit(f"error: {message}")


def settings(env):
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    there = {name: part["deploy"]["parameters"] for name, part in config.items() if isinstance(part, dict) and "deploy" in part}
    if env not in there:
        fail(f"samconfig.toml has no environment '{env}'; there are: {', '.join(there)}")
    return there[env]


def client(service):
    try:
        import boto3
    except ModuleNotFoundError:
        fail("this Python has no boto3: `scripts/setup aws`, then .tools/aws/bin/python scripts/stack.py …")
    return boto3.client(service)


# ---- Stacks

def described(name):
    from botocore.exceptions import ClientError
    try:
        return client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def stack(name):
    """A first deployment that was not confirmed leaves a stack without anything in it: that is none."""
    found = described(name)
    return None if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS" else found


def take_updates(env, found):
    name, status = found["StackName"], found["StackStatus"]
    if status in READY:
        return
    events = f"aws cloudformation describe-stack-events --stack-name {name}   # says why"
    if status in FAILED:
        delete = f"make destroy ENV={env}" if env != "prod" else f"PATH=$PWD/.tools/aws/bin:$PATH sam delete --stack-name {name}"
        what, commands = "It takes no update; delete it, and deploy again", [events, delete, f"make deploy ENV={env}"]
    elif status.endswith("_IN_PROGRESS"):
        what, commands = "Something is changing it; deploy when that has ended", [events]
    elif status == "UPDATE_ROLLBACK_FAILED":
        what, commands = "Mend what hinders it, and have it put back", [events, f"aws cloudformation continue-update-rollback --stack-name {name}"]
    else:
        what, commands = "Have it put back", [events, f"aws cloudformation rollback-stack --stack-name {name}"]
    fail(f"the stack {name} is in the state {status}. {what}:\n\n" + "".join(f"  {command}\n" for command in commands))


def standing(found):
    return {item["ParameterKey"]: item.get("ParameterValue", "") for item in found.get("Parameters", [])}


def outputs_of(found):
    return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}


def resources(name):
    for page in client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name):
        yield from page["StackResourceSummaries"]


def resource_of(name, logical):
    for resource in resources(name):
        if resource["LogicalResourceId"] == logical and resource["ResourceStatus"] != "DELETE_COMPLETE":
            return resource.get("PhysicalResourceId") or None
    return None


def table_of(name):
    return resource_of(name, "Table")


# ---- The template

def with_code(where):
    text, count = re.subn(r"CodeUri: functions/([a-z-]+)", lambda match: f"CodeUri: {where(match.group(1))}", (ROOT / "template.yaml").read_text())
    if count == 0:
        fail("template.yaml has no functions")
    return text


def write(folder, name, text):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def template(folder, architecture):
    def built(name):
        zipped = ROOT / "target" / "lambda" / architecture / name / "bootstrap.zip"
        if not zipped.exists():
            fail(f"{zipped.relative_to(ROOT)} is not there: run scripts/build-functions {architecture}")
        return json.dumps(str(zipped))

    write(folder, "template.yaml", with_code(built))


def release(folder, architecture):
    def beside(name):
        zipped = f"{name}-{architecture}.zip"
        if not (pathlib.Path(folder) / zipped).exists():
            fail(f"{folder} has no {zipped}")
        return zipped

    text, count = re.subn(r"(?m)(^  Architecture:\n(?:    .*\n)*?    Default: ).*", rf"\g<1>{architecture}", with_code(beside))
    if count != 1:
        fail("template.yaml has no default architecture")
    write(folder, f"template-{architecture}.yaml", text)


# ---- Parameters

def words(text):
    """PARAMS as a shell would split it, but with nothing that means something within words except quotes."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters, reader.escape = True, "", ""
    try:
        return list(reader)
    except ValueError:
        fail("""PARAMS has a quote that does not end. A value with a quote in it goes into the other kind: PARAMS='JwtIssuer="it'\\''s"'""")


def named(texts):
    section = re.search(r"(?ms)^Parameters:\n(.*?)^\S", (ROOT / "template.yaml").read_text()).group(1)
    known, values = re.findall(r"(?m)^  (\w+):", section), {}
    for text in texts:
        name, is_value, value = text.partition("=")
        if not is_value or name not in known:
            known.sort(key=lambda other: -difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio())
            wrong = f"template.yaml has no parameter '{name}'" if is_value else f"'{text}' is not Name=value (a value with spaces goes into quotes: PARAMS=\"Name='a b'\")"
            fail(f"{wrong}; there are: {', '.join(known)}")
        values[name] = value
    return values


def for_sam(name, value):
    # SAM takes these away, and more than once.
    if re.search(r"""(?s)^(["']).*\1$|^["']$|\\[ "']""", value):
        fail(f"SAM cannot hand on the value of {name}: it has quotes around it, or a backslash before a space or a quote")
    return value


def write_secret(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as keep:
        keep.write(text)


def key_file(env, kind):
    account, region = client("sts").get_caller_identity()["Account"], client("cloudformation").meta.region_name
    return TOOLS / f"{env}-{account}-{region}-{kind}"


def key(env, kind, make):
    """A key of this environment, account and region. It is kept before it is used, so that none is lost, and never written over."""
    file = key_file(env, kind)
    if file.exists():
        print(f"the {kind} in {file.relative_to(ROOT)} is used again", file=sys.stderr)
    else:
        write_secret(file, make() + "\n")
    return file.read_text().strip()


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def parameters(env, file, *said):
    given = settings(env)
    wanted = {**named(given.get("parameter_overrides", [])), **named([*words(os.environ.get("PARAMS", "")), *said])}
    found = stack(given["stack_name"])
    if found is not None:
        take_updates(env, found)
    # One that is empty later was emptied, and must not come back.
    if found is None and "BootstrapKeySha256" not in wanted:
        wanted["BootstrapKeySha256"] = digest(key(env, "key", lambda: f"evk_{secrets.token_hex(32)}"))
    if (found is None or outputs_of(found).get("SecretsKeyIsSet") == "no") and "SecretsKey" not in wanted:
        wanted["SecretsKey"] = key(env, "secrets-key", lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    # What is not said stays as it is in the stack.
    file = pathlib.Path(file)
    file.unlink(missing_ok=True)
    write_secret(file, json.dumps({name: for_sam(name, value) for name, value in wanted.items()}, ensure_ascii=False))
    print(wanted.get("Architecture") or standing(found or {}).get("Architecture") or "arm64")


# ---- Keys

def secrets_key_of(name):
    from botocore.exceptions import ClientError
    try:
        function = client("lambda").get_function_configuration(FunctionName=f"{name}-deliver-webhooks")
        return function.get("Environment", {}).get("Variables", {}).get("SECRETS_KEY")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise


def kept(env, kind):
    name, file = settings(env)["stack_name"], key_file(env, kind)
    if not file.exists():
        return
    text = file.read_text().strip()
    if kind == "key":
        used = standing(stack(name) or {}).get("BootstrapKeySha256") == digest(text)
    else:
        used = secrets_key_of(name) == text
    if used:
        print(file.relative_to(ROOT))


def keep_secrets_key(env):
    name = settings(env)["stack_name"]
    table, text = table_of(name), secrets_key_of(name)
    if not table or not text:
        return
    file = key_file(env, "secrets-key")
    if not file.exists() or file.read_text().strip() != text:
        file = TOOLS / f"{table}-secrets-key"
        if not file.exists():
            write_secret(file, text + "\n")
    print("warning: SECRETS_KEY goes with the stack. Without it nobody can read the secrets of webhooks and processors that are in the table,")
    print(f"         also in a copy or a backup of it. It is kept in {file.relative_to(ROOT)}: put it where your secrets are.")


# ---- The rest

def outputs(name, output=None):
    found = stack(name)
    if found is None:
        fail(f"there is no stack '{name}': make deploy first")
    values = outputs_of(found)
    if output is not None:
        print(values.get(output) or fail(f"the stack has no output '{output}'; it is in the state {found['StackStatus']}"))
        return
    width = max(map(len, values), default=0)
    for name in sorted(values):
        print(f"{name:<{width}}  {values[name]}")


def table(name):
    show(name, "Table")


def bucket(name):
    show(name, "EventArchive")


def show(name, logical):
    if stack(name) is None:
        fail(f"there is no stack '{name}'")
    print(resource_of(name, logical) or "")


def waiting(name, *but):
    if described(name) is None:
        return
    for page in client("cloudformation").get_paginator("list_change_sets").paginate(StackName=name):
        for change in page["Summaries"]:
            if change.get("ExecutionStatus") == "AVAILABLE" and change["ChangeSetId"] not in but:
                print(change["ChangeSetId"])


def discard(name, *ids):
    for change in ids:
        client("cloudformation").delete_change_set(StackName=name, ChangeSetName=change)


def logs(name):
    service = client("logs")
    for page in service.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{name}-"):
        for group in page["logGroups"]:
            for events in service.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                for event in events["events"]:
                    print(f"{group['logGroupName'].rsplit('/', 1)[-1]}: {event['message'].rstrip()}")


def complete_policies(name):
    """ministack wants sqs:SendMessageBatch allowed, which AWS does not know: there, sqs:SendMessage is for both."""
    iam = client("iam")
    for resource in resources(name):
        if resource["ResourceType"] != "AWS::IAM::Role":
            continue
        role = resource["PhysicalResourceId"]
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            for statement in document["Statement"]:
                if "sqs:SendMessage" in statement["Action"]:
                    statement["Action"].append("sqs:SendMessageBatch")
            iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def consul(name, what):
    agent = os.environ.get("CONSUL_HTTP_ADDR", "").strip()
    if not agent:
        return
    if "://" not in agent:
        agent = "http://" + agent
    service = f"event_service-{name}"
    path, body = f"deregister/{service}", None
    if what == "register":
        url = outputs_of(stack(name))["ApiUrl"]
        paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
        path, body = "register", {
            "ID": service,
            "Name": "event_service",
            "Address": urllib.parse.urlsplit(url).hostname,
            "Port": 443,
            "Tags": ["v1", "events", "event-sourcing", "webhooks", "aws"],
            "Meta": {"url": url, "base_path": "/api/v1/events", "health": "/health", "openapi": "/openapi.json", "route_count": str(len(paths))},
            "Check": {"HTTP": f"{url}/health", "Method": "GET", "Interval": "30s", "Timeout": "10s"},
        }
    headers = {"Content-Type": "application/json"}
    if os.environ.get("CONSUL_HTTP_TOKEN"):
        headers["X-Consul-Token"] = os.environ["CONSUL_HTTP_TOKEN"]
    data = json.dumps(body).encode() if body else b""
    request = urllib.request.Request(f"{agent.rstrip('/')}/v1/agent/service/{path}", data=data, headers=headers, method="PUT")
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except OSError as error:
        # The service runs, registered or not.
        print(f"warning: Consul at {agent} was not told ({error}): scripts/stack.py consul {name} {what}", file=sys.stderr)


def delete_table(name):
    dynamodb = client("dynamodb")
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    dynamodb.get_waiter("table_exists").wait(TableName=name)
    dynamodb.delete_table(TableName=name)
    print(f"the table {name} is deleted")


def delete_bucket(name):
    s3 = client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        found = page.get("Versions", []) + page.get("DeleteMarkers", [])
        if found:
            keys = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in found]
            s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
    s3.delete_bucket(Bucket=name)
    print(f"the bucket {name} is deleted")


def explained(error):
    """What AWS or its SDK say, as what to do about it."""
    import botocore.exceptions as aws
    text = " ".join(str(error).split())
    login = "log in (`aws login`, `aws sso login`), or set AWS_PROFILE"
    if isinstance(error, aws.NoRegionError):
        return "no region: set AWS_REGION, or one in your AWS profile"
    if isinstance(error, aws.NoCredentialsError):
        return f"no AWS credentials: {login}"
    if isinstance(error, aws.ProfileNotFound):
        return f"{text}: set AWS_PROFILE to one of ~/.aws/config"
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return f"AWS does not answer: {text} Look at the region, AWS_ENDPOINT_URL and your network"
    if isinstance(error, aws.WaiterError):
        return f"{text}: look at it in the console, and run the command again"
    if re.search("Credential|Token|SSO|Login", type(error).__name__):
        return f"{text}: {login}"
    if not isinstance(error, aws.ClientError):
        return f"{text}: put that right, and run the command again"
    code, message = (error.response.get("Error", {}).get(part) or "" for part in ("Code", "Message"))
    if code.startswith(("ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "SignatureDoesNotMatch", "AuthFailure", "InvalidAccessKeyId")):
        return f"AWS does not take these credentials ({code}): {login}"
    if code.startswith(("AccessDenied", "Unauthorized", "NotAuthorized")):
        return f"{' '.join(message.split())}: have it allowed; docs/security.md has what deploying takes"
    if code.startswith(("Throttling", "TooManyRequests", "RequestLimitExceeded")):
        return f"{error.operation_name}: AWS refuses so many calls; try again in a minute"
    return f"{text}: put that right, and run the command again"


COMMANDS = {
    "template": template,
    "release": release,
    "parameters": parameters,
    "kept": kept,
    "keep-secrets-key": keep_secrets_key,
    "name": lambda env: print(settings(env)["stack_name"]),
    "confirms": lambda env: print("yes" if settings(env).get("confirm_changeset") else "no"),
    "outputs": outputs,
    "table": table,
    "bucket": bucket,
    "waiting": waiting,
    "discard": discard,
    "logs": logs,
    "complete-policies": complete_policies,
    "consul": consul,
    "delete-table": delete_table,
    "delete-bucket": delete_bucket,
}


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    # The SDK for Python reads only the second.
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = region
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except Exception as error:
        if type(error).__module__.startswith("botocore.") or any(kind.__module__ == "botocore.exceptions" for kind in type(error).__mro__):
            fail(explained(error))
        raise


if __name__ == "__main__":
    main()
