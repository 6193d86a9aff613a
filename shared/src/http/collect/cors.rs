//! What browsers need to hear before pages of other origins may send events.

use lambda_http::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use lambda_http::{Body, Response};

use super::settings::AllowedOrigins;

/// How long a browser may remember that a page may send: a day.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
/// What the SDKs send, for a browser that does not say what it wants to.
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, content-encoding, anonymousid, x-request-id");
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");
/// The most bytes of a list of headers that is allowed as it was asked for.
const MOST_HEADERS: usize = 512;

/// Tells the browser that the page which sent this request may, if it may. Requests of others are answered all the same: they have
/// been sent, and their pages are told nothing.
pub fn allow(origins: &AllowedOrigins, request: &HeaderMap, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    let origin = request.get(ORIGIN);
    let allowed = match origins {
        AllowedOrigins::Any => Some(HeaderValue::from_static("*")),
        AllowedOrigins::Only(known) => {
            headers.insert(VARY, HeaderValue::from_static("origin"));
            origin.filter(|origin| known.iter().any(|known| known.as_bytes() == origin.as_bytes())).cloned()
        }
    };
    if let Some(allowed) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// Answers a browser's question whether a page may send what it wants to.
pub fn allow_preflight(origins: &AllowedOrigins, request: &HeaderMap, response: &mut Response<Body>) {
    allow(origins, request, response);
    let headers = response.headers_mut();
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| asked.len() <= MOST_HEADERS).cloned();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &str, origin: &str) -> Option<String> {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        let mut response = Response::new(Body::Empty);
        allow_preflight(&origins.parse().unwrap_or(AllowedOrigins::Any), &request, &mut response);
        let headers = response.headers();
        assert_eq!(headers.contains_key(ACCESS_CONTROL_MAX_AGE), headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_page_may_send_if_its_origin_is_one_of_those_that_may() {
        assert_eq!(allowed("*", "https://any.example"), Some("*".to_owned()));
        let two = "https://a.example,https://b.example";
        assert_eq!(allowed(two, "https://b.example"), Some("https://b.example".to_owned()));
        for other in ["https://c.example", "null", "http://a.example", "https://a.example.evil.example"] {
            assert_eq!(allowed(two, other), None, "{other}");
        }
    }
}
