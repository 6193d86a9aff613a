//! Events in the address of a picture, for mails and pages without scripts.

use std::future::Future;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use lambda_http::Request;
use lambda_http::http::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::mended;
use crate::http::problem::Problem;
use crate::http::request::query_parameters;
use crate::http::respond::Answer;
use crate::telemetry::Chain;

/// The smallest picture: one transparent point.
pub const GIF: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Where parameters go that an event has no field for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Into its `data`.
    Data,
    /// Into its `properties`, as analytics SDKs have it.
    Properties,
}

impl Others {
    const fn member(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Properties => "properties",
        }
    }

    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Data => &["event_type", "category", "page_url", "user_id", "session_id", "timestamp", "message_id"],
            Self::Properties => &[
                "event",
                "name",
                "category",
                "userId",
                "anonymousId",
                "messageId",
                "originalTimestamp",
                "timestamp",
                "sentAt",
                "type",
                "channel",
            ],
        }
    }
}

/// The picture, for a mail or a page that shows it whatever becomes of the event. Who asks for its head only does not look at it:
/// `collecting` is not begun then.
pub async fn answer<T>(request: &Request, collecting: impl Future<Output = Result<T, Problem>>) -> Answer {
    if request.method() != Method::HEAD
        && let Err(problem) = collecting.await
        && let Some(cause) = problem.cause()
    {
        tracing::error!(error = %Chain(cause), "an event of a picture was not taken in");
    }
    Answer::gif(GIF)
}

/// The event that the address of a picture describes: its parameter `data`, JSON in base64, or its other parameters.
///
/// # Errors
/// None that a client can cause.
pub fn event(request: &Request, others: Others) -> Result<Box<RawValue>, Problem> {
    let parameters = query_parameters(request);
    let encoded = parameters.get("data").map(|data| data.replace(' ', "+"));
    let decoded = encoded.and_then(|data| STANDARD.decode(&data).or_else(|_| URL_SAFE.decode(&data)).ok());
    if let Some(json) = decoded.and_then(|bytes| RawValue::from_string(mended(&bytes).text.trim().to_owned()).ok()) {
        return Ok(json);
    }
    let (mut event, mut rest) = (Map::new(), Map::new());
    for (name, value) in parameters {
        if name == "writeKey" {
            continue;
        }
        let value = Value::String(value.replace('\0', "\u{fffd}"));
        if others.fields().contains(&name.as_str()) {
            event.insert(name, value);
        } else {
            let name = name.strip_prefix(others.member()).and_then(|name| name.strip_prefix('.')).map_or(name.clone(), str::to_owned);
            rest.insert(name, value);
        }
    }
    event.insert(others.member().to_owned(), Value::Object(rest));
    if others == Others::Data && !event.contains_key("event_type") {
        event.insert("event_type".to_owned(), "page_view".into());
        event.entry("category").or_insert_with(|| "page_view".into());
    }
    serde_json::value::to_raw_value(&event).map_err(Problem::mistake)
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;
    use serde_json::json;

    use super::*;

    fn read(query: &str, others: Others) -> Value {
        let request = lambda_http::http::Request::builder().uri(format!("/pixel?{query}")).body(Body::Empty).unwrap();
        serde_json::from_str(event(&request, others).unwrap().get()).unwrap()
    }

    #[test]
    fn parameters_are_an_event() {
        assert_eq!(
            read("user_id=u1&campaign=spring&data.x=1", Others::Data),
            json!({"event_type": "page_view", "category": "page_view", "user_id": "u1", "data": {"campaign": "spring", "x": "1"}})
        );
        assert_eq!(
            read("writeKey=evk&anonymousId=a&event=Opened&properties.mail=7", Others::Properties),
            json!({"anonymousId": "a", "event": "Opened", "properties": {"mail": "7"}})
        );
    }

    #[test]
    fn a_parameter_may_hold_the_whole_event() {
        // {"event_type":"a?>"} has both characters in which the alphabets differ.
        for data in ["eyJldmVudF90eXBlIjoiYT8+In0=", "eyJldmVudF90eXBlIjoiYT8-In0", "eyJldmVudF90eXBlIjoiYT8%2BIn0%3D"] {
            assert_eq!(read(&format!("data={data}"), Others::Data), json!({"event_type": "a?>"}), "{data}");
        }
        assert_eq!(read("data=nonsense", Others::Data)["data"], json!({"data": "nonsense"}));
    }

    #[test]
    fn the_picture_is_one() {
        assert_eq!((&GIF[..6], GIF.len(), GIF.last()), (&b"GIF89a"[..], 43, Some(&b';')));
    }
}
