//! What the template says that costs something.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::yaml::{self, YamlError};
use tools::prices::{LAMBDA_ARM64_GB_SECOND, LAMBDA_X86_64_GB_SECOND};

/// What is deployed with the template's defaults.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployment {
    /// What the functions are built for.
    pub(crate) architecture: Architecture,
    /// The functions, by their name in the template.
    pub(crate) functions: BTreeMap<String, Function>,
    /// Metrics that alarms look at; an alarm that computes with two counts twice.
    pub(crate) alarm_metrics: u32,
    /// Alarms.
    pub(crate) alarms: u32,
    /// Dashboards.
    pub(crate) dashboards: u32,
    /// Whether alarms are on by default.
    pub(crate) alarms_on: bool,
    /// Whether the bus is on by default.
    pub(crate) bus_on: bool,
    /// Whether the table can be brought back to any moment.
    pub(crate) recovery: bool,
    /// About how long a line of the API's log is: as long as its format, whose variables are about as long as what they stand for.
    pub(crate) access_line_bytes: u32,
}

/// What functions are built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    Arm64,
    X86,
}

impl Architecture {
    /// Its name in the template.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86 => "x86_64",
        }
    }

    /// What a second of a GB costs.
    pub(crate) const fn gb_second(self) -> f64 {
        match self {
            Self::Arm64 => LAMBDA_ARM64_GB_SECOND,
            Self::X86 => LAMBDA_X86_64_GB_SECOND,
        }
    }
}

/// A function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Function {
    /// Its memory.
    pub(crate) megabytes: u32,
    /// What calls it besides the API.
    pub(crate) source: Option<Source>,
}

/// What calls a function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// The table's stream.
    Stream { batch: u32, window_seconds: u32, tumbling_seconds: u32 },
    /// A queue.
    Queue { fifo: bool, batch: u32 },
    /// A clock.
    Schedule { minutes: u32 },
}

/// The template is not what the model expects.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeploymentError {
    #[error(transparent)]
    Yaml(#[from] YamlError),
    #[error("the template has no {0}, or it is of another kind")]
    Missing(String),
    #[error("the model does not know {0}")]
    Unknown(String),
}

impl Deployment {
    /// Reads a template.
    pub(crate) fn read(text: &str) -> Result<Self, DeploymentError> {
        let template = yaml::parse(text)?;
        let functions = resources(&template, "AWS::Serverless::Function")
            .map(|(name, properties)| Ok((name.to_owned(), function(&template, name, properties)?)))
            .collect::<Result<_, DeploymentError>>()?;
        let alarms: Vec<&Value> = resources(&template, "AWS::CloudWatch::Alarm").map(|(_, properties)| properties).collect();
        let format = text_at(&template, "/Resources/ApiStage/Properties/AccessLogSettings/Format")?;
        Ok(Self {
            architecture: match text_at(&template, "/Parameters/Architecture/Default")? {
                "arm64" => Architecture::Arm64,
                "x86_64" => Architecture::X86,
                other => return Err(DeploymentError::Unknown(format!("the architecture {other}"))),
            },
            functions,
            alarm_metrics: alarms.iter().map(|alarm| metrics_of(alarm)).sum(),
            alarms: count(alarms.len()),
            dashboards: count(resources(&template, "AWS::CloudWatch::Dashboard").count()),
            alarms_on: text_at(&template, "/Parameters/Alarms/Default")? == "on",
            bus_on: text_at(&template, "/Parameters/EventBridge/Default")? == "on",
            recovery: template["Resources"]["Table"]["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
                == true,
            access_line_bytes: count(format.len()),
        })
    }

    /// A function by its name in the template.
    pub(crate) fn function(&self, name: &str) -> Result<&Function, DeploymentError> {
        self.functions.get(name).ok_or_else(|| DeploymentError::Missing(format!("function {name}")))
    }

    /// The batch of a function that hears of the table's changes, and the seconds for which it is gathered.
    pub(crate) fn stream(&self, name: &str) -> Result<(f64, f64), DeploymentError> {
        match &self.function(name)?.source {
            Some(Source::Stream { batch, window_seconds, .. }) => Ok((f64::from(*batch), f64::from(*window_seconds))),
            Some(Source::Queue { .. } | Source::Schedule { .. }) | None => Err(DeploymentError::Missing(format!("stream of {name}"))),
        }
    }

    /// The batch of a function behind a queue, and whether that is a FIFO queue.
    pub(crate) fn queue(&self, name: &str) -> Result<(f64, bool), DeploymentError> {
        match &self.function(name)?.source {
            Some(Source::Queue { batch, fifo, .. }) => Ok((f64::from(*batch), *fifo)),
            Some(Source::Stream { .. } | Source::Schedule { .. }) | None => Err(DeploymentError::Missing(format!("queue of {name}"))),
        }
    }

    /// The minutes between two calls of a function.
    pub(crate) fn schedule(&self, name: &str) -> Result<f64, DeploymentError> {
        match &self.function(name)?.source {
            Some(Source::Schedule { minutes }) => Ok(f64::from(*minutes)),
            Some(Source::Stream { .. } | Source::Queue { .. }) | None => Err(DeploymentError::Missing(format!("schedule of {name}"))),
        }
    }

    /// What calls functions besides the API.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.functions.values().filter_map(|function| function.source.as_ref())
    }

    /// The same with another window of a function's stream.
    pub(crate) fn with_window(mut self, name: &str, seconds: u32) -> Self {
        if let Some(Function { source: Some(Source::Stream { window_seconds, .. }), .. }) = self.functions.get_mut(name) {
            *window_seconds = seconds;
        }
        self
    }
}

fn resources<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let all = template["Resources"].as_object().into_iter().flatten();
    // A deployment without a NATS server has no bridge to one: docs/nats.md says what that costs.
    let is_there = |resource: &Value| resource["Condition"].as_str().is_none_or(|condition| !condition.starts_with("HasNats"));
    all.filter(move |(_, resource)| resource["Type"] == kind && is_there(resource))
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
}

fn function(template: &Value, name: &str, properties: &Value) -> Result<Function, DeploymentError> {
    let mut sources = properties["Events"].as_object().into_iter().flatten().map(|(_, event)| event);
    let source = sources.next().map(|event| source(template, event)).transpose()?;
    if sources.next().is_some() {
        return Err(DeploymentError::Unknown(format!("what to do with two sources of {name}")));
    }
    let megabytes = properties.get("MemorySize").ok_or_else(|| DeploymentError::Missing(format!("memory of {name}")))?;
    Ok(Function { megabytes: number(megabytes, &format!("memory of {name}"))?, source })
}

fn source(template: &Value, event: &Value) -> Result<Source, DeploymentError> {
    let properties = &event["Properties"];
    let of = |name: &str| number(&properties[name], name);
    let or_none = |name: &str| properties.get(name).map_or(Ok(0), |value| number(value, name));
    match event["Type"].as_str() {
        Some("DynamoDB") => Ok(Source::Stream {
            batch: of("BatchSize")?,
            window_seconds: or_none("MaximumBatchingWindowInSeconds")?,
            tumbling_seconds: or_none("TumblingWindowInSeconds")?,
        }),
        Some("SQS") => {
            let name = text_at(properties, "/Queue/Fn::GetAtt/0")?;
            let fifo = template["Resources"][name]["Properties"]["FifoQueue"] == true;
            Ok(Source::Queue { fifo, batch: of("BatchSize")? })
        }
        Some("Schedule") => {
            let rate = text_at(properties, "/Schedule")?;
            let (number, unit) = rate.strip_prefix("rate(").and_then(|rest| rest.split_once(' ')).unwrap_or_default();
            let minutes = match unit.trim_end_matches(')').trim_end_matches('s') {
                "minute" => number.parse().ok(),
                "hour" => number.parse().ok().map(|hours: u32| hours * 60),
                _ => None,
            };
            Ok(Source::Schedule { minutes: minutes.ok_or_else(|| DeploymentError::Unknown(format!("the schedule {rate}")))? })
        }
        other => Err(DeploymentError::Unknown(format!("a source of the type {other:?}"))),
    }
}

fn metrics_of(alarm: &Value) -> u32 {
    alarm["Metrics"].as_array().map_or(1, |all| count(all.iter().filter(|metric| metric.get("MetricStat").is_some()).count()))
}

fn number(value: &Value, what: &str) -> Result<u32, DeploymentError> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(|| DeploymentError::Missing(what.to_owned()))
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, DeploymentError> {
    value.pointer(pointer).and_then(Value::as_str).ok_or_else(|| DeploymentError::Missing(pointer.to_owned()))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_this_repository_can_be_read() {
        let deployment = Deployment::read(include_str!("../../../../template.yaml")).unwrap();
        assert!(deployment.function("RecordEvents").unwrap().megabytes >= 128);
        assert!(deployment.queue("ProcessEvents").unwrap().1, "events are processed in order");
        assert!(!deployment.queue("DeliverWebhooks").unwrap().1);
        assert!(deployment.stream("CountEvents").unwrap().0 > 1.0);
        assert!(deployment.schedule("Sweep").unwrap() > 0.0);
        assert!(deployment.alarm_metrics > deployment.alarms, "one alarm computes with two metrics");
    }

    #[test]
    fn what_the_model_does_not_know_is_an_error() {
        assert!(matches!(Deployment::read("Resources: {}"), Err(DeploymentError::Missing(_))));
        assert!(matches!(Deployment::read("a: ["), Err(DeploymentError::Yaml(_))));
    }
}
