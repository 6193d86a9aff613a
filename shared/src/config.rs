//! Configuration: the only reader of the environment.

use std::str::FromStr;

/// A setting is missing or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The variable is not set.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// The variable has a value that means nothing. The value is not shown: it may be a secret.
    #[error("{name} {problem}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// The value of a variable; none if it is unset or empty.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn optional(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The value of a variable.
///
/// # Errors
/// [`ConfigError::Missing`] if it is unset or empty.
pub fn required(name: &'static str) -> Result<String, ConfigError> {
    optional(name).ok_or(ConfigError::Missing(name))
}

/// The value of a variable as something else, if it is set.
///
/// # Errors
/// [`ConfigError::Invalid`] if it cannot be read.
pub fn parsed<T: FromStr>(name: &'static str) -> Result<Option<T>, ConfigError>
where
    T::Err: std::fmt::Display,
{
    optional(name)
        .map(|value| value.trim().parse().map_err(|error: T::Err| ConfigError::Invalid { name, problem: error.to_string() }))
        .transpose()
}
