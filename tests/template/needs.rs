//! What each function needs of AWS: which actions on what, and which environment variables.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Body, Code};

/// Something that a policy allows: an action on something, `("dynamodb:GetItem", "Table")`.
pub(crate) type Allowed = BTreeSet<(String, String)>;

/// An operation of a client, as the method that begins it, and the action that it takes. Transactions take those of what they hold.
const OPERATIONS: &[(&str, &str)] = &[
    ("get_item", "dynamodb:GetItem"),
    ("batch_get_item", "dynamodb:BatchGetItem"),
    ("query", "dynamodb:Query"),
    ("scan", "dynamodb:Scan"),
    ("put_item", "dynamodb:PutItem"),
    ("update_item", "dynamodb:UpdateItem"),
    ("delete_item", "dynamodb:DeleteItem"),
    ("send_message", "sqs:SendMessage"),
    ("send_message_batch", "sqs:SendMessage"),
    ("receive_message", "sqs:ReceiveMessage"),
    ("delete_message", "sqs:DeleteMessage"),
    ("change_message_visibility", "sqs:ChangeMessageVisibility"),
    ("get_queue_url", "sqs:GetQueueUrl"),
    ("get_queue_attributes", "sqs:GetQueueAttributes"),
    ("put_events", "events:PutEvents"),
];
/// A method of the object store, and an action that it takes.
const OBJECTS: &[(&str, &str)] =
    &[("put", "s3:PutObject"), ("get", "s3:GetObject"), ("get", "s3:ListBucket"), ("get_range", "s3:GetObject")];
/// What a transaction holds, and the action that it takes.
const PARTS: &[(&str, &str)] = &[
    ("Put", "dynamodb:PutItem"),
    ("Update", "dynamodb:UpdateItem"),
    ("Delete", "dynamodb:DeleteItem"),
    ("ConditionCheck", "dynamodb:ConditionCheckItem"),
];
const INDEXES: &[(&str, &str)] = &[("TIME_INDEX", "time"), ("WHO_INDEX", "who"), ("SESSION_INDEX", "session")];

/// This service's own queues.
const QUEUES: [&str; 6] = ["Process", "Retry", "Deliver", "Collect", "Replay", "Nats"];

/// What Lambda asks of a function's role to put it into a network.
const NETWORK: &[&str] = &[
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
];

/// Where a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// In none.
    None,
    /// In its operator's.
    Operators,
}

/// An adapter: its files, and what methods are called on that lead on within it.
struct Adapter {
    code: Code,
    leads_on: &'static [&'static str],
}

impl Adapter {
    fn bodies<'a>(&'a self, from: Vec<&'a Body>) -> Vec<&'a Body> {
        self.code.reach(from, |on, _| self.leads_on.contains(&on))
    }

    /// The actions of a port's method.
    fn actions_of(&self, port: &str, method: &str) -> Actions {
        let entries = self.code.named(method).filter(|function| function.of_trait.as_deref() == Some(port));
        Actions::of(&self.bodies(entries.map(|function| &function.body).collect()))
    }

    /// The actions of a method of its own.
    fn actions_of_own(&self, method: &str) -> Actions {
        let entries = self.code.named(method).filter(|function| function.of_trait.is_none());
        Actions::of(&self.bodies(entries.map(|function| &function.body).collect()))
    }

    fn implements(&self, port: &str) -> bool {
        self.code.functions.iter().any(|function| function.of_trait.as_deref() == Some(port))
    }
}

/// Actions, and the indexes that are read.
#[derive(Debug, Default, Clone)]
struct Actions {
    actions: BTreeSet<&'static str>,
    indexes: BTreeSet<&'static str>,
}

impl Actions {
    fn of(bodies: &[&Body]) -> Self {
        let mut found = Self::default();
        for body in bodies {
            let calls = |name: &str| body.methods.iter().any(|(on, method)| method == name && on == "client");
            found.actions.extend(OPERATIONS.iter().filter(|(method, _)| calls(method)).map(|(_, action)| *action));
            let asks = |name: &str| body.methods.iter().any(|(on, method)| method == name && on == "objects");
            found.actions.extend(OBJECTS.iter().filter(|(method, _)| asks(method)).map(|(_, action)| *action));
            let holds = |part: &str| body.names.iter().any(|names| names.ends_with(&[part.to_owned(), "builder".to_owned()]));
            found.actions.extend(PARTS.iter().filter(|(part, _)| holds(part)).map(|(_, action)| *action));
            let names = |name: &str| body.names.iter().any(|names| names.last().is_some_and(|last| last == name));
            found.indexes.extend(INDEXES.iter().filter(|(constant, _)| names(constant)).map(|(_, index)| *index));
        }
        found
    }

    fn extend(&mut self, other: &Self) {
        self.actions.extend(&other.actions);
        self.indexes.extend(&other.indexes);
    }

    /// Those of one service.
    fn service(&self, service: &str) -> impl Iterator<Item = &'static str> {
        self.actions.iter().copied().filter(move |action| action.split_once(':').is_some_and(|(name, _)| name == service))
    }
}

/// All of the code that says what functions need.
pub(crate) struct Needs {
    ports: Code,
    work: Code,
    wiring: Code,
    adapters: [Adapter; 3],
}

/// What a function's `main.rs` says.
struct Main {
    code: Code,
    /// The queues that it names: `ProcessQueue`, `RetryDeadLetters`.
    queues: BTreeSet<String>,
}

impl Needs {
    pub(crate) fn read() -> Self {
        let dynamodb =
            Adapter { code: Code::read(&["shared/src/adapters/dynamodb"]), leads_on: &["self", "store", "scan", "walk", "days", "merge"] };
        let sqs = Adapter { code: Code::read(&["shared/src/adapters/sqs.rs", "shared/src/adapters/sqs/send.rs"]), leads_on: &["self"] };
        let eventbridge = Adapter { code: Code::read(&["shared/src/adapters/eventbridge.rs"]), leads_on: &["self"] };
        Self {
            ports: Code::read(&["shared/src/ports"]),
            work: Code::read(&["shared/src/commands", "shared/src/queries"]),
            wiring: Code::read(&["shared/src/wiring.rs", "shared/src/lambda.rs"]),
            adapters: [dynamodb, sqs, eventbridge],
        }
    }

    fn main_of(function: &str) -> Main {
        let code = Code::read(&[&format!("functions/{function}/src/main.rs")]);
        let names: BTreeSet<_> = code.functions.iter().flat_map(|function| function.body.names.clone()).collect();
        let all = QUEUES;
        let queues: Vec<&str> = if names.contains(&vec!["WorkQueue".to_owned(), "ALL".to_owned()]) {
            all.to_vec()
        } else {
            all.into_iter().filter(|queue| names.contains(&vec!["WorkQueue".to_owned(), (*queue).to_owned()])).collect()
        };
        let is = |kind: &str| names.contains(&vec!["Queue".to_owned(), kind.to_owned()]);
        let work = queues.iter().filter(|_| is("Work")).map(|queue| format!("{queue}Queue"));
        let dead = queues.iter().filter(|_| is("DeadLetters")).map(|queue| format!("{queue}DeadLetters"));
        let queues = work.chain(dead).collect();
        Main { code, queues }
    }

    /// The code of a function's own, and the port methods that it and the commands reach, each with its port.
    fn called(&self, function: &str) -> (BTreeSet<(String, String)>, Vec<Body>) {
        let library = Code::read(&[&format!("functions/{function}/src")]);
        let handle = library.named("handle").next().unwrap_or_else(|| panic!("{function} has no handler"));
        let ports = handle.parameters.first().unwrap_or_else(|| panic!("{function} takes no ports"));
        let collect = "shared/src/http/collect";
        let mut all = Code::read(&["shared/src/commands", "shared/src/queries", collect, &format!("functions/{function}/src/lib.rs")]);
        all.traits.clone_from(&self.ports.traits);
        let held = all.ports_of(ports);
        let from = all.functions.iter().filter(|candidate| candidate.name == "handle").map(|function| &function.body).collect();
        let bodies = all.reach(from, |_, _| true);
        let mut called = BTreeSet::new();
        for body in &bodies {
            for (on, method) in &body.methods {
                // A port is called by the name of its field. What has no name, the end of a chain, may be any port.
                let of = held
                    .iter()
                    .filter(|(port, fields)| self.ports.traits[*port].contains(method) && (on.is_empty() || fields.contains(on)));
                called.extend(of.map(|(port, _)| (port.clone(), method.clone())));
            }
        }
        (called, bodies.into_iter().cloned().collect())
    }

    /// What a function's policy must allow, and nothing else. `hears` is what its event source is: a queue, or the table's stream.
    pub(crate) fn allowed(&self, function: &str, hears: Option<&str>, network: Network) -> Allowed {
        let main = Self::main_of(function);
        let (called, bodies) = self.called(function);
        let mut actions = Actions::of(&bodies.iter().collect::<Vec<_>>());
        for (port, method) in &called {
            for adapter in self.adapters.iter().filter(|adapter| adapter.implements(port)) {
                actions.extend(&adapter.actions_of(port, method));
            }
        }
        let warmed = main.code.functions.iter().flat_map(|function| &function.body.methods).filter(|(_, method)| method == "warm_up");
        let mut warm = Actions::default();
        for (on, _) in warmed {
            let adapter = &self.adapters[usize::from(on == "queues")];
            warm.extend(&adapter.actions_of_own("warm_up"));
        }
        let sends_anywhere = bodies.iter().any(|body| body.names.contains(&vec!["Queue".to_owned(), "Named".to_owned()]));
        let mut allowed = Allowed::new();
        let mut allow = |action: &str, on: &str| allowed.insert((action.to_owned(), on.to_owned()));
        actions.extend(&Actions { actions: warm.service("dynamodb").collect(), indexes: BTreeSet::new() });
        for action in actions.service("dynamodb") {
            allow(action, "Table");
        }
        for index in &actions.indexes {
            allow("dynamodb:Query", &format!("Table/index/{index}"));
        }
        for action in actions.service("s3") {
            allow(action, if action == "s3:ListBucket" { "EventArchive" } else { "EventArchive/events/*" });
        }
        for queue in &main.queues {
            let is_dead = queue.ends_with("DeadLetters");
            for action in actions.service("sqs").filter(|action| *action != "sqs:GetQueueUrl") {
                if matches!(action, "sqs:SendMessage" | "sqs:ChangeMessageVisibility") != is_dead {
                    allow(action, queue);
                }
            }
            for action in warm.service("sqs").filter(|_| !is_dead) {
                allow(action, queue);
            }
        }
        for action in actions.service("events") {
            allow(action, "Bus");
            if sends_anywhere {
                allow(action, "PublishBusArns");
            }
        }
        if sends_anywhere {
            allow("sqs:SendMessage", "PublishQueueArns");
            allow("sqs:GetQueueUrl", "PublishQueueArns");
        }
        if network == Network::Operators {
            for action in NETWORK {
                allow(action, "*");
            }
        }
        match hears {
            Some("Table") => {
                for action in ["DescribeStream", "GetRecords", "GetShardIterator"] {
                    allow(&format!("dynamodb:{action}"), "Table.StreamArn");
                }
                allow("dynamodb:ListStreams", "*");
                allow("sqs:SendMessage", "FailuresQueue");
            }
            Some(queue) => {
                for action in ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"] {
                    allow(&format!("sqs:{action}"), queue);
                }
            }
            None => {}
        }
        allowed
    }

    /// The environment variables that a function reads.
    pub(crate) fn variables(&self, function: &str) -> BTreeSet<String> {
        let main = Self::main_of(function);
        let mut all = Code::read(&["shared/src/wiring.rs", "shared/src/lambda.rs", &format!("functions/{function}/src")]);
        all.functions.retain(|function| function.name != "handle");
        let from = all.functions.iter().filter(|function| function.name == "main").map(|function| &function.body).collect();
        let methods: BTreeSet<&str> = self.wiring.functions.iter().map(|function| function.name.as_str()).collect();
        let bodies = all.reach(from, |_, name| methods.contains(name));
        let is_variable = |text: &&String| {
            text.len() > 3
                && text.contains('_')
                && text.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
        };
        let texts: BTreeSet<String> = bodies.iter().flat_map(|body| &body.texts).filter(is_variable).cloned().collect();
        let urls: BTreeMap<String, String> = QUEUES
            .into_iter()
            .flat_map(|queue| {
                let upper = queue.to_uppercase();
                [
                    (format!("{upper}_QUEUE_URL"), format!("{queue}Queue")),
                    (format!("{upper}_DEAD_LETTERS_URL"), format!("{queue}DeadLetters")),
                ]
            })
            .collect();
        texts.into_iter().filter(|text| urls.get(text).is_none_or(|queue| main.queues.contains(queue))).collect()
    }

    /// The commands and queries, so that a check of nothing is noticed.
    pub(crate) fn size(&self) -> usize {
        self.work.functions.len()
    }
}
