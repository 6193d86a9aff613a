//! Keys, each with the one algorithm that it may be used for, and key sets (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ports::token_verifier::Rejection;

/// The most bytes that a key set may have.
pub(super) const MAX_JWKS_BYTES: usize = 1024 * 1024;
/// The most keys that are taken from a set: a token without `kid` is checked against every one.
const MAX_KEYS: usize = 64;
/// The bytes of a coordinate of P-256.
const P256_COORDINATE: usize = 32;
/// The sizes of RSA moduli that ring verifies with, 2048 to 8192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The algorithms that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyAlgorithm {
    Hs256,
    Rs256,
    Es256,
}

impl KeyAlgorithm {
    const ALL: [Self; 3] = [Self::Hs256, Self::Rs256, Self::Es256];

    const fn name(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
        }
    }

    /// The algorithm that a token names, if it is accepted.
    pub(super) fn of(name: Algorithm) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// What a token says about its key.
pub(super) struct Wanted<'a> {
    pub(super) algorithm: KeyAlgorithm,
    pub(super) id: Option<&'a str>,
}

/// A trusted key. Its `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: KeyAlgorithm,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self::new(None, KeyAlgorithm::Hs256, DecodingKey::from_secret(secret))
    }

    fn new(id: Option<String>, algorithm: KeyAlgorithm, decoding: DecodingKey) -> Self {
        // The library is left the form, the algorithm and the signature. It reads the system's clock for times, and it takes a
        // token without `iss` or `aud` for a match; both are checked with the claims.
        let mut validation = Validation::new(algorithm.name());
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { id, algorithm, decoding, validation }
    }

    /// Whether the key may have signed such a token. A key or a token without an id leaves it to the signature.
    pub(super) fn fits(&self, wanted: &Wanted<'_>) -> bool {
        self.algorithm == wanted.algorithm
            && match (&self.id, wanted.id) {
                (Some(id), Some(wanted)) => id == wanted,
                (None, _) | (_, None) => true,
            }
    }

    /// The claims, if this key signed them.
    pub(super) fn decode<C: DeserializeOwned>(&self, token: &str) -> Result<C, Error> {
        jsonwebtoken::decode(token, &self.decoding, &self.validation).map(|data| data.claims)
    }
}

/// What the library's error says about the token.
pub(super) fn rejection(error: &Error) -> Rejection {
    if matches!(error.kind(), ErrorKind::InvalidSignature) {
        Rejection::Signature
    } else if matches!(error.kind(), ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm) {
        Rejection::Algorithm
    } else {
        Rejection::Malformed
    }
}

/// Why a text is no key set.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Larger than any honest key set.
    #[error("it is larger than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    /// Not the JSON of a key set.
    #[error("it is not a JSON web key set")]
    Json(#[source] serde_json::Error),
    /// None of its keys is for RS256 or ES256 signatures.
    #[error("it holds no key for RS256 or ES256")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct JwkSet {
    /// One by one, so that a key of an unknown kind does not spoil the others (RFC 7517, 5).
    keys: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "RSA")]
    Rsa {
        n: String,
        e: String,
        #[serde(flatten)]
        common: Common,
    },
    #[serde(rename = "EC")]
    Ec {
        crv: String,
        x: String,
        y: String,
        #[serde(flatten)]
        common: Common,
    },
}

#[derive(Deserialize)]
struct Common {
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
}

impl Common {
    /// Whether the key's owner allows to check signatures of `algorithm` with it.
    fn allows(&self, algorithm: &str) -> bool {
        self.alg.as_deref().is_none_or(|alg| alg == algorithm)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_deref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"))
    }
}

impl Jwk {
    /// The key, if it is one that is accepted. Shared secrets (`oct`) in a set never are: a set is public.
    fn into_key(self) -> Option<Key> {
        match self {
            Self::Rsa { n, e, common } => {
                let modulus = unsigned(&n)?;
                let usable = common.allows("RS256") && RSA_MODULUS_BYTES.contains(&modulus.len());
                let key = DecodingKey::from_rsa_raw_components(&modulus, &unsigned(&e)?);
                usable.then(|| Key::new(common.kid, KeyAlgorithm::Rs256, key))
            }
            Self::Ec { crv, x, y, common } => {
                let fits = |coordinate: &str| URL_SAFE_NO_PAD.decode(coordinate).is_ok_and(|bytes| bytes.len() == P256_COORDINATE);
                let usable = common.allows("ES256") && crv == "P-256" && fits(&x) && fits(&y);
                let key = DecodingKey::from_ec_components(&x, &y).ok()?;
                usable.then(|| Key::new(common.kid, KeyAlgorithm::Es256, key))
            }
        }
    }
}

/// The bytes of a number. Some issuers pad it with zeros in front, which ring refuses.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Some(bytes.get(zeros..)?.to_vec())
}

/// The usable keys of a key set.
pub(super) fn parse_set(json: &[u8]) -> Result<Vec<Key>, JwksError> {
    if json.len() > MAX_JWKS_BYTES {
        return Err(JwksError::TooLarge);
    }
    let set: JwkSet = serde_json::from_slice(json).map_err(JwksError::Json)?;
    let offered = set.keys.len();
    let keys: Vec<Key> =
        set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()?.into_key()).take(MAX_KEYS).collect();
    if keys.is_empty() {
        return Err(JwksError::NoUsableKey);
    }
    tracing::debug!(offered, usable = keys.len(), "read a key set");
    Ok(keys)
}
