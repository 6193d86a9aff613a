//! What a month costs at two rates, and what other stores would pay for their writes alone.

use crate::bill::Service;
use crate::deployment::{Deployment, DeploymentError};
use crate::document::{Block, Table, dollars};
use crate::inputs::{self, OtherStore};
use crate::report::kept;
use crate::rest::at_rest;
use crate::traffic::{Traffic, per_million};
use tools::prices;

/// The two rates: their names, and events a second.
const RATES: [(&str, f64); 2] = [("12,450 events a day", 12_450.0 / 86_400.0), ("1,000 events a second", 1000.0)];
/// Millions of events of a month at one event a second.
const MILLIONS_A_MONTH: f64 = 86_400.0 * 30.0 / 1_000_000.0;

/// The month's bill.
pub(crate) fn months(deployment: &Deployment) -> Result<Vec<Block>, DeploymentError> {
    let mut table = Table::new(["dollars a month".to_owned()].into_iter().chain(RATES.map(|(name, _)| name.to_owned())));
    let rest = at_rest(deployment, deployment.alarms_on)?.totals().0;
    table.row(["at rest".to_owned()].into_iter().chain(RATES.map(|_| dollars(rest))));
    for (kind, traffic) in [("single", Traffic::SINGLE), ("batches of 20", Traffic::BATCH)] {
        for (what, traffic) in [
            ("plain", traffic),
            ("one processor", Traffic { processor: true, ..traffic }),
            ("one processor and one webhook subscriber", Traffic { processor: true, subscriber: true, ..traffic }),
        ] {
            let month = |rate: f64| {
                let millions = rate * MILLIONS_A_MONTH;
                Ok(dollars(rest + millions * per_million(deployment, traffic.at(rate))?.total() + kept(deployment, traffic, millions).0))
            };
            let months = RATES.map(|(_, rate)| month(rate)).into_iter().collect::<Result<Vec<String>, DeploymentError>>()?;
            table.row([format!("**all, {kind}, {what}**")].into_iter().chain(months));
        }
    }
    let text = "With what is at rest, and with a month of keeping the events of that month. No free tier: at 12,450 events a day most of what is at rest falls \
                under it (see there), and so do Lambda and SQS. At 1,000 a second provisioned capacity would take more than half off DynamoDB's part (see \
                \"What to change first\")."
        .to_owned();
    Ok(vec![
        Block::Heading("A month's bill".to_owned()),
        Block::Table(table),
        Block::Text(text),
        Block::Heading("Writes alone, beside other stores".to_owned()),
        Block::Table(others(deployment)?),
        Block::Text(
            "Write units of an event of a kilobyte by `make bench-peers` ([performance.md](performance.md)), times DynamoDB's price; nothing else of either side. \
             The peers and the designs count nothing: ours does, in the last line, which weighs where few events come (see Goals). \
             They find events by fewer things, all but the literal port, whose two updates of a status on the event, which rewrite all of its indexes, would come on top. \
             The bench's event lies just above a step of DynamoDB for three of them: with at most 1,024 bytes an item, an event takes dynamo-es 2, the outbox 9 and the port 12."
                .to_owned(),
        ),
    ])
}

/// What writing takes of each store.
fn others(deployment: &Deployment) -> Result<Table, DeploymentError> {
    let header = ["write units and dollars a month".to_owned(), "units: single".to_owned(), "ten at a time".to_owned()];
    let mut table = Table::new(header.into_iter().chain(RATES.map(|(name, _)| format!("{name}, single"))));
    for OtherStore { name, single, ten } in inputs::OTHER_STORES {
        let month = |rate: f64| dollars(rate * MILLIONS_A_MONTH * single * prices::WRITE_UNITS_MILLION);
        table.row([name.to_owned(), format!("{single}"), format!("{ten}")].into_iter().chain(RATES.map(|(_, rate)| month(rate))));
    }
    let counted =
        |rate: f64| Ok(dollars(rate * MILLIONS_A_MONTH * per_million(deployment, Traffic::SINGLE.at(rate))?.of(Service::DynamoDb)));
    let counted = RATES.map(|(_, rate)| counted(rate)).into_iter().collect::<Result<Vec<String>, DeploymentError>>()?;
    table
        .row(["this service with its counters and the reads for them".to_owned(), String::new(), String::new()].into_iter().chain(counted));
    Ok(table)
}
