//! Dollars by service.

use std::fmt;

/// Whoever asks for money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    DynamoDb,
    Api,
    Lambda,
    Sqs,
    EventBridge,
    Logs,
    Transfer,
}

impl Service {
    /// All of them, in the order of a table's columns.
    pub(crate) const ALL: [Self; 7] = [Self::DynamoDb, Self::Api, Self::Lambda, Self::Sqs, Self::EventBridge, Self::Logs, Self::Transfer];
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DynamoDb => "DynamoDB",
            Self::Api => "HTTP API",
            Self::Lambda => "Lambda",
            Self::Sqs => "SQS",
            Self::EventBridge => "EventBridge",
            Self::Logs => "API log",
            Self::Transfer => "transfer",
        })
    }
}

/// What is to be paid, in dollars.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Bill(Vec<(Service, f64)>);

impl Bill {
    /// Adds to what a service asks.
    pub(crate) fn add(&mut self, service: Service, dollars: f64) {
        self.0.push((service, dollars));
    }

    /// What a service asks.
    pub(crate) fn of(&self, service: Service) -> f64 {
        self.0.iter().filter(|(other, _)| *other == service).map(|(_, dollars)| dollars).sum()
    }

    /// What all of them ask.
    pub(crate) fn total(&self) -> f64 {
        self.0.iter().map(|(_, dollars)| dollars).sum()
    }

    /// So many times as much.
    pub(crate) fn times(mut self, factor: f64) -> Self {
        for (_, dollars) in &mut self.0 {
            *dollars *= factor;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_the_services() {
        let mut bill = Bill::default();
        bill.add(Service::Lambda, 1.0);
        bill.add(Service::Sqs, 0.5);
        bill.add(Service::Lambda, 0.25);
        let bill = bill.times(2.0);
        assert!((bill.of(Service::Lambda) - 2.5).abs() < 1e-9);
        assert!((bill.total() - Service::ALL.iter().map(|service| bill.of(*service)).sum::<f64>()).abs() < 1e-9);
    }
}
