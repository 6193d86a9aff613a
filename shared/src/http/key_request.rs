//! API keys as administrators ask for them.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{Blank, Fields, list_of};
use super::openapi::schemas::{MomentSchema, ScopeSchema};
use super::problem::{FieldProblemKind, Place, Problem};
use crate::commands::manage_keys::KeyDraft;
use crate::domain::access::Scope;

/// The most characters of a key's name.
const MAX_NAME_CHARS: usize = 255;

/// An API key to make.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct KeyRequest {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Its rights, at least one.
    #[schema(value_type = Vec<ScopeSchema>, min_items = 1)]
    pub scopes: Vec<Scope>,
    /// The organization that it is bound to: its events are all that the key can see or write. By default, that of the
    /// credential that makes it; without one, the key sees everything.
    pub organization_id: Option<String>,
    /// From when on it is refused; by default, never.
    #[schema(value_type = Option<MomentSchema>)]
    pub expires_at: Option<String>,
}

/// The key that a body describes.
///
/// # Errors
/// [`Problem::invalid`] with everything that is wrong with it.
pub fn key_draft(body: &RawValue) -> Result<KeyDraft, Problem> {
    let mut fields = Fields::read(body, vec![Place::name("body")], Blank::Value).map_err(|problem| Problem::invalid(vec![problem]))?;
    let (name, scopes) = (name(&mut fields), scopes(&mut fields));
    // A blank organization is refused rather than ignored: the key would see everything.
    let organization = fields.text("organization_id").and_then(|text| fields.required_identifier("organization_id", text));
    let expires_at = fields.moment("expires_at");
    let draft = name.zip(scopes).map(|(name, scopes)| KeyDraft { name, scopes, organization, expires_at });
    fields.finish(draft).map_err(Problem::invalid)
}

fn name(fields: &mut Fields<'_>) -> Option<String> {
    if fields.given("name").is_none() {
        fields.missing("name");
    }
    fields.label("name", MAX_NAME_CHARS)
}

fn scopes(fields: &mut Fields<'_>) -> Option<Vec<Scope>> {
    if fields.given("scopes").is_none() {
        fields.missing("scopes");
    }
    let scopes = fields.words("scopes", Scope::ALL, Scope::as_str)?;
    if scopes.is_empty() && fields.given("scopes").is_some_and(|given| list_of(given).is_some_and(|items| items.is_empty())) {
        fields.refuse("scopes", FieldProblemKind::TooShort, "List should have at least 1 item after validation, not 0");
    }
    Some(scopes.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &Value) -> Result<KeyDraft, Problem> {
        key_draft(&serde_json::value::to_raw_value(body).unwrap())
    }

    #[test]
    fn a_key_has_a_name_and_scopes_and_perhaps_an_organization_and_an_end() {
        let draft = read(
            &json!({"name": " CI ", "scopes": ["events:read", "events:write", "events:read"], "organization_id": "o", "expires_at": 0}),
        );
        let draft = draft.unwrap();
        assert_eq!((draft.name.as_str(), draft.scopes.as_slice()), ("CI", &[Scope::Write, Scope::Read][..]));
        assert_eq!(draft.organization, "o".parse().ok());
        assert!(draft.expires_at.is_some());
        let draft = read(&json!({"name": "a", "scopes": ["admin"], "organization_id": null})).unwrap();
        assert_eq!((draft.organization, draft.expires_at), (None, None));
    }

    #[test]
    fn everything_that_is_wrong_with_a_key_is_reported_together() {
        for (body, expected) in [
            (json!({}), json!([["missing", ["body", "name"]], ["missing", ["body", "scopes"]]])),
            (
                json!({"name": "", "scopes": [], "organization_id": "", "expires_at": "x"}),
                json!([
                    ["string_too_short", ["body", "name"]],
                    ["too_short", ["body", "scopes"]],
                    ["value_error", ["body", "organization_id"]],
                    ["datetime_parsing", ["body", "expires_at"]]
                ]),
            ),
            (json!({"name": "a\nb", "scopes": "admin"}), json!([["value_error", ["body", "name"]], ["list_type", ["body", "scopes"]]])),
            (
                json!({"name": 1, "scopes": ["admin", "x", 1]}),
                json!([["string_type", ["body", "name"]], ["enum", ["body", "scopes", 1]], ["enum", ["body", "scopes", 2]]]),
            ),
            (json!([]), json!([["dict_type", ["body"]]])),
        ] {
            let answer = serde_json::to_value(read(&body).unwrap_err()).unwrap();
            let found: Vec<Value> = answer["detail"].as_array().unwrap().iter().map(|one| json!([one["type"], one["loc"]])).collect();
            assert_eq!(json!(found), expected, "{body}");
        }
    }
}
