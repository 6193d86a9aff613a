//! Bodies as clumsy clients send them: compressed in this way or that, or not quite text.

use std::borrow::Cow;
use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use lambda_http::Request;
use lambda_http::http::header::CONTENT_ENCODING;

use crate::http::problem::{Problem, ProblemKind};

/// A body as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BodyText<'a> {
    /// The text. It may still be no JSON.
    pub(super) text: Cow<'a, str>,
    /// Whether it had to be mended: see [`mended`].
    pub(super) repaired: bool,
}

/// The most encodings, one around the other.
const MOST_ENCODINGS: usize = 2;
/// What gzip starts with: some clients compress and do not say so.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The memory that unpacking brotli takes at a time.
const BUFFER: usize = 4096;

/// The body, unpacked, as text that JSON can be read from.
///
/// # Errors
/// Those of [`body_bytes`].
pub(super) fn body_text(request: &Request, most: usize) -> Result<BodyText<'_>, Problem> {
    Ok(match body_bytes(request, most)? {
        Cow::Borrowed(bytes) => mended(bytes),
        Cow::Owned(bytes) => {
            let BodyText { text, repaired } = mended(&bytes);
            BodyText { text: Cow::Owned(text.into_owned()), repaired }
        }
    })
}

/// The body, unpacked.
///
/// # Errors
/// [`ProblemKind::TooLarge`] for more than `most` bytes, packed or unpacked; [`ProblemKind::Invalid`] if it cannot be unpacked.
pub(super) fn body_bytes(request: &Request, most: usize) -> Result<Cow<'_, [u8]>, Problem> {
    let bytes: &[u8] = request.body().as_ref();
    if bytes.len() > most {
        return Err(too_large(most));
    }
    let header = request.headers().get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut encodings: Vec<String> =
        header.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect();
    encodings.retain(|name| name != "identity");
    if encodings.len() > MOST_ENCODINGS {
        return Err(Problem::new(
            ProblemKind::Invalid,
            format!("the body is encoded {} times; {MOST_ENCODINGS} are understood", encodings.len()),
        ));
    }
    let mut unpacked = Cow::Borrowed(bytes);
    for encoding in encodings.iter().rev() {
        // Some clients say so and do not compress.
        if unpacked.first().is_some_and(|byte| b"{[".contains(byte)) {
            break;
        }
        unpacked = Cow::Owned(unpack(encoding, &unpacked, most)?);
    }
    if unpacked.starts_with(&GZIP) {
        unpacked = Cow::Owned(unpack("gzip", &unpacked, most)?);
    }
    Ok(unpacked)
}

fn too_large(most: usize) -> Problem {
    Problem::new(ProblemKind::TooLarge, format!("the request has more than {most} bytes, which is the most that one may have"))
}

fn unpack(encoding: &str, packed: &[u8], most: usize) -> Result<Vec<u8>, Problem> {
    let read = match encoding {
        "gzip" | "x-gzip" => read_all(MultiGzDecoder::new(packed), most),
        // The name stands for zlib; some clients send the bare stream.
        "deflate" => match read_all(ZlibDecoder::new(packed), most) {
            Ok(bytes) => Ok(bytes),
            Err(_) => read_all(DeflateDecoder::new(packed), most),
        },
        "br" => read_all(Decompressor::new(packed, BUFFER), most),
        other => {
            let shown: String = other.chars().take(40).collect();
            let detail = format!("the content encoding {shown} is not understood: gzip, deflate and br are");
            return Err(Problem::new(ProblemKind::Invalid, detail));
        }
    };
    match read {
        Ok(bytes) if bytes.len() > most => Err(too_large(most)),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(Problem::new(ProblemKind::Invalid, format!("the body is not {encoding}: {error}"))),
    }
}

/// Everything that there is to read, up to one byte more than `most`: a small body may unpack to any size.
fn read_all(reader: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What stands for a character that cannot be kept.
const REPLACEMENT: &str = "\\ufffd";

/// The text of these bytes, mended: what is no UTF-8, NULs and the halves of surrogate pairs become U+FFFD. A byte order mark is
/// left out.
pub(super) fn mended(bytes: &[u8]) -> BodyText<'_> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let lossy = matches!(text, Cow::Owned(_));
    // Most bodies have neither.
    if !text.contains('\0') && !text.contains("\\u") {
        return BodyText { text, repaired: lossy };
    }
    let mut mended = String::with_capacity(text.len());
    let mut repaired = lossy;
    let mut rest: &str = &text;
    while let Some(at) = rest.find(['\\', '\0']) {
        let (before, from) = rest.split_at(at);
        mended.push_str(before);
        if let Some(after) = from.strip_prefix('\0') {
            mended.push(char::REPLACEMENT_CHARACTER);
            repaired = true;
            rest = after;
            continue;
        }
        let taken = match unicode_escape(from) {
            Some(0xd800..=0xdbff) if unicode_escape(&from[6..]).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) => Escape::Good(12),
            Some(0 | 0xd800..=0xdfff) => Escape::Bad,
            Some(_) => Escape::Good(6),
            // A backslash, and whatever it stands before.
            None => Escape::Good(1 + from[1..].chars().next().filter(|next| *next != '\0').map_or(0, char::len_utf8)),
        };
        match taken {
            Escape::Good(length) => {
                mended.push_str(&from[..length]);
                rest = &from[length..];
            }
            Escape::Bad => {
                mended.push_str(REPLACEMENT);
                repaired = true;
                rest = &from[6..];
            }
        }
    }
    mended.push_str(rest);
    BodyText { text: Cow::Owned(mended), repaired }
}

enum Escape {
    /// It stands for itself, in so many bytes.
    Good(usize),
    /// Its six bytes stand for nothing that can be kept.
    Bad,
}

/// The code of the escape `\uXXXX` that a text starts with.
fn unicode_escape(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use lambda_http::Body;
    use proptest::prelude::*;

    use super::*;

    fn request(encoding: Option<&str>, body: &[u8]) -> Request {
        let builder =
            encoding.iter().fold(lambda_http::http::Request::builder(), |builder, encoding| builder.header(CONTENT_ENCODING, *encoding));
        builder.body(Body::Binary(body.to_vec())).unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text(encoding: Option<&str>, body: &[u8]) -> Result<String, ProblemKind> {
        body_text(&request(encoding, body), 1000).map(|body| body.text.into_owned()).map_err(|problem| problem.kind())
    }

    /// `{"a":1}`, by the reference implementation of brotli.
    const BROTLI: &[u8] = &[0x0b, 0x03, 0x80, 0x7b, 0x22, 0x61, 0x22, 0x3a, 0x31, 0x7d, 0x03];

    /// Fifty million spaces, by the reference implementation of brotli.
    const BROTLI_BOMB: &[u8] = &[
        0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x25, 0x40, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff, 0x7f, 0xf0, 0x4b, 0x00, 0xc4, 0x61,
        0x11, 0x80, 0xee, 0xfd, 0x1f, 0xff, 0xff, 0xff, 0xe0, 0x97, 0x00, 0x88, 0xc3, 0x02, 0x00, 0xdd, 0xfb, 0x3f, 0xfe, 0xff, 0xff, 0xc1,
        0x2f, 0x01, 0x10, 0x87, 0x05, 0x00, 0xba, 0xf7, 0x7f, 0xfc, 0xff, 0xff, 0x83, 0x5f, 0x02, 0x20, 0x0e, 0x0b, 0x00, 0x74, 0xef, 0xff,
        0xf2, 0x0f, 0x5e, 0x0f, 0xbf, 0x04, 0x40, 0x1c, 0x16, 0x00, 0xe8, 0xa0, 0xeb, 0x01,
    ];

    #[test]
    fn a_body_is_unpacked_whether_or_not_it_says_how_it_is_packed() {
        let json = br#"{"a":1}"#;
        for (encoding, body) in [
            (None, json.to_vec()),
            (None, gzip(json)),
            (Some("identity"), json.to_vec()),
            (Some("gzip"), gzip(json)),
            (Some("GZIP"), gzip(json)),
            (Some("gzip"), json.to_vec()),
            (Some("gzip, gzip"), gzip(&gzip(json))),
            (Some("deflate"), zlib(json)),
            (Some("deflate"), deflate(json)),
            (Some("br"), BROTLI.to_vec()),
        ] {
            assert_eq!(text(encoding, &body), Ok(r#"{"a":1}"#.to_owned()), "{encoding:?}");
        }
        for (encoding, body) in
            [("gzip", &b"\0\0"[..]), ("br", b"\xff\xff"), ("deflate", b"\xff\xff"), ("zstd", b"x"), ("gzip,gzip,gzip", b"x")]
        {
            assert_eq!(text(Some(encoding), body), Err(ProblemKind::Invalid), "{encoding}");
        }
    }

    #[test]
    fn a_bomb_is_too_large_before_it_is_unpacked() {
        let spaces = vec![b' '; 50_000_000];
        let bomb = gzip(&spaces);
        for (encoding, body) in [
            (None, bomb.clone()),
            (Some("gzip"), bomb.clone()),
            (Some("gzip, gzip"), gzip(&bomb)),
            (Some("deflate"), zlib(&spaces)),
            (Some("deflate"), deflate(&spaces)),
            (Some("br"), BROTLI_BOMB.to_vec()),
            (Some("br, gzip"), gzip(BROTLI_BOMB)),
        ] {
            let problem = body_text(&request(encoding, &body), 100_000).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::TooLarge, "{encoding:?}");
        }
        assert_eq!(text(None, &[b' '; 1001]), Err(ProblemKind::TooLarge));
    }

    #[test]
    fn what_cannot_be_kept_is_replaced_and_that_is_said() {
        for (sent, expected, repaired) in [
            (&br#"{"a":"b"}"#[..], r#"{"a":"b"}"#, false),
            (b"\xef\xbb\xbf{}", "{}", false),
            (br#""\ud83d\ude00 \u00e9 \\ud800 \\\\""#, r#""\ud83d\ude00 \u00e9 \\ud800 \\\\""#, false),
            (br#""\ud83d""#, r#""\ufffd""#, true),
            (br#""\ude00\ud83dx\ud83d\u0041""#, r#""\ufffd\ufffdx\ufffd\u0041""#, true),
            (br#""a\u0000b""#, r#""a\ufffdb""#, true),
            (b"\"a\0b\"", "\"a\u{fffd}b\"", true),
            (b"\"\xff\"", "\"\u{fffd}\"", true),
            (br#""\u12""#, r#""\u12""#, false),
            (b"\\", "\\", false),
            ("\\é\\u".as_bytes(), "\\é\\u", false),
        ] {
            assert_eq!(mended(sent), BodyText { text: expected.into(), repaired }, "{}", String::from_utf8_lossy(sent));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_mended_to_text_and_once_mended_stay_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let once = mended(&bytes).text.into_owned();
            prop_assert_eq!(mended(once.as_bytes()), BodyText { text: once.as_str().into(), repaired: false });
        }

        #[test]
        fn any_text_with_escapes_is_mended_to_what_parses(parts in prop::collection::vec(prop::sample::select(vec!["\\ud800", "\\udfff", "\\u0000", "\\u0041", "a", "\\\\", "\\n", "\\\""]), 0..12)) {
            let json = format!("\"{}\"", parts.concat());
            let mended = mended(json.as_bytes()).text.into_owned();
            let text: String = serde_json::from_str(&mended).unwrap();
            prop_assert!(!text.contains('\0'));
        }

        #[test]
        fn no_packed_bytes_are_worse_than_invalid(encoding in prop::sample::select(vec!["gzip", "deflate", "br"]), bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            if let Err(problem) = body_text(&request(Some(encoding), &bytes), 4096) {
                prop_assert!(matches!(problem.kind(), ProblemKind::Invalid | ProblemKind::TooLarge));
            }
        }
    }
}
