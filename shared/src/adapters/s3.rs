//! Objects on S3: three requests, signed by the SDK's own signer and sent by its own client. The whole SDK for S3 would add a megabyte to
//! every function that reads events.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use super::aws::Connection;
use super::system::{SystemClock, SystemTimer};
use crate::domain::archive::ObjectKey;
use crate::domain::timestamp::Timestamp;
use crate::ports::clock::Clock as _;
use crate::ports::object_store::{ObjectStore, ObjectStoreError};
use crate::ports::timer::Timer as _;

/// How long to wait for a connection, and for the head of an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before each further attempt.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(800)];
/// How much is kept of what S3 says when it refuses.
const REASON_CHARACTERS: usize = 200;

/// Objects in a bucket.
#[derive(Debug)]
pub struct S3Objects {
    region: String,
    credentials: Credentials,
    /// What comes before the key: the bucket's own host, or a path at another endpoint.
    base: String,
    is_plain: bool,
    /// Built at the first call, because it reads the system's certificates.
    connector: OnceLock<Connector>,
}

/// A request that is tried until it is answered.
struct Asked<'a> {
    method: &'static str,
    key: &'a ObjectKey,
    range: Option<Range<u64>>,
    body: &'a [u8],
}

/// An answer that says something of the object.
enum Answered {
    Found(Vec<u8>),
    Missing,
}

/// Why an attempt was in vain.
enum Failure {
    /// Another may help.
    Passing(Box<dyn std::error::Error + Send + Sync>),
    Final(ObjectStoreError),
}

impl S3Objects {
    /// The objects in a bucket, whose name is a part of a host's name, or of a path at another endpoint.
    #[must_use]
    pub fn new(connection: Connection, bucket: &str) -> Self {
        let Connection { region, endpoint, credentials } = connection;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let own_host = || format!("https://{bucket}.s3.{region}.{domain}");
        let base = endpoint.map_or_else(own_host, |endpoint| format!("{}/{bucket}", endpoint.trim_end_matches('/')));
        Self { region, credentials, is_plain: base.starts_with("http:"), base, connector: OnceLock::new() }
    }

    async fn ask(&self, asked: &Asked<'_>) -> Result<Answered, ObjectStoreError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            match self.attempt(asked).await {
                Ok(answered) => return Ok(answered),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error)) => match pauses.next() {
                    Some(pause) => SystemTimer.wait_until(SystemClock.now().plus(pause)).await,
                    None => return Err(ObjectStoreError::Unavailable(error)),
                },
            }
        }
    }

    async fn attempt(&self, asked: &Asked<'_>) -> Result<Answered, Failure> {
        let request = self.signed(asked, SystemClock.now()).map_err(|error| Failure::Final(ObjectStoreError::Unavailable(error)))?;
        let exchange = async {
            let response = self.connector().call(request).await.map_err(|error| Failure::Passing(error.into()))?;
            let status = response.status().as_u16();
            let body = ByteStream::new(response.into_body()).collect().await.map_err(|error| Failure::Passing(error.into()))?;
            Ok((status, body.to_vec()))
        };
        let exchanged = tokio::time::timeout(EXCHANGE_TIMEOUT, exchange).await.map_err(|slow| Failure::Passing(slow.into()))?;
        let (status, body) = exchanged?;
        let refused = || {
            let reason = String::from_utf8_lossy(&body).chars().take(REASON_CHARACTERS).collect();
            ObjectStoreError::Refused { status, reason }
        };
        match status {
            200 | 206 => Ok(Answered::Found(body)),
            404 => Ok(Answered::Missing),
            // Too fast, or a failure on that side. A 403 may be a clock that was set.
            408 | 429 | 500..=599 => Err(Failure::Passing(refused().into())),
            _ => Err(Failure::Final(refused())),
        }
    }

    /// The request, with the signature of its head and of its body.
    fn signed(&self, asked: &Asked<'_>, now: Timestamp) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let identity = self.credentials.clone().into();
        let time = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.millis())?);
        let params = v4::SigningParams::builder().identity(&identity).region(&self.region).name("s3").time(time).settings(settings);
        let params = params.build()?.into();
        // `=` is the one character of keys that a path's canonical form has otherwise.
        let url = format!("{}/{}", self.base, asked.key.as_str().replace('=', "%3D"));
        let range = asked.range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let headers = range.iter().map(|range| ("range", range.as_str()));
        let signable = SignableRequest::new(asked.method, &url, headers, SignableBody::Bytes(asked.body))?;
        let (instructions, _signature) = sign(signable, &params)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(asked.body.to_vec()));
        request.set_method(asked.method)?;
        request.set_uri(url)?;
        let headers = request.headers_mut();
        if let Some(range) = range {
            headers.try_insert("range", range)?;
        }
        for (name, value) in instructions.headers() {
            headers.try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }

    fn connector(&self) -> &Connector {
        self.connector.get_or_init(|| {
            let timeouts = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(HEAD_TIMEOUT).build();
            let builder = Connector::builder().connector_settings(timeouts);
            if self.is_plain { builder.build_http() } else { builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build() }
        })
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        let wanted = range.as_ref().map(|range| range.end.saturating_sub(range.start));
        match self.ask(&Asked { method: "GET", key, range, body: &[] }).await? {
            Answered::Missing => Ok(None),
            Answered::Found(bytes) if wanted.is_none_or(|wanted| wanted == bytes.len() as u64) => Ok(Some(bytes)),
            Answered::Found(bytes) => {
                Err(ObjectStoreError::Refused { status: 206, reason: format!("{} bytes are not those that were asked for", bytes.len()) })
            }
        }
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<(), ObjectStoreError> {
        match self.ask(&Asked { method: "PUT", key, range: None, body: &bytes }).await? {
            Answered::Found(_) => Ok(()),
            Answered::Missing => Err(ObjectStoreError::Refused { status: 404, reason: "there is no such bucket".to_owned() }),
        }
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        self.read(key, None).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        self.read(key, Some(range)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one in S3's reference, "Signature Calculations for the Authorization Header", "GET Object".
    #[test]
    fn a_request_is_signed_as_the_example_of_the_reference_is() {
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, None, "example");
        let mut objects = S3Objects::new(Connection::new("us-east-1".to_owned(), None, credentials), "examplebucket");
        assert_eq!(objects.base, "https://examplebucket.s3.us-east-1.amazonaws.com");
        objects.base = "https://examplebucket.s3.amazonaws.com".to_owned();
        let key = "test.txt".parse().unwrap();
        let asked = Asked { method: "GET", key: &key, range: Some(0..10), body: &[] };
        let request = objects.signed(&asked, Timestamp::parse("2013-05-24T00:00:00Z").unwrap()).unwrap();
        assert_eq!(request.uri(), "https://examplebucket.s3.amazonaws.com/test.txt");
        assert_eq!(request.headers().get("range"), Some("bytes=0-9"));
        let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let signed = request.headers().get("authorization").unwrap();
        assert!(signed.contains("SignedHeaders=host;range;x-amz-content-sha256;x-amz-date"), "{signed}");
        assert!(signed.ends_with(signature), "{signed}");
        assert!(!format!("{objects:?}").contains("wJalr"), "{objects:?}");
    }
}
