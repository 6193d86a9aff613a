//! What a proven token says, and who that makes its bearer.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::rights::RightsMap;
use crate::domain::access::{Caller, Scope};
use crate::domain::identifiers::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::ports::token_verifier::Rejection;

/// How far the issuer's clock may be ahead of ours. It excuses tokens from the future only: an expired one is expired.
const LEEWAY_MICROS: i64 = 60_000_000;
/// The most bytes of `sub`, which ends up in every line of the log (OpenID Connect has the same limit).
const MAX_SUBJECT_BYTES: usize = 255;

/// The claims that matter here. Others are ignored; one that appears twice makes the token malformed.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: Option<String>,
    iss: Option<String>,
    aud: Option<Audience>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
    scope: Option<String>,
    permissions: Option<Vec<Value>>,
    /// A `null` is kept apart from an absence: it is there, and it is no identifier.
    #[serde(default, deserialize_with = "present")]
    organization_id: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    token_type: Option<Value>,
    typ: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// Checks `exp`, which must be there, `nbf` and `iat`.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<(), Rejection> {
        let end = self.exp.as_ref().ok_or(Rejection::NoExpiry)?;
        if now.micros() >= micros(end)? {
            return Err(Rejection::Expired);
        }
        let latest = now.micros().saturating_add(LEEWAY_MICROS);
        for start in [&self.nbf, &self.iat].into_iter().flatten() {
            if micros(start)? > latest {
                return Err(Rejection::NotYetValid);
            }
        }
        Ok(())
    }

    /// Checks `iss` and `aud` where one is expected. A token that leaves out what is expected does not match.
    pub(super) fn check_parties(&self, issuer: Option<&str>, audience: Option<&str>) -> Result<(), Rejection> {
        if issuer.is_some() && self.iss.as_deref() != issuer {
            return Err(Rejection::Issuer);
        }
        let is_meant = |audience: &str| match &self.aud {
            None => false,
            Some(Audience::One(one)) => one == audience,
            Some(Audience::Many(many)) => many.iter().any(|one| one == audience),
        };
        if audience.is_some_and(|audience| !is_meant(audience)) {
            return Err(Rejection::Audience);
        }
        Ok(())
    }

    /// The caller that the claims describe.
    ///
    /// A caller without an organization sees every organization's events. So such a token is refused if it has rights and is, by
    /// a word of its `scope`, one of a user or a device: those belong to somebody, and a token that does not say to whom
    /// was issued by mistake. The same holds for words that an operator adds to the map. Tokens of the platform itself (`admin`,
    /// `service`), or that carry our own names of rights and none of those words, may go without.
    ///
    /// A refresh token is refused too: it is good for getting a new token only, lives long, and the platform leaves
    /// `organization_id` out of it, which would turn a bound caller into an unbound one.
    pub(super) fn into_caller(self, rights: &RightsMap) -> Result<Caller, Rejection> {
        if self.is_refresh() {
            return Err(Rejection::Refresh);
        }
        let subject = self
            .sub
            .filter(|subject| !subject.trim().is_empty() && subject.len() <= MAX_SUBJECT_BYTES && !subject.chars().any(char::is_control));
        let subject = subject.ok_or(Rejection::Subject)?;
        let organization = self.organization_id.map(organization).transpose()?;

        let words: Vec<&str> = self.scope.as_deref().unwrap_or_default().split_whitespace().collect();
        let permissions = self.permissions.iter().flatten().filter_map(Value::as_str).filter_map(|name| name.parse().ok());
        let scopes: BTreeSet<Scope> = words.iter().flat_map(|word| rights.of(word)).chain(permissions).collect();

        if organization.is_none() && !scopes.is_empty() && words.iter().any(|word| rights.belongs_to_a_tenant(word)) {
            return Err(Rejection::Unbound);
        }
        Ok(Caller { name: format!("token:{subject}"), scopes: scopes.into_iter().collect(), organization })
    }

    /// Whether one of the claims that issuers use for it says so.
    fn is_refresh(&self) -> bool {
        [&self.kind, &self.token_type, &self.typ]
            .into_iter()
            .flatten()
            .any(|kind| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("refresh")))
    }
}

/// The organization that the claim names. Anything but an identifier is refused: taken for an absence, it would unbind the token.
fn organization(claim: Value) -> Result<OrganizationId, Rejection> {
    match claim {
        Value::String(text) => OrganizationId::try_from(text).map_err(|_| Rejection::Organization),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(Rejection::Organization),
    }
}

/// Reads a value that is there, `null` too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Microseconds since 1970 of a moment in seconds, which may have a fraction. What is out of range counts as the far end.
fn micros(date: &Number) -> Result<i64, Rejection> {
    if let Some(seconds) = date.as_i64() {
        return Ok(seconds.saturating_mul(1_000_000));
    }
    let seconds = date.as_f64().ok_or(Rejection::Malformed)?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which keeps the order of moments")]
    Ok((seconds * 1e6) as i64)
}
