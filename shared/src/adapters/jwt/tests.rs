//! Whole tokens, good and bad, against keys that are known and keys that an issuer publishes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use futures::future::join_all;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use ring::{hmac, rsa};
use serde_json::{Value, json};

use super::*;
use crate::domain::access::Scope;
use crate::domain::identifiers::OrganizationId;

const SECRET: &str = "a test-only secret of 32 bytes..";
const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whoever signs tokens in these tests.
enum Signer {
    Hs256(Vec<u8>),
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
}

impl Signer {
    fn hs256() -> Self {
        Self::Hs256(SECRET.into())
    }

    /// ring cannot make RSA keys; this one was made for these tests only and is trusted nowhere else.
    fn rs256() -> Self {
        Self::Rs256(RsaKeyPair::from_pkcs8(include_bytes!("testdata/test_only_rsa_2048.pk8.der")).unwrap())
    }

    fn es256() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    fn public_key(&self) -> Vec<u8> {
        match self {
            Self::Hs256(_) => Vec::new(),
            Self::Rs256(pair) => pair.public().as_ref().to_vec(),
            Self::Es256(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The key as an issuer publishes it.
    fn jwk(&self, id: Option<&str>) -> Value {
        let mut jwk = match self {
            Self::Hs256(secret) => json!({"kty": "oct", "k": encode(secret)}),
            Self::Rs256(pair) => {
                let public = rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(public.n), "e": encode(public.e)})
            }
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])})
            }
        };
        if let Some(id) = id {
            jwk["kid"] = id.into();
        }
        jwk
    }

    /// Signs any header and any body, honest or not.
    fn sign(&self, header: &Value, body: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header.to_string()), encode(body));
        let signature = match self {
            Self::Hs256(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Es256(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", encode(signature))
    }

    fn token(&self, id: Option<&str>, claims: &Value) -> String {
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if let Some(id) = id {
            header["kid"] = id.into();
        }
        self.sign(&header, claims.to_string())
    }
}

fn service_claims() -> Value {
    json!({"iss": "issuer", "sub": "billing", "exp": NOW + 3600, "iat": NOW, "scope": "service", "permissions": [], "type": "access"})
}

/// The usual claims with some changed; a change to null leaves the claim out.
fn claims(changes: &Value) -> Value {
    let mut claims = service_claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn config(keys: Vec<JwtKeySource>) -> JwtConfig {
    JwtConfig { keys, issuer: None, audience: None, rights: RightsMap::default() }
}

fn secret_source() -> JwtKeySource {
    JwtKeySource::Hs256Secret(SECRET.parse().unwrap())
}

fn tokens() -> JwtTokens {
    JwtTokens::new(config(vec![secret_source()])).unwrap()
}

/// A verifier that knows exactly the keys of a published set, as if read from a file.
fn tokens_of_set(keys: &[Value]) -> JwtTokens {
    let mut tokens = tokens();
    tokens.known = keys::parse_set(json!({"keys": keys}).to_string().as_bytes()).unwrap();
    tokens
}

fn verify(tokens: &JwtTokens, token: &str) -> Result<Caller, TokenError> {
    verify_at(tokens, token, NOW)
}

/// With keys that are all known there is nothing to wait for.
fn verify_at(tokens: &JwtTokens, token: &str, seconds: i64) -> Result<Caller, TokenError> {
    tokens.verify(token, at(seconds)).now_or_never().unwrap()
}

fn refusal(result: &Result<Caller, TokenError>) -> Rejection {
    match result {
        Err(TokenError::Rejected(rejection)) => *rejection,
        Ok(_) | Err(TokenError::Unavailable(_)) => panic!("{result:?}"),
    }
}

fn hs256(changes: &Value) -> String {
    Signer::hs256().token(None, &claims(changes))
}

// What a good token says.

#[test]
fn a_token_of_the_platform_names_its_subject_its_rights_and_its_organization() {
    let caller = verify(&tokens(), &hs256(&json!({"organization_id": "acme"}))).unwrap();
    assert_eq!(
        caller,
        Caller {
            name: "token:billing".into(),
            scopes: vec![Scope::Write, Scope::Read],
            organization: Some("acme".parse::<OrganizationId>().unwrap()),
        }
    );
    assert_eq!(verify(&tokens(), &hs256(&json!({}))).unwrap().organization, None);
}

#[test]
fn rights_come_from_words_of_the_map_from_names_of_rights_and_from_permissions() {
    use Scope::{Admin, Collect, Read, Write};
    for (changes, scopes) in [
        (json!({"scope": "admin"}), vec![Write, Read, Collect, Admin]),
        (json!({"scope": "service"}), vec![Write, Read]),
        (json!({"scope": "device", "organization_id": "acme"}), vec![Write]),
        (json!({"scope": "user", "organization_id": "acme"}), vec![]),
        (json!({"scope": "user", "permissions": ["events:read"], "organization_id": "acme"}), vec![Read]),
        (json!({"scope": "openid  events:read events:write"}), vec![Write, Read]),
        (json!({"scope": "openid profile"}), vec![]),
        (json!({"scope": null, "permissions": ["admin", "orders:read", 7, {"name": "events:write"}]}), vec![Admin]),
        (json!({"scope": null, "permissions": null}), vec![]),
        (json!({"scope": "EVENTS:READ"}), vec![]),
    ] {
        assert_eq!(verify(&tokens(), &hs256(&changes)).unwrap().scopes, scopes, "{changes}");
    }
}

#[test]
fn the_map_of_rights_is_configuration() {
    let config = JwtConfig { rights: RightsMap::parse("service=events:read").unwrap(), ..config(vec![secret_source()]) };
    let tokens = JwtTokens::new(config).unwrap();
    assert_eq!(verify(&tokens, &hs256(&json!({}))).unwrap().scopes, [Scope::Read]);
}

#[test]
fn a_user_or_a_device_with_rights_must_be_bound_to_an_organization() {
    for changes in [
        json!({"scope": "device"}),
        json!({"scope": "admin device"}),
        json!({"scope": "user events:read"}),
        json!({"scope": "user", "permissions": ["events:read"]}),
    ] {
        assert_eq!(refusal(&verify(&tokens(), &hs256(&changes))), Rejection::Unbound, "{changes}");
    }
    let nobody = verify(&tokens(), &hs256(&json!({"scope": "user"}))).unwrap();
    assert_eq!((nobody.scopes, nobody.organization), (vec![], None));
}

#[test]
fn an_organization_that_is_not_an_identifier_refuses_the_token_and_never_unbinds_it() {
    for organization in [json!(""), json!("  "), json!(7), json!(true), json!(["acme"]), json!({"id": "acme"}), json!("x".repeat(129))] {
        let result = verify(&tokens(), &hs256(&json!({"organization_id": organization})));
        assert_eq!(refusal(&result), Rejection::Organization, "{organization}");
    }
    let mut null = service_claims();
    null["organization_id"] = Value::Null;
    assert_eq!(refusal(&verify(&tokens(), &Signer::hs256().token(None, &null))), Rejection::Organization);
}

#[test]
fn a_refresh_token_gives_no_access() {
    for changes in [json!({"type": "refresh"}), json!({"typ": "Refresh"}), json!({"token_type": "refresh"})] {
        assert_eq!(refusal(&verify(&tokens(), &hs256(&changes))), Rejection::Refresh, "{changes}");
    }
}

#[test]
fn a_token_without_a_usable_subject_is_refused() {
    for subject in [Value::Null, json!(""), json!("a\nb"), json!("x".repeat(256))] {
        assert_eq!(refusal(&verify(&tokens(), &hs256(&json!({"sub": subject})))), Rejection::Subject, "{subject}");
    }
}

// Times.

#[test]
fn a_token_is_good_from_a_minute_before_its_start_until_its_end() {
    for (changes, refused) in [
        (json!({"exp": NOW + 1}), None),
        (json!({"exp": NOW}), Some(Rejection::Expired)),
        (json!({"exp": NOW - 1}), Some(Rejection::Expired)),
        (json!({"exp": -1}), Some(Rejection::Expired)),
        (json!({"exp": f64::from(i32::MAX) + 0.5}), None),
        (json!({"exp": u64::MAX}), None),
        (json!({"exp": 1e300}), None),
        (json!({"exp": null}), Some(Rejection::NoExpiry)),
        (json!({"exp": "4000000000"}), Some(Rejection::Malformed)),
        (json!({"exp": true}), Some(Rejection::Malformed)),
        (json!({"nbf": NOW + 60}), None),
        (json!({"nbf": NOW + 61}), Some(Rejection::NotYetValid)),
        (json!({"iat": NOW + 60}), None),
        (json!({"iat": NOW + 61}), Some(Rejection::NotYetValid)),
        (json!({"iat": 1e300}), Some(Rejection::NotYetValid)),
        (json!({"iat": null}), None),
    ] {
        let result = verify(&tokens(), &hs256(&changes));
        assert_eq!(result.is_err().then(|| refusal(&result)), refused, "{changes}");
    }
}

#[test]
fn the_same_token_expires_as_the_clock_moves() {
    let token = hs256(&json!({}));
    assert!(verify_at(&tokens(), &token, NOW + 3599).is_ok());
    assert_eq!(refusal(&verify_at(&tokens(), &token, NOW + 3600)), Rejection::Expired);
}

// Issuer and audience.

#[test]
fn an_expected_issuer_or_audience_must_be_there() {
    let tokens =
        JwtTokens::new(JwtConfig { issuer: Some("issuer".into()), audience: Some("events".into()), ..config(vec![secret_source()]) })
            .unwrap();
    for (changes, refused) in [
        (json!({"aud": "events"}), None),
        (json!({"aud": ["orders", "events"]}), None),
        (json!({"aud": "orders"}), Some(Rejection::Audience)),
        (json!({"aud": []}), Some(Rejection::Audience)),
        (json!({"aud": null}), Some(Rejection::Audience)),
        (json!({"aud": 7}), Some(Rejection::Malformed)),
        (json!({"aud": "events", "iss": "other"}), Some(Rejection::Issuer)),
        (json!({"aud": "events", "iss": "Issuer"}), Some(Rejection::Issuer)),
        (json!({"aud": "events", "iss": null}), Some(Rejection::Issuer)),
        (json!({"aud": "events", "iss": ["issuer"]}), Some(Rejection::Malformed)),
    ] {
        let result = verify(&tokens, &hs256(&changes));
        assert_eq!(result.is_err().then(|| refusal(&result)), refused, "{changes}");
    }
}

#[test]
fn an_issuer_and_an_audience_that_nobody_expects_are_ignored() {
    assert!(verify(&tokens(), &hs256(&json!({"iss": "other", "aud": "orders"}))).is_ok());
}

// Keys and algorithms.

#[test]
fn tokens_by_published_rsa_and_ec_keys_are_accepted() {
    for signer in [Signer::rs256(), Signer::es256()] {
        let tokens = tokens_of_set(&[signer.jwk(Some("one"))]);
        for id in [Some("one"), None] {
            let caller = verify(&tokens, &signer.token(id, &service_claims())).unwrap();
            assert_eq!(caller.name, "token:billing");
        }
        assert_eq!(refusal(&verify(&tokens, &signer.token(Some("two"), &service_claims()))), Rejection::UnknownKey);
    }
}

#[test]
fn a_token_by_another_key_is_refused() {
    let other = Signer::Hs256(b"another test-only secret, 32 byte".to_vec());
    assert_eq!(refusal(&verify(&tokens(), &other.token(None, &service_claims()))), Rejection::Signature);
    let tokens = tokens_of_set(&[Signer::es256().jwk(Some("one"))]);
    assert_eq!(refusal(&verify(&tokens, &Signer::es256().token(Some("one"), &service_claims()))), Rejection::Signature);
}

#[test]
fn a_secret_may_be_rotated() {
    let old = Signer::Hs256(b"the old test-only secret, 32 byte".to_vec());
    let Signer::Hs256(bytes) = &old else { panic!() };
    let source = JwtKeySource::Hs256Secret(bytes.clone().try_into().unwrap());
    let tokens = JwtTokens::new(config(vec![secret_source(), source])).unwrap();
    assert!(verify(&tokens, &old.token(None, &service_claims())).is_ok());
    assert!(verify(&tokens, &hs256(&json!({}))).is_ok());
}

#[test]
fn a_public_key_is_never_taken_for_a_shared_secret() {
    for signer in [Signer::rs256(), Signer::es256()] {
        let jwk = signer.jwk(Some("one"));
        let tokens = tokens_of_set(std::slice::from_ref(&jwk));
        let mut guesses = vec![signer.public_key(), jwk.to_string().into_bytes()];
        guesses.extend(["n", "x"].iter().filter_map(|part| jwk[part].as_str()).map(|part| part.as_bytes().to_vec()));
        guesses.extend(["n", "x"].iter().filter_map(|part| URL_SAFE_NO_PAD.decode(jwk[part].as_str()?).ok()));
        for guess in guesses {
            for header in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "one"})] {
                let token = Signer::Hs256(guess.clone()).sign(&header, service_claims().to_string());
                assert_eq!(refusal(&verify(&tokens, &token)), Rejection::UnknownKey, "{header}");
            }
        }
    }
}

#[test]
fn the_algorithm_in_the_header_changes_nothing_about_the_key() {
    let rsa = Signer::rs256();
    let tokens = tokens_of_set(&[rsa.jwk(Some("one"))]);
    for (algorithm, refused) in [
        ("HS256", Rejection::UnknownKey),
        ("ES256", Rejection::UnknownKey),
        ("RS512", Rejection::Algorithm),
        ("PS256", Rejection::Algorithm),
        ("HS512", Rejection::Algorithm),
        ("EdDSA", Rejection::Algorithm),
        ("rs256", Rejection::Malformed),
        ("", Rejection::Malformed),
    ] {
        let token = rsa.sign(&json!({"alg": algorithm, "kid": "one"}), service_claims().to_string());
        assert_eq!(refusal(&verify(&tokens, &token)), refused, "{algorithm}");
    }
}

#[test]
fn an_unsigned_token_is_refused() {
    for algorithm in ["none", "None", "NONE", "nOnE"] {
        let signed = Signer::hs256().sign(&json!({"alg": algorithm}), service_claims().to_string());
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        for token in [signed, unsigned] {
            assert_eq!(refusal(&verify(&tokens(), &token)), Rejection::Malformed, "{token}");
        }
    }
    let signed = hs256(&json!({}));
    let stripped = format!("{}.", signed.rsplit_once('.').unwrap().0);
    assert_eq!(refusal(&verify(&tokens(), &stripped)), Rejection::Signature);
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let stranger = Signer::es256();
    let header = json!({"alg": "ES256", "jwk": stranger.jwk(None), "jku": "https://stranger.example/keys"});
    let token = stranger.sign(&header, service_claims().to_string());
    let tokens = tokens_of_set(&[Signer::es256().jwk(None)]);
    let refused = refusal(&verify(&tokens, &token));
    assert!(matches!(refused, Rejection::Signature | Rejection::Malformed), "{refused:?}");
}

#[test]
fn a_token_with_an_extension_that_must_be_understood_is_refused() {
    let token = Signer::hs256().sign(&json!({"alg": "HS256", "crit": ["b64"], "b64": true}), service_claims().to_string());
    assert_eq!(refusal(&verify(&tokens(), &token)), Rejection::Malformed);
}

// Form.

#[test]
fn what_is_no_token_is_refused() {
    let good = hs256(&json!({}));
    let signer = Signer::hs256();
    let header = json!({"alg": "HS256"});
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "!!!.???.***".into(),
        "null.null.null".into(),
        "ключ.ключ.ключ".into(),
        format!("{good}."),
        format!(".{good}"),
        format!(" {good}"),
        format!("{good}="),
        good.replace('.', ""),
        good.rsplit_once('.').unwrap().0.to_owned(),
        signer.sign(&json!({}), service_claims().to_string()),
        signer.sign(&json!([]), service_claims().to_string()),
        signer.sign(&header, "not JSON"),
        signer.sign(&header, "[]"),
        signer.sign(&header, b"{\"exp\":4000000000,\"sub\":\"\xff\"}"),
        signer.sign(&header, r#"{"exp":4000000000,"sub":"a","organization_id":"acme","organization_id":"other"}"#),
        signer.sign(&header, r#"{"exp":1e400,"sub":"a"}"#),
        signer.sign(&header, r#"{"exp":4000000000,"sub":"a","scope":["admin"]}"#),
        signer.sign(&header, r#"{"exp":4000000000,"sub":"a","permissions":"admin"}"#),
    ] {
        assert_eq!(refusal(&verify(&tokens(), &token)), Rejection::Malformed, "{token}");
    }
}

#[test]
fn a_token_longer_than_8_kib_is_refused_unread() {
    let padded = |length: usize| hs256(&json!({"padding": "x".repeat(length)}));
    assert!(verify(&tokens(), &padded(5800)).is_ok());
    for token in [padded(6200), "x".repeat(MAX_TOKEN_BYTES + 1), ".".repeat(1 << 20)] {
        assert_eq!(refusal(&verify(&tokens(), &token)), Rejection::TooLong);
    }
}

proptest! {
    #[test]
    fn a_token_with_any_bit_flipped_is_never_accepted(position in any::<prop::sample::Index>(), bit in 0..7_u8, kind in 0..3_usize) {
        let signer = [Signer::hs256, Signer::rs256, Signer::es256][kind]();
        let tokens = if kind == 0 { tokens() } else { tokens_of_set(&[signer.jwk(None)]) };
        let mut bytes = signer.token(None, &service_claims()).into_bytes();
        prop_assert!(verify(&tokens, std::str::from_utf8(&bytes).unwrap()).is_ok());
        // The lower seven bits, so that the token stays text.
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        prop_assert!(verify(&tokens, std::str::from_utf8(&bytes).unwrap()).is_err());
    }

    #[test]
    fn no_text_makes_the_check_panic(text in "\\PC{0,200}", parts in prop::array::uniform3(prop::collection::vec(any::<u8>(), 0..80))) {
        prop_assert!(verify(&tokens(), &text).is_err());
        prop_assert!(verify(&tokens(), &parts.map(encode).join(".")).is_err());
    }
}

// Configuration.

#[test]
fn a_configuration_without_keys_is_refused() {
    assert!(matches!(JwtTokens::new(config(vec![])), Err(JwtConfigError::NoKeys)));
}

#[test]
fn a_secret_shorter_than_its_hash_is_refused() {
    assert_eq!("short".parse::<Hs256Secret>().err(), Some(SecretTooShort));
    assert!("x".repeat(Hs256Secret::MIN_BYTES).parse::<Hs256Secret>().is_ok());
}

#[test]
fn nothing_secret_is_shown_by_debug() {
    let shown = format!("{:?} {:?}", config(vec![secret_source()]), tokens());
    assert!(!shown.contains("test-only") && !shown.contains("97, 32, 116"), "{shown}");
}

#[test]
fn two_verifiers_share_the_cryptography_of_the_process() {
    for _ in 0..2 {
        assert!(verify(&tokens(), &hs256(&json!({}))).is_ok());
    }
}

#[test]
fn a_key_file_is_read_at_the_start_or_refused() {
    let signer = Signer::es256();
    let path = std::env::temp_dir().join(format!("jwks-{}.json", std::process::id()));
    std::fs::write(&path, json!({"keys": [signer.jwk(Some("one"))]}).to_string()).unwrap();
    let open = || JwtTokens::new(config(vec![JwtKeySource::JwksFile(path.clone())]));
    assert!(verify(&open().unwrap(), &signer.token(Some("one"), &service_claims())).is_ok());
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(open(), Err(JwtConfigError::File { source: JwksError::Json(_), .. })));
    std::fs::write(&path, vec![b' '; MAX_JWKS_BYTES + 1]).unwrap();
    assert!(matches!(open(), Err(JwtConfigError::File { source: JwksError::TooLarge, .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(open(), Err(JwtConfigError::ReadFile { .. })));
}

#[test]
fn keys_of_a_set_that_cannot_be_used_are_left_out() {
    let with = |changes: Value| {
        let mut jwk = Signer::es256().jwk(None);
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        jwk
    };
    let long_coordinate = encode([1; 33]);
    for unusable in [
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
        json!("no key"),
        Signer::hs256().jwk(None),
        json!({"kty": "RSA", "n": encode([1; 128]), "e": "AQAB"}),
        json!({"kty": "RSA", "n": "***", "e": "AQAB"}),
        with(json!({"use": "enc"})),
        with(json!({"alg": "ES384"})),
        with(json!({"crv": "P-384"})),
        with(json!({"x": long_coordinate})),
        with(json!({"key_ops": ["sign"]})),
    ] {
        let set = |keys: Value| keys::parse_set(json!({"keys": keys}).to_string().as_bytes());
        assert!(matches!(set(json!([unusable])), Err(JwksError::NoUsableKey)), "{unusable}");
        let usable = with(json!({"use": "sig", "alg": "ES256", "key_ops": ["verify"], "x5t": "AA"}));
        assert_eq!(set(json!([unusable, usable])).unwrap().len(), 1, "{unusable}");
    }
}

#[test]
fn zeros_in_front_of_a_modulus_do_no_harm() {
    let signer = Signer::rs256();
    let mut jwk = signer.jwk(None);
    let modulus = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    jwk["n"] = encode([&[0], modulus.as_slice()].concat()).into();
    assert!(verify(&tokens_of_set(&[jwk]), &signer.token(None, &service_claims())).is_ok());
}

// Keys that an issuer publishes.

/// An issuer's server on loopback, whose answer tests change.
struct Issuer {
    url: JwksUrl,
    answer: Arc<Mutex<Answer>>,
    fetches: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Answer {
    Reply(u16, String),
    /// The head and half of the body, and then nothing.
    Stall,
    /// Not even a head.
    Silence,
}

/// Answers one request, if one comes.
fn serve(mut stream: &TcpStream, answer: &Mutex<Answer>, fetches: &AtomicUsize) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    if lines.by_ref().take_while(|line| !line.is_empty()).count() == 0 {
        return;
    }
    fetches.fetch_add(1, Ordering::SeqCst);
    let answer = answer.lock().unwrap().clone();
    // Writing fails when the client has seen enough and closed the connection.
    match answer {
        Answer::Reply(status, body) => {
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: {length}\r\n\r\n{body}").ok();
        }
        Answer::Stall => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{{\"keys\"").ok();
            lines.next();
        }
        Answer::Silence => {
            lines.next();
        }
    }
}

impl Issuer {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap()).parse().unwrap();
        let issuer = Self { url, answer: Arc::new(Mutex::new(answer)), fetches: Arc::default() };
        let (answer, fetches) = (Arc::clone(&issuer.answer), Arc::clone(&issuer.fetches));
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, fetches) = (Arc::clone(&answer), Arc::clone(&fetches));
                std::thread::spawn(move || serve(&stream.unwrap(), &answer, &fetches));
            }
        });
        issuer
    }

    fn publishing(keys: &[Value]) -> Self {
        Self::start(Answer::keys(keys))
    }

    fn now_answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn tokens(&self) -> JwtTokens {
        JwtTokens::new(config(vec![JwtKeySource::JwksUrl(self.url.clone())])).unwrap()
    }
}

impl Answer {
    fn keys(keys: &[Value]) -> Self {
        Self::Reply(200, json!({"keys": keys}).to_string())
    }
}

/// A token that is still good in an hour.
fn lasting(signer: &Signer, id: &str) -> String {
    signer.token(Some(id), &claims(&json!({"exp": NOW + 7200})))
}

#[tokio::test]
async fn published_keys_are_fetched_once_in_ten_minutes() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(&[signer.jwk(Some("one"))]);
    let tokens = issuer.tokens();
    assert_eq!(issuer.fetches(), 0);
    for (seconds, fetches) in [(0, 1), (1, 1), (599, 1), (600, 2), (1199, 2), (1200, 3)] {
        assert!(tokens.verify(&lasting(&signer, "one"), at(NOW + seconds)).await.is_ok());
        assert_eq!(issuer.fetches(), fetches, "{seconds}");
    }
}

#[tokio::test]
async fn an_unknown_key_id_fetches_at_most_twice_a_minute() {
    let (old, new) = (Signer::es256(), Signer::es256());
    let issuer = Issuer::publishing(&[old.jwk(Some("old"))]);
    let tokens = issuer.tokens();
    assert!(tokens.verify(&lasting(&old, "old"), at(NOW)).await.is_ok());
    for (seconds, fetches) in [(1, 1), (29, 1), (30, 2), (59, 2), (60, 3)] {
        assert_eq!(refusal(&tokens.verify(&lasting(&new, "new"), at(NOW + seconds)).await), Rejection::UnknownKey);
        assert_eq!(issuer.fetches(), fetches, "{seconds}");
    }
    issuer.now_answers(Answer::keys(&[new.jwk(Some("new"))]));
    assert!(tokens.verify(&lasting(&new, "new"), at(NOW + 90)).await.is_ok());
    assert_eq!(refusal(&tokens.verify(&lasting(&old, "old"), at(NOW + 91)).await), Rejection::UnknownKey);
    assert_eq!(issuer.fetches(), 4);
}

#[tokio::test]
async fn a_failed_fetch_keeps_the_old_keys() {
    let signer = Signer::es256();
    let too_large = format!("{{\"keys\":[],\"padding\":\"{}\"}}", "x".repeat(MAX_JWKS_BYTES));
    for answer in [
        Answer::Reply(500, String::new()),
        Answer::Reply(302, String::new()),
        Answer::Reply(200, "not JSON".into()),
        Answer::Reply(200, r#"{"keys":[]}"#.into()),
        Answer::Reply(200, too_large),
    ] {
        let issuer = Issuer::publishing(&[signer.jwk(Some("one"))]);
        let tokens = issuer.tokens();
        assert!(tokens.verify(&lasting(&signer, "one"), at(NOW)).await.is_ok());
        issuer.now_answers(answer);
        for (seconds, fetches) in [(600, 2), (629, 2), (630, 3)] {
            assert!(tokens.verify(&lasting(&signer, "one"), at(NOW + seconds)).await.is_ok());
            assert_eq!(issuer.fetches(), fetches, "{seconds}");
        }
        assert_eq!(refusal(&tokens.verify(&lasting(&signer, "two"), at(NOW + 660)).await), Rejection::UnknownKey);
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_is_not_refused() {
    let signer = Signer::es256();
    let issuer = Issuer::start(Answer::Reply(503, String::new()));
    let tokens = issuer.tokens();
    for (seconds, fetches) in [(0, 1), (4, 1), (5, 2)] {
        let error = tokens.verify(&lasting(&signer, "one"), at(NOW + seconds)).await.unwrap_err();
        assert!(matches!(error, TokenError::Unavailable(_)), "{error:?}");
        assert_eq!(issuer.fetches(), fetches, "{seconds}");
    }
    issuer.now_answers(Answer::keys(&[signer.jwk(Some("one"))]));
    assert!(tokens.verify(&lasting(&signer, "one"), at(NOW + 10)).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_hangs_does_not_hang_the_caller() {
    for answer in [Answer::Silence, Answer::Stall] {
        let issuer = Issuer::start(answer);
        let mut tokens = issuer.tokens();
        tokens.remote = vec![RemoteKeys::new(issuer.url.clone(), std::time::Duration::from_millis(50))];
        let error = tokens.verify(&lasting(&Signer::es256(), "one"), at(NOW)).await.unwrap_err();
        assert!(matches!(error, TokenError::Unavailable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn callers_that_come_at_once_make_one_fetch() {
    let signer = Signer::es256();
    let issuer = Issuer::publishing(&[signer.jwk(Some("one"))]);
    let tokens = issuer.tokens();
    let (known, unknown) = (lasting(&signer, "one"), lasting(&signer, "two"));
    // Nothing is known at first, one id is unknown later, and at last everything is old.
    for (token, seconds, fetches) in [(&known, 0, 1), (&unknown, 60, 2), (&known, 700, 3)] {
        let results = join_all((0..50).map(|_| tokens.verify(token, at(NOW + seconds)))).await;
        assert_eq!(results.iter().all(Result::is_ok), *token == known);
        assert_eq!(issuer.fetches(), fetches, "{seconds}");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_blocks_nobody() {
    let signer = Signer::es256();
    let issuer = Issuer::start(Answer::Silence);
    let tokens = issuer.tokens();
    let token = lasting(&signer, "one");
    // Polled once: it has begun to fetch and holds the turn.
    assert!(tokens.verify(&token, at(NOW)).now_or_never().is_none());
    issuer.now_answers(Answer::keys(&[signer.jwk(Some("one"))]));
    assert!(tokens.verify(&token, at(NOW + 5)).await.is_ok());
}

#[tokio::test]
async fn a_shared_secret_is_never_looked_for_at_the_issuer() {
    let issuer = Issuer::publishing(&[Signer::hs256().jwk(Some("one")), Signer::es256().jwk(Some("two"))]);
    let tokens = issuer.tokens();
    assert_eq!(refusal(&tokens.verify(&lasting(&Signer::hs256(), "one"), at(NOW)).await), Rejection::UnknownKey);
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test]
async fn several_issuers_are_asked_until_one_knows_the_key() {
    let (one, two) = (Signer::es256(), Signer::rs256());
    let down = Issuer::start(Answer::Reply(500, String::new()));
    let issuer = Issuer::publishing(&[one.jwk(Some("one")), two.jwk(Some("two"))]);
    let sources = [&down, &issuer].map(|issuer| JwtKeySource::JwksUrl(issuer.url.clone()));
    let tokens = JwtTokens::new(config([sources.as_slice(), &[secret_source()]].concat())).unwrap();
    assert!(tokens.verify(&lasting(&two, "two"), at(NOW)).await.is_ok());
    assert!(tokens.verify(&lasting(&Signer::hs256(), "any"), at(NOW)).await.is_ok());
    // The key may be one of the issuer that is down.
    let error = tokens.verify(&lasting(&one, "three"), at(NOW)).await.unwrap_err();
    assert!(matches!(error, TokenError::Unavailable(_)), "{error:?}");
}
