//! Tokens of the platform: JWT, HS256, as its services and users present them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use event_service_tests::app::TestApp;
use ring::hmac;
use serde_json::{Value, json};
use shared::adapters::jwt::{JwtConfig, JwtKeySource, JwtTokens, RightsMap};

use super::{CREATE, KEYS, QUERY};

const SECRET: &str = "a secret of the tests, 32 bytes.";
/// The end of an hour that begins with the clock.
const SOON: i64 = 1_795_435_200 + 3600;

fn app() -> TestApp {
    let config = JwtConfig {
        keys: vec![JwtKeySource::Hs256Secret(SECRET.parse().unwrap())],
        issuer: Some("isA_user".to_owned()),
        audience: None,
        rights: RightsMap::default(),
    };
    TestApp::in_memory().with_tokens(JwtTokens::new(config).unwrap())
}

fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
    format!("Bearer {message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn token(claims: &Value) -> String {
    signed(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

/// A token as the platform makes them, with some claims of its own.
fn claims(own: &Value) -> Value {
    let mut claims = json!({
        "iss": "isA_user", "sub": "user_12345", "email": "anna@example.com", "scope": "service", "permissions": [], "metadata": {},
        "iat": 1_795_435_200, "exp": SOON, "jti": "b1", "type": "access",
    });
    for (name, value) in own.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// The statuses of a write, a read and a look at the keys.
async fn statuses(app: &TestApp, bearer: &str) -> [u16; 3] {
    let client = app.client_that_presents("authorization", bearer);
    [
        client.post(CREATE, &json!({"event_type": "a"})).await.status.as_u16(),
        client.post(QUERY, &json!({})).await.status.as_u16(),
        client.get(KEYS).await.status.as_u16(),
    ]
}

#[tokio::test]
async fn the_scope_of_a_platform_token_says_what_it_may_do() {
    let app = app();
    for (own, expected) in [
        (json!({"scope": "admin"}), [200, 200, 200]),
        (json!({"scope": "service"}), [200, 200, 403]),
        (json!({"scope": "device", "organization_id": "org_1"}), [200, 403, 403]),
        (json!({"scope": "user", "organization_id": "org_1"}), [403, 403, 403]),
        (json!({"scope": "user", "organization_id": "org_1", "permissions": ["events:read"]}), [403, 200, 403]),
        (json!({"scope": "events:write events:read"}), [200, 200, 403]),
        (json!({"scope": "unheard of"}), [403, 403, 403]),
    ] {
        assert_eq!(statuses(&app, &token(&claims(&own))).await, expected, "{own}");
    }
}

#[tokio::test]
async fn a_token_with_an_organization_is_bound_to_it() {
    let app = app();
    let bearer = |organization: &str| token(&claims(&json!({"organization_id": organization})));
    let (one, other) = (bearer("org_1"), bearer("org_2"));
    let (one, other) = (app.client_that_presents("authorization", &one), app.client_that_presents("authorization", &other));
    let event = one.post(CREATE, &json!({"event_type": "a"})).await.ok();
    assert_eq!(event["organization_id"], "org_1");
    assert_eq!(other.post(QUERY, &json!({})).await.ok()["total"], 0);
    assert_eq!(other.get(&format!("/api/v1/events/{}", event["event_id"].as_str().unwrap())).await.status, 404);
    assert_eq!(one.post(CREATE, &json!({"event_type": "a", "organization_id": "org_2"})).await.status, 403);
}

#[tokio::test]
async fn a_user_or_device_of_no_organization_is_refused_rights() {
    let app = app();
    for own in [json!({"scope": "device"}), json!({"scope": "user", "permissions": ["events:read"]}), json!({"organization_id": null})] {
        assert_eq!(statuses(&app, &token(&claims(&own))).await, [401; 3], "{own}");
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_expires() {
    let app = app();
    let bearer = token(&claims(&json!({})));
    app.pass(3599);
    assert_eq!(statuses(&app, &bearer).await, [200, 200, 403]);
    app.pass(1);
    assert_eq!(statuses(&app, &bearer).await, [401; 3]);
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_refused() {
    let app = app();
    let good = claims(&json!({"scope": "admin"}));
    let mut forever = good.clone();
    forever.as_object_mut().unwrap().remove("exp");
    let (header, body) = (json!({"alg": "HS256"}), URL_SAFE_NO_PAD.encode(good.to_string()));
    for (what, bearer) in [
        ("another secret", signed(&header, &good, "another secret, also 32 bytes ..")),
        ("another issuer", token(&claims(&json!({"iss": "somebody"})))),
        ("no issuer", token(&claims(&json!({"iss": null})))),
        ("no end", token(&forever)),
        ("not yet", token(&claims(&json!({"nbf": SOON})))),
        ("a refresh token", token(&claims(&json!({"type": "refresh"})))),
        ("another algorithm", signed(&json!({"alg": "HS512"}), &good, SECRET)),
        ("no algorithm", format!("Bearer {}.{body}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))),
        ("no signature", token(&good).rsplit_once('.').unwrap().0.to_owned()),
        ("no token", "Bearer ..".to_owned()),
        ("not bearer", token(&good).replace("Bearer", "Token")),
    ] {
        assert_eq!(statuses(&app, &bearer).await, [401; 3], "{what}");
    }
    assert_eq!(statuses(&app, &token(&good)).await, [200; 3]);
}

#[tokio::test]
async fn without_a_trusted_key_no_token_is_good() {
    assert_eq!(statuses(&TestApp::in_memory(), &token(&claims(&json!({"scope": "admin"})))).await, [401; 3]);
}
