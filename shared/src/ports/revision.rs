//! How two writers of one item keep out of each other's way.

/// Which save of an item one has seen; 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revision(pub u64);
