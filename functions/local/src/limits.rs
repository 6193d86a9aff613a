//! How much one sender may have collected: what API Gateway's throttling is on AWS.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use lambda_http::Request;
use shared::domain::access::KeyDigest;
use shared::http::collect::{source_ip, write_key};

/// Whoever sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Sender {
    Address(IpAddr),
    Key(KeyDigest),
}

/// How many requests a second one address, and one key, may send to collectors.
pub struct RateLimits {
    limiter: RateLimiter<Sender, HashMapStateStore<Sender>, DefaultClock>,
    asked: AtomicU32,
}

/// After how many requests those are forgotten who have sent nothing lately.
const FORGET_EVERY: u32 = 10_000;

impl RateLimits {
    /// So many requests a second, and twice as many at once.
    #[must_use]
    pub fn per_second(requests: NonZeroU32) -> Self {
        let quota = Quota::per_second(requests).allow_burst(requests.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        Self { limiter: RateLimiter::hashmap(quota), asked: AtomicU32::new(0) }
    }

    /// Whether a request is taken; else, how many seconds its sender has to wait.
    ///
    /// # Errors
    /// The seconds to wait, at least one.
    pub fn check(&self, request: &Request) -> Result<(), u64> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        let address = source_ip(request).map(Sender::Address);
        let key = write_key::in_head(request).ok().map(|key| Sender::Key(key.digest()));
        for sender in [address, key].into_iter().flatten() {
            if let Err(refused) = self.limiter.check_key(&sender) {
                return Err(refused.wait_time_from(DefaultClock::default().now()).as_secs() + 1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
    use lambda_http::request::RequestContext;

    use super::*;

    fn request(address: &str, key: Option<&str>) -> Request {
        use lambda_http::RequestExt as _;
        let builder = key.iter().fold(lambda_http::http::Request::builder(), |builder, key| builder.header("x-api-key", *key));
        let mut context = ApiGatewayV2httpRequestContext::default();
        context.http.source_ip = Some(address.to_owned());
        builder.body(Body::Empty).unwrap().with_request_context(RequestContext::ApiGatewayV2(context))
    }

    #[test]
    fn one_address_or_one_key_has_its_share_and_others_have_theirs() {
        let limits = RateLimits::per_second(NonZeroU32::new(1).unwrap());
        let answers = |address: &str, key: Option<&str>| [0; 3].map(|_| limits.check(&request(address, key)).is_ok());
        assert_eq!(answers("203.0.113.1", None), [true, true, false]);
        assert_eq!(answers("203.0.113.2", Some("evk_1")), [true, true, false]);
        assert_eq!(limits.check(&request("203.0.113.3", Some("evk_1"))), Err(1));
        assert_eq!(limits.check(&request("203.0.113.4", Some("evk_2"))), Ok(()));
    }
}
