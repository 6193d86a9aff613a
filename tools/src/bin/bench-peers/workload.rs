//! What the stores are measured at.

use crate::PeersError;
use crate::contender::{Contender, Done};
use crate::job::Job;
use crate::meter::Usage;

/// How many events the streams have that are read.
const LONG: usize = 1000;
/// How many write at once.
const WRITERS: usize = 32;

/// What the stores are measured at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// One event at a time, to one stream.
    AppendOne,
    /// Ten at a time, all or none, to one stream.
    AppendTen,
    /// A whole stream whose events were appended one by one.
    ReadSingles,
    /// A whole stream whose events were appended ten at a time.
    ReadTens,
    /// Many who append one event at a time, to a hundred streams in turn.
    ManyStreams,
    /// Many who append one event at a time to one stream.
    OneStream,
}

impl Workload {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::AppendOne, Self::AppendTen, Self::ReadSingles, Self::ReadTens, Self::ManyStreams, Self::OneStream];

    /// Its name in tables and files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AppendOne => "append_1",
            Self::AppendTen => "append_10",
            Self::ReadSingles => "read_1000",
            Self::ReadTens => "read_1000_of_tens",
            Self::ManyStreams => "writers_32_streams_100",
            Self::OneStream => "writers_32_streams_1",
        }
    }

    /// What it is.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::AppendOne => "one writer, one event of a kilobyte at a time, one stream",
            Self::AppendTen => "one writer, ten events at a time, all or none, one stream",
            Self::ReadSingles => "a stream of 1,000 events that were appended one by one",
            Self::ReadTens => "a stream of 1,000 events that were appended ten at a time",
            Self::ManyStreams => "32 writers, one event at a time, 100 streams in turn",
            Self::OneStream => "32 writers, one event at a time, all to one stream",
        }
    }

    /// How many events an operation has.
    pub(crate) const fn events_per_operation(self) -> usize {
        match self {
            Self::AppendOne | Self::ManyStreams | Self::OneStream => 1,
            Self::AppendTen => 10,
            Self::ReadSingles | Self::ReadTens => LONG,
        }
    }

    /// How many operations a timed round has.
    const fn operations(self, small: bool) -> usize {
        let operations = match self {
            Self::AppendOne => 400,
            Self::AppendTen => 100,
            Self::ReadSingles | Self::ReadTens => 20,
            Self::ManyStreams => 1600,
            Self::OneStream => 320,
        };
        if small { operations / 4 } else { operations }
    }

    /// How many operations the units are counted of.
    const fn counted(self) -> usize {
        match self {
            Self::AppendOne | Self::AppendTen => 20,
            Self::ReadSingles | Self::ReadTens => 2,
            Self::ManyStreams => 400,
            Self::OneStream => 160,
        }
    }

    fn job(self, endpoint: &str, operations: usize) -> Job {
        match self {
            Self::AppendOne => Job::append(endpoint, "one", 1, operations),
            Self::AppendTen => Job::append(endpoint, "ten", 10, operations),
            Self::ReadSingles => Job::read(endpoint, "singles", LONG, operations),
            Self::ReadTens => Job::read(endpoint, "tens", LONG, operations),
            Self::ManyStreams => Job::append(endpoint, "many", 1, operations).by(WRITERS, 100),
            Self::OneStream => Job::append(endpoint, "busy", 1, operations).by(WRITERS, 1),
        }
    }

    /// Writes what is read.
    pub(crate) fn prepare(self, contender: &mut Contender) -> Result<(), PeersError> {
        let endpoint = contender.endpoint();
        match self {
            Self::ReadSingles => contender.run(&Job::append(&endpoint, "singles", 1, LONG)).map(drop),
            Self::ReadTens => contender.run(&Job::append(&endpoint, "tens", 10, LONG / 10)).map(drop),
            Self::AppendOne | Self::AppendTen | Self::ManyStreams | Self::OneStream => Ok(()),
        }
    }

    /// What operations use, and of how many that is the sum.
    pub(crate) fn count(self, contender: &mut Contender) -> Result<(Usage, usize), PeersError> {
        // The first of each stream finds out where it ends.
        let first = self.job("", 0);
        contender.metered(Job { operations: first.stream_count, writers: 1, ..first })?;
        Ok((contender.metered(self.job("", self.counted()))?, self.counted()))
    }

    /// How long operations take, after some that are not timed.
    pub(crate) fn time(self, contender: &mut Contender, small: bool) -> Result<Done, PeersError> {
        let (endpoint, operations) = (contender.endpoint(), self.operations(small));
        contender.run(&self.job(&endpoint, operations / 10 + 1))?;
        contender.run(&self.job(&endpoint, operations))
    }
}
