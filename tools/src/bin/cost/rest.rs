//! What a month costs in which nothing happens.

use crate::deployment::{Deployment, DeploymentError, Source};
use crate::inputs;
use crate::traffic::invocation;
use tools::prices::{self, free};

const MINUTES_A_MONTH: f64 = 60.0 * 24.0 * 30.0;
const MILLION: f64 = 1_000_000.0;

/// Something that is paid for though nothing happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// What it is.
    pub(crate) name: &'static str,
    /// How it is reckoned.
    pub(crate) how: String,
    /// Dollars a month.
    pub(crate) dollars: f64,
    /// Dollars a month in an account that uses its free tier for nothing else.
    pub(crate) with_free_tier: f64,
}

/// A month at rest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rest(pub(crate) Vec<Item>);

impl Rest {
    /// All items: without and with the free tier.
    pub(crate) fn totals(&self) -> (f64, f64) {
        (self.0.iter().map(|item| item.dollars).sum(), self.0.iter().map(|item| item.with_free_tier).sum())
    }
}

/// A month at rest, with alarms and the dashboard or without.
pub(crate) fn at_rest(deployment: &Deployment, alarms: bool) -> Result<Rest, DeploymentError> {
    let mut items =
        vec![sweeping(deployment)?, sweep_reads(deployment)?, windows(deployment)?, polling(deployment), metrics(), sweep_log(deployment)?];
    if alarms {
        items.extend(watching(deployment));
    }
    Ok(Rest(items))
}

fn sweeps(deployment: &Deployment) -> Result<f64, DeploymentError> {
    Ok(MINUTES_A_MONTH / deployment.schedule("Sweep")?)
}

fn window_ends(deployment: &Deployment) -> f64 {
    let tumbling = deployment.sources().filter_map(|source| match source {
        Source::Stream { tumbling_seconds, .. } if *tumbling_seconds > 0 => Some(f64::from(*tumbling_seconds)),
        Source::Stream { .. } | Source::Queue { .. } | Source::Schedule { .. } => None,
    });
    tumbling.map(|seconds| MINUTES_A_MONTH * 60.0 / seconds * inputs::STREAM_SHARDS).sum()
}

/// What is left to pay of functions when the free tier has been taken off.
fn beyond_free(deployment: &Deployment, function: &str, calls: f64, milliseconds: f64, dollars: f64) -> Result<f64, DeploymentError> {
    let gb_seconds = calls * milliseconds / 1000.0 * f64::from(deployment.function(function)?.megabytes) / 1024.0;
    // Both items that call functions share the allowance, and stay below it by far; were one to exceed it, it would be paid for whole.
    Ok(if calls * 2.0 < free::LAMBDA_CALLS && gb_seconds * 2.0 < free::LAMBDA_GB_SECONDS { 0.0 } else { dollars })
}

fn sweeping(deployment: &Deployment) -> Result<Item, DeploymentError> {
    let (calls, minutes) = (sweeps(deployment)?, deployment.schedule("Sweep")?);
    let dollars = calls * invocation(deployment, "Sweep", inputs::SWEEP_MS)?;
    let megabytes = deployment.function("Sweep")?.megabytes;
    Ok(Item {
        name: "the sweep: Lambda",
        how: format!("every {minutes} min, {calls:.0} invocations of {:.0} ms at {megabytes} MB (assumed)", inputs::SWEEP_MS),
        dollars,
        with_free_tier: beyond_free(deployment, "Sweep", calls, inputs::SWEEP_MS, dollars)?,
    })
}

fn sweep_reads(deployment: &Deployment) -> Result<Item, DeploymentError> {
    let units = inputs::STATISTICS_READ_UNITS + inputs::SWEEP_READ_UNITS;
    let dollars = sweeps(deployment)? * units * prices::READ_UNITS_MILLION / MILLION;
    let how = format!("{units:.0} read units each: {:.0} for statistics (measured), the rest assumed", inputs::STATISTICS_READ_UNITS);
    Ok(Item { name: "the sweep: DynamoDB", how, dollars, with_free_tier: dollars })
}

fn windows(deployment: &Deployment) -> Result<Item, DeploymentError> {
    let calls = window_ends(deployment);
    let dollars = calls * invocation(deployment, "CountEvents", 1.0)?;
    Ok(Item {
        name: "ends of the stream's windows: Lambda",
        how: format!("{calls:.0} empty invocations for {:.0} shards; not verified that Lambda makes them", inputs::STREAM_SHARDS),
        dollars,
        with_free_tier: beyond_free(deployment, "CountEvents", calls, 1.0, dollars)?,
    })
}

fn polling(deployment: &Deployment) -> Item {
    let polls = inputs::QUEUE_POLLERS * inputs::POLLS_A_MINUTE * MINUTES_A_MONTH;
    let price = |fifo: bool| if fifo { prices::SQS_FIFO_CALLS_MILLION } else { prices::SQS_CALLS_MILLION };
    let queues: Vec<bool> = deployment
        .sources()
        .filter_map(|source| match source {
            Source::Queue { fifo, .. } => Some(*fifo),
            Source::Stream { .. } | Source::Schedule { .. } => None,
        })
        .collect();
    let polled: f64 = queues.iter().map(|_| polls).sum();
    // The sweep looks into each one's dead letters, which are FIFO as their queue is.
    let looks: f64 = queues.iter().map(|_| MINUTES_A_MONTH).sum();
    let dollars: f64 = queues.iter().map(|fifo| (polls + MINUTES_A_MONTH) * price(*fifo) / MILLION).sum();
    let part = ((polled + looks - free::SQS_CALLS) / (polled + looks)).max(0.0);
    Item {
        name: "polling of queues: SQS",
        how: format!(
            "{} queues × {:.0} pollers × {:.0} a minute = {polled:.0} calls (an estimate, not verified), and {looks:.0} of the sweep's for dead letters",
            queues.len(),
            inputs::QUEUE_POLLERS,
            inputs::POLLS_A_MINUTE,
        ),
        dollars,
        with_free_tier: dollars * part,
    }
}

fn metrics() -> Item {
    Item {
        name: "metrics: CloudWatch",
        how: format!(
            "{:.0} that the sweep writes, alarms or not; one more when messages are parked, one for each function with problems",
            inputs::METRICS
        ),
        dollars: inputs::METRICS * prices::METRIC_MONTH,
        with_free_tier: (inputs::METRICS - free::METRICS).max(0.0) * prices::METRIC_MONTH,
    }
}

fn sweep_log(deployment: &Deployment) -> Result<Item, DeploymentError> {
    let gigabytes = sweeps(deployment)? * (inputs::SWEEP_LINE_BYTES + inputs::LOG_LINE_OVERHEAD_BYTES) / 1_000_000_000.0;
    Ok(Item {
        name: "the sweep's log: CloudWatch",
        how: format!("{:.0} MB, a line of metrics each time (assumed {:.0} bytes)", gigabytes * 1000.0, inputs::SWEEP_LINE_BYTES),
        dollars: gigabytes * prices::LOGS_GB,
        with_free_tier: (gigabytes - free::LOGS_GB).max(0.0) * prices::LOGS_GB,
    })
}

fn watching(deployment: &Deployment) -> [Item; 2] {
    let (metrics, dashboards) = (f64::from(deployment.alarm_metrics), f64::from(deployment.dashboards));
    [
        Item {
            name: "alarms: CloudWatch",
            how: format!("{} alarms that look at {} metrics", deployment.alarms, deployment.alarm_metrics),
            dollars: metrics * prices::ALARM_MONTH,
            with_free_tier: (metrics - free::ALARMS).max(0.0) * prices::ALARM_MONTH,
        },
        Item {
            name: "dashboard: CloudWatch",
            how: format!("{dashboards:.0}; an account's first three are free, and this is taken for a fourth on the left"),
            dollars: dashboards * prices::DASHBOARD_MONTH,
            with_free_tier: (dashboards - free::DASHBOARDS).max(0.0) * prices::DASHBOARD_MONTH,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_tier_never_makes_anything_dearer() {
        let deployment = Deployment::read(include_str!("../../../../template.yaml")).unwrap();
        let (with, without) = (at_rest(&deployment, true).unwrap(), at_rest(&deployment, false).unwrap());
        assert!(with.0.iter().all(|item| item.with_free_tier <= item.dollars && item.dollars >= 0.0));
        assert!(with.totals().0 > without.totals().0);
    }
}
