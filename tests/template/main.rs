//! `template.yaml`, the code and `events/` say the same.

#![cfg(test)]

mod code;
mod needs;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::adapters::dynamodb::table;
use shared::domain::queue::WorkQueue;
use shared::http::routes::{Access, ROUTES};

use needs::{Allowed, Needs, Network};
use yaml::{resources, root, template};

/// The one function that is no Lambda function: it runs the others.
const LOCAL: &str = "local";

/// Variables that functions read and that the template does not set, and who does.
const NOT_OURS: [(&str, &str); 9] = [
    ("AWS_REGION", "Lambda"),
    ("AWS_ACCESS_KEY_ID", "Lambda"),
    ("AWS_SECRET_ACCESS_KEY", "Lambda"),
    ("AWS_SESSION_TOKEN", "Lambda"),
    ("AWS_ENDPOINT_URL", "an emulator"),
    ("AWS_ENDPOINT_URL_DYNAMODB", "an emulator"),
    ("AWS_ENDPOINT_URL_SQS", "an emulator"),
    ("AWS_ENDPOINT_URL_EVENTBRIDGE", "an emulator"),
    ("AWS_ENDPOINT_URL_S3", "an emulator"),
];
/// A variable that only `make run` has a use for: a Lambda function has no such file.
const LOCAL_ONLY: &str = "JWT_JWKS_FILE";

fn function_crates() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name != LOCAL && root().join("functions").join(name).join("Cargo.toml").exists()).collect()
}

/// `record-events` is `RecordEvents` there.
fn resource_name(function: &str) -> String {
    function.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn properties<'a>(template: &'a Value, resource: &str) -> &'a Value {
    &template["Resources"][resource]["Properties"]
}

/// What a reference names: `Table`, `Table.StreamArn`, `Table/index/time`, a parameter, or a text.
fn referred(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let (function, argument) = value.as_object().unwrap().iter().next().unwrap();
    match (function.as_str(), argument) {
        ("Ref", name) => name.as_str().unwrap().to_owned(),
        ("Fn::GetAtt", path) if path[1] == "Arn" => path[0].as_str().unwrap().to_owned(),
        ("Fn::GetAtt", path) => format!("{}.{}", path[0].as_str().unwrap(), path[1].as_str().unwrap()),
        ("Fn::Sub", text) => text.as_str().unwrap().replace("${Table.Arn}", "Table").replace("${EventArchive.Arn}", "EventArchive"),
        other => panic!("{other:?} refers to nothing that is known here"),
    }
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

#[test]
fn every_function_has_a_resource_built_from_its_crate_and_every_resource_a_crate() {
    let template = template();
    let deployed: BTreeMap<&str, &Value> = resources(&template, "AWS::Serverless::Function").into_iter().collect();
    let expected: BTreeSet<String> = function_crates().iter().map(|name| resource_name(name)).collect();
    assert_eq!(deployed.keys().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), expected);
    for function in function_crates() {
        let name = resource_name(&function);
        let metadata = &template["Resources"][&name]["Metadata"];
        assert_eq!(metadata, &json!({"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": function}}));
        let properties = deployed[name.as_str()];
        assert_eq!(properties["CodeUri"], format!("functions/{function}"));
        assert_eq!(properties["FunctionName"], json!({"Fn::Sub": format!("${{AWS::StackName}}-{function}")}));
        for size in ["MemorySize", "Timeout"] {
            assert!(properties[size].is_u64(), "{name} has no {size}");
        }
    }
}

#[test]
fn every_memory_size_and_timeout_has_a_reason() {
    let text = fs::read_to_string(root().join("template.yaml")).unwrap();
    let settings: Vec<&str> =
        text.lines().filter(|line| ["MemorySize:", "Timeout:"].iter().any(|name| line.trim_start().starts_with(name))).collect();
    assert_eq!(settings.len(), 2 * function_crates().len());
    for line in settings {
        assert!(line.split_once(" # ").is_some_and(|(_, reason)| reason.len() > 3), "{line}: why?");
    }
}

/// Which function answers what a browser asks before it sends.
const PREFLIGHTS: &[(&str, &str)] = &[
    ("/api/v1/events/frontend", "CollectFrontend"),
    ("/api/v1/events/frontend/batch", "CollectFrontend"),
    ("/v1/{proxy+}", "ReceiveAnalytics"),
    ("/beacon/v1/batch", "ReceiveAnalytics"),
    ("/sourceConfig", "ReceiveAnalytics"),
    ("/sourceConfig/", "ReceiveAnalytics"),
    ("/api/v1/events/cloudevents", "ReceiveCloudevents"),
    ("/{proxy+}", "ReadEvents"),
];

/// Every route of the OpenAPI document is one of these: `openapi.json` is made of the same table.
#[test]
fn every_route_leads_to_its_function_with_its_authorizer_and_every_other_request_is_answered_too() {
    let template = template();
    let mut deployed: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for (name, route) in resources(&template, "AWS::ApiGatewayV2::Route") {
        let integration = route["Target"]["Fn::Sub"].as_str().unwrap().strip_prefix("integrations/${").unwrap().strip_suffix('}').unwrap();
        let uri = &properties(&template, integration)["IntegrationUri"];
        let authorized = match route["AuthorizationType"].as_str().unwrap() {
            "NONE" => false,
            "CUSTOM" => {
                assert_eq!(route["AuthorizerId"], json!({"Ref": "Authorizer"}), "{name}");
                true
            }
            other => panic!("{name}: {other}"),
        };
        let key = route["RouteKey"].as_str().unwrap().to_owned();
        assert!(deployed.insert(key, (referred(uri), authorized)).is_none(), "{name} is there twice");
    }
    let mut expected: BTreeMap<String, (String, bool)> = ROUTES
        .iter()
        .map(|route| {
            let authorized = match route.access {
                Access::Public | Access::WriteKey | Access::SharedSecret => false,
                Access::Scope(_) => true,
            };
            (format!("{} {}", route.method, route.path), (resource_name(route.endpoint.function()), authorized))
        })
        .collect();
    for (path, function) in PREFLIGHTS {
        expected.insert(format!("OPTIONS {path}"), ((*function).to_owned(), false));
    }
    // Whatever a browser may send to a collector, it may ask for first, and the same function answers.
    for route in ROUTES.iter().filter(|route| matches!(route.access, Access::Public | Access::WriteKey) && route.method == Method::POST) {
        let asked = |(path, _): &&(&str, &str)| {
            *path == route.path || path.strip_suffix("{proxy+}").is_some_and(|start| route.path.starts_with(start))
        };
        let by = PREFLIGHTS.iter().filter(|(path, _)| *path != "/{proxy+}").find(asked).map(|(_, function)| *function);
        assert_eq!(by, Some(resource_name(route.endpoint.function()).as_str()), "{}", route.path);
    }
    expected.insert("$default".to_owned(), ("ReadEvents".to_owned(), true));
    assert_eq!(deployed, expected);
}

#[test]
fn the_openapi_document_has_the_routes_of_the_template() {
    let template = template();
    let document: Value = serde_json::from_str(&fs::read_to_string(root().join("docs/openapi.json")).unwrap()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|key| ["get", "put", "post", "delete", "patch"].contains(&key.as_str())) {
            documented.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let routes = resources(&template, "AWS::ApiGatewayV2::Route");
    // What is greedy there is written without the plus here.
    let deployed: BTreeSet<String> = routes
        .iter()
        .map(|(_, route)| route["RouteKey"].as_str().unwrap().replace("+}", "}"))
        .filter(|key| key != "$default" && !key.starts_with("OPTIONS "))
        .collect();
    assert_eq!(deployed, documented);
}

#[test]
fn the_api_may_call_every_function_that_it_leads_to_and_no_other() {
    let template = template();
    let mut allowed = BTreeSet::new();
    for (name, permission) in resources(&template, "AWS::Lambda::Permission") {
        if permission["InvokedViaFunctionUrl"] == true {
            continue;
        }
        assert_eq!(permission["Principal"], "apigateway.amazonaws.com", "{name}");
        assert!(permission["SourceArn"]["Fn::Sub"].as_str().unwrap().ends_with(":${Api}/*"), "{name}");
        allowed.insert(referred(&permission["FunctionName"]));
    }
    let mut expected: BTreeSet<String> = ROUTES.iter().map(|route| resource_name(route.endpoint.function())).collect();
    expected.insert("Authorize".to_owned());
    assert_eq!(allowed, expected);
}

#[test]
fn the_authorizer_is_asked_for_every_request() {
    let template = template();
    let authorizer = properties(&template, "Authorizer");
    assert_eq!(
        json!([
            authorizer["AuthorizerType"],
            authorizer["AuthorizerPayloadFormatVersion"],
            authorizer["EnableSimpleResponses"],
            authorizer["AuthorizerResultTtlInSeconds"],
            authorizer["IdentitySource"]
        ]),
        json!(["REQUEST", "2.0", true, 0, []])
    );
}

fn environment(template: &Value, function: &str) -> BTreeSet<String> {
    let global = &template["Globals"]["Function"]["Environment"]["Variables"];
    let own = &properties(template, &resource_name(function))["Environment"]["Variables"];
    [global, own].into_iter().filter_map(Value::as_object).flat_map(|variables| variables.keys().cloned()).collect()
}

#[test]
fn every_variable_that_a_function_reads_is_set_and_no_other() {
    let (template, needs) = (template(), Needs::read());
    for function in function_crates() {
        let mut read = needs.variables(&function);
        for (name, _) in NOT_OURS {
            read.remove(name);
        }
        read.remove(LOCAL_ONLY);
        assert_eq!(environment(&template, &function), read, "{function}");
    }
}

/// What a function hears, by its event source: a queue, or the table's stream.
fn hears(template: &Value, function: &str) -> Option<String> {
    let events = properties(template, &resource_name(function))["Events"].as_object()?;
    let sources: Vec<String> = events
        .values()
        .filter_map(|event| match event["Type"].as_str().unwrap() {
            "SQS" => Some(referred(&event["Properties"]["Queue"])),
            "DynamoDB" => Some(referred(&event["Properties"]["Stream"]).replace(".StreamArn", "")),
            "Schedule" => None,
            other => panic!("{function} hears {other}, which this test does not know"),
        })
        .collect();
    assert!(sources.len() <= 1, "{function} hears {sources:?}");
    sources.into_iter().next()
}

/// Whether a function is in a network of its operator's.
fn network(template: &Value, function: &str) -> Network {
    if properties(template, &resource_name(function)).get("VpcConfig").is_some() { Network::Operators } else { Network::None }
}

/// What a role allows, without its log, which is looked at here.
fn allowed(template: &Value, function: &str) -> Allowed {
    let name = resource_name(function);
    assert_eq!(properties(template, &name)["Role"], json!({"Fn::GetAtt": [format!("{name}Role"), "Arn"]}));
    let role = properties(template, &format!("{name}Role"));
    assert!(role.get("ManagedPolicyArns").is_none(), "{name}: what a managed policy allows is not seen here");
    let policies = role["Policies"].as_array().unwrap();
    let mut allowed = Allowed::new();
    for statement in policies.iter().flat_map(|policy| list(&policy["PolicyDocument"]["Statement"])) {
        // A condition leaves a statement out, and adds nothing.
        let statement = match statement.get("Fn::If") {
            Some(branches) => {
                assert_eq!(branches[2], json!({"Ref": "AWS::NoValue"}), "{name}");
                &branches[1]
            }
            None => statement,
        };
        assert_eq!(statement["Effect"], "Allow", "{name}");
        for action in list(&statement["Action"]) {
            for on in list(&statement["Resource"]) {
                let new = allowed.insert((action.as_str().unwrap().to_owned(), referred(on)));
                assert!(new, "{name}: {action} on {on} is allowed twice");
            }
        }
    }
    for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
        assert!(allowed.remove(&(action.to_owned(), format!("{name}Logs"))), "{name} cannot log");
    }
    allowed
}

#[test]
fn every_policy_allows_what_the_functions_ports_call_and_nothing_else() {
    let (template, needs) = (template(), Needs::read());
    assert!(needs.size() > 100);
    let mut differences = Vec::new();
    for function in function_crates() {
        let (is, must) = (
            allowed(&template, &function),
            needs.allowed(&function, hears(&template, &function).as_deref(), network(&template, &function)),
        );
        differences.extend(must.difference(&is).map(|(action, on)| format!("{function} needs {action} on {on}")));
        differences.extend(is.difference(&must).map(|(action, on)| format!("{function} does not need {action} on {on}")));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn no_policy_allows_any_action_or_anything_but_the_list_of_streams() {
    let template = template();
    for function in function_crates() {
        for (action, on) in allowed(&template, &function) {
            assert!(!action.contains('*'), "{function}: {action}");
            let everywhere = action == "dynamodb:ListStreams" || action.starts_with("ec2:");
            assert!(on != "*" || everywhere, "{function}: {action} on everything");
        }
    }
}

#[test]
fn the_table_is_the_one_that_tests_create() {
    let template = template();
    let resource = &template["Resources"]["Table"];
    let table = &resource["Properties"];
    let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
    let mut names = BTreeSet::from([table::PARTITION_KEY, table::SORT_KEY]);
    names.extend(table::INDEXES.iter().flat_map(|index| [index.partition_key, index.sort_key]));
    let attributes: Vec<Value> = names.iter().map(|name| json!({"AttributeName": name, "AttributeType": "S"})).collect();
    assert_eq!(table["AttributeDefinitions"], json!(attributes));
    assert_eq!(table["KeySchema"], json!([key(table::PARTITION_KEY, "HASH"), key(table::SORT_KEY, "RANGE")]));
    let indexes: Vec<Value> = table::INDEXES
        .iter()
        .map(|index| {
            let projection = match index.includes {
                None => json!({"ProjectionType": "ALL"}),
                Some(attributes) => json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": attributes}),
            };
            json!({"IndexName": index.name, "KeySchema": [key(index.partition_key, "HASH"), key(index.sort_key, "RANGE")], "Projection": projection})
        })
        .collect();
    assert_eq!(table["GlobalSecondaryIndexes"], json!(indexes));
    assert_eq!(table["TimeToLiveSpecification"], json!({"AttributeName": table::EXPIRY, "Enabled": true}));
    assert_eq!(table["StreamSpecification"], json!({"StreamViewType": "NEW_AND_OLD_IMAGES"}));
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
}

/// BR-EVT-006: what was stored outlives mistakes with the deployment.
#[test]
fn the_table_outlives_the_stack_and_can_be_taken_back_to_any_second() {
    let template = template();
    let table = &template["Resources"]["Table"];
    assert_eq!(json!([table["DeletionPolicy"], table["UpdateReplacePolicy"]]), json!(["Retain", "Retain"]));
    assert_eq!(table["Properties"]["DeletionProtectionEnabled"], true);
    assert_eq!(table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    // With a name of its own, a new stack could not be made beside the table of the old one.
    assert!(table["Properties"].get("TableName").is_none());
}

/// What was archived is nowhere else.
#[test]
fn the_archive_outlives_the_stack_and_is_nobody_elses() {
    let template = template();
    let bucket = &template["Resources"]["EventArchive"];
    assert_eq!(json!([bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]]), json!(["Retain", "Retain"]));
    let properties = &bucket["Properties"];
    let blocked = properties["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(blocked.len() == 4 && blocked.values().all(|blocks| *blocks == true), "{blocked:?}");
    assert_eq!(properties["VersioningConfiguration"]["Status"], "Enabled");
    assert!(properties.get("BucketName").is_none(), "a new stack could not be made beside the old one's bucket");
    for rule in properties["LifecycleConfiguration"]["Rules"].as_array().unwrap() {
        assert!(rule.get("ExpirationInDays").is_none() && rule.get("ExpirationDate").is_none(), "events are kept for good");
    }
    let statement = &properties_of_policy(&template)["Statement"][0];
    assert_eq!(json!([statement["Effect"], statement["Principal"], statement["Action"]]), json!(["Deny", "*", "s3:*"]));
    assert_eq!(statement["Condition"]["Bool"]["aws:SecureTransport"], "false");
}

fn properties_of_policy(template: &Value) -> &Value {
    let policy = &template["Resources"]["EventArchivePolicy"];
    assert_eq!(policy["DeletionPolicy"], "Retain");
    &policy["Properties"]["PolicyDocument"]
}

#[test]
fn every_queue_hides_messages_for_six_timeouts_and_gives_up_where_its_dead_letters_are() {
    let template = template();
    for work in WorkQueue::ALL {
        let name = resource_name(work.as_str());
        let queue = properties(&template, &format!("{name}Queue"));
        let dead = properties(&template, &format!("{name}DeadLetters"));
        let redrive =
            json!({"deadLetterTargetArn": {"Fn::GetAtt": [format!("{name}DeadLetters"), "Arn"]}, "maxReceiveCount": work.most_receives()});
        assert_eq!(queue["RedrivePolicy"], redrive, "{name}");
        let is_fifo = shared::domain::queue::Queue::Work(*work).is_fifo();
        for queue in [queue, dead] {
            assert_eq!(queue.get("FifoQueue").is_some(), is_fifo, "{name}");
            // Streams do not share the throughput of one queue, and each has its own messages.
            assert_eq!(queue["DeduplicationScope"] == "messageGroup", is_fifo, "{name}");
            assert_eq!(queue["FifoThroughputLimit"] == "perMessageGroupId", is_fifo, "{name}");
            // Whoever sends says what is the same message: of two with the same content both count.
            assert!(queue.get("ContentBasedDeduplication").is_none(), "{name}");
            assert_eq!(queue["SqsManagedSseEnabled"], true, "{name}");
            assert_eq!(queue["MessageRetentionPeriod"], 14 * 24 * 60 * 60, "{name}");
        }
        let function = function_crates().into_iter().find(|function| hears(&template, function) == Some(format!("{name}Queue"))).unwrap();
        let timeout = properties(&template, &resource_name(&function))["Timeout"].as_u64().unwrap();
        assert!(queue["VisibilityTimeout"].as_u64().unwrap() >= 6 * timeout, "{name}");
    }
}

#[test]
fn every_event_source_reports_what_failed_and_none_can_stand_still_for_good() {
    let template = template();
    for function in function_crates() {
        let Some(source) = hears(&template, &function) else { continue };
        let events = properties(&template, &resource_name(&function))["Events"].as_object().unwrap();
        let event = &events.values().find(|event| event["Type"] != "Schedule").unwrap()["Properties"];
        assert_eq!(event["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{function}");
        if source == "Table" {
            assert_eq!(event["BisectBatchOnFunctionError"], true, "{function}");
            // Without a limit, age is one.
            assert!(event["MaximumRetryAttempts"].as_i64().is_some_and(|most| (-1..=1000).contains(&most)), "{function}");
            assert!(event["MaximumRecordAgeInSeconds"].as_u64().is_some_and(|most| most < 86400), "{function}");
            assert_eq!(
                event["DestinationConfig"]["OnFailure"]["Destination"],
                json!({"Fn::GetAtt": ["FailuresQueue", "Arn"]}),
                "{function}"
            );
            assert_eq!(event["StartingPosition"], "TRIM_HORIZON", "{function}");
            assert!(!event["FilterCriteria"]["Filters"].as_array().unwrap().is_empty(), "{function}");
        } else {
            assert!(event["ScalingConfig"]["MaximumConcurrency"].is_object(), "{function}");
        }
    }
    // Lambda names the shard of records only to functions with a window.
    assert!(properties(&template, "CountEvents")["Events"]["Changes"]["Properties"]["TumblingWindowInSeconds"].is_u64());
}

#[test]
fn every_function_has_a_log_that_is_not_kept_for_ever() {
    let template = template();
    for function in function_crates() {
        let name = resource_name(&function);
        assert_eq!(properties(&template, &name)["LoggingConfig"], json!({"LogGroup": {"Ref": format!("{name}Logs")}}));
        assert_eq!(properties(&template, &format!("{name}Logs"))["RetentionInDays"], json!({"Ref": "LogRetentionDays"}));
    }
}

/// Scenario 8.
#[test]
fn every_alarm_has_a_runbook_and_tells_who_is_to_hear_of_it() {
    let (template, runbooks) = (template(), fs::read_to_string(root().join("docs/operations.md")).unwrap());
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    assert!(alarms.len() > 10);
    for (name, alarm) in alarms {
        assert!(runbooks.contains(&format!("### {name}\n")), "docs/operations.md has no heading for {name}");
        assert_eq!(
            alarm["AlarmActions"],
            json!({"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}),
            "{name}"
        );
    }
}

/// Everything that a value refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("Ref" | "Condition", Value::String(name)) => {
                        found.insert(name.clone());
                    }
                    ("Fn::Sub", Value::String(text)) => {
                        found.extend(text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned()));
                    }
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_parameter_is_used_and_every_secret_is_not_shown() {
    let template = template();
    let mut used = BTreeSet::new();
    for part in ["Conditions", "Globals", "Resources", "Outputs"] {
        references(&template[part], &mut used);
    }
    let parameters: BTreeSet<&str> = template["Parameters"].as_object().unwrap().keys().map(String::as_str).collect();
    let unused: BTreeSet<&str> = parameters.iter().copied().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?} are not used");
    for name in parameters {
        let secret = ["SecretsKey", "Secret", "Credentials", "NatsUrl"].iter().any(|word| name.contains(word));
        assert_eq!(template["Parameters"][name]["NoEcho"] == true, secret, "{name}");
    }
}

/// SQS takes no policy that names another queue.
#[test]
fn every_policy_of_a_queue_is_of_one_queue() {
    let template = template();
    for (name, policy) in resources(&template, "AWS::SQS::QueuePolicy") {
        let queues = policy["Queues"].as_array().unwrap();
        assert_eq!(queues.len(), 1, "{name}");
        for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
            assert_eq!(statement["Resource"], json!({"Fn::GetAtt": [referred(&queues[0]), "Arn"]}), "{name}");
        }
    }
}

/// BR-FE-001.
#[test]
fn pages_may_send_to_a_function_url_without_a_credential() {
    let template = template();
    assert_eq!(properties(&template, "CollectFrontend")["FunctionUrlConfig"], json!({"AuthType": "NONE"}));
    let others =
        function_crates().into_iter().filter(|function| properties(&template, &resource_name(function)).get("FunctionUrlConfig").is_some());
    assert_eq!(others.collect::<Vec<_>>(), ["collect-frontend"]);
}
