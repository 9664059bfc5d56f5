//! W3C Trace Context: the trace that a request is part of, as its sender reports it.

use std::fmt;

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of a trace, shown as 32 hexadecimal digits. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// From big-endian bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// As big-endian bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// The `traceparent` header of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    /// The sender's span. Never zero.
    pub span_id: u64,
    /// Whether the sender may have recorded its span.
    pub sampled: bool,
}

impl TraceParent {
    /// From these headers, when there is exactly one and it is valid. All others are ignored, as the
    /// specification demands.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let value = values.next()?;
        match values.next() {
            None => Self::parse(value.as_bytes()),
            Some(_) => None,
        }
    }

    /// Reads `VERSION-TRACE-PARENT-FLAGS`. A later version may have more fields after another dash.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(55)?;
        let mut fields = known.split(|byte| *byte == b'-');
        let mut next = |length| hexadecimal(fields.next().filter(|field| field.len() == length)?);
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let ends_well = more.is_empty() || (version > 0 && more[0] == b'-');
        if version == 0xff || trace == 0 || span == 0 || !ends_well {
            return None;
        }
        Some(Self {
            trace_id: TraceId(trace),
            span_id: u64::try_from(span).ok()?,
            sampled: flags & 1 == 1,
        })
    }
}

/// The number, when all digits are hexadecimal and lower-case.
fn hexadecimal(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn reads_what_the_specification_shows() {
        let parent = TraceParent::parse(VALID.as_bytes()).unwrap();
        assert_eq!(
            parent.trace_id.to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        assert_eq!(
            TraceId::from_bytes(parent.trace_id.to_bytes()),
            parent.trace_id
        );
        assert_eq!(parent.span_id, 0xb7ad_6b71_6920_3331);
        assert!(parent.sampled);
        let flags = |flags: &str| {
            let text = format!("{}{flags}", &VALID[..53]);
            TraceParent::parse(text.as_bytes()).unwrap().sampled
        };
        assert!(!flags("00"));
        assert!(flags("03"), "other flags are ignored");
        assert!(!flags("fe"));
    }

    #[test]
    fn a_later_version_is_read_up_to_the_known_fields() {
        for text in [
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes",
        ] {
            assert!(TraceParent::parse(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn ignores_what_is_not_valid() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0-0af7651916cd43dd8448eb211c80319c0-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn only_a_single_header_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceParent::from_headers(&headers), None);
        headers.append("traceparent", VALID.parse().unwrap());
        assert!(TraceParent::from_headers(&headers).is_some());
        headers.append("traceparent", VALID.parse().unwrap());
        assert_eq!(TraceParent::from_headers(&headers), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn reads_back_what_is_written(trace in 1..u128::MAX, span in 1..u64::MAX, flags: u8) {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            let parent = TraceParent::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(parent.trace_id.to_string(), format!("{trace:032x}"));
            prop_assert_eq!(parent.span_id, span);
        }

        #[test]
        fn takes_nothing_that_a_pattern_would_refuse(text in "[0-9a-fF]{1,3}-[0-9a-g]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}-?") {
            let lengths: Vec<usize> = text.split('-').map(str::len).collect();
            let shaped = matches!(lengths[..], [2, 32, 16, 2]) && !text.contains(['F', 'g'])
                || matches!(lengths[..], [2, 32, 16, 2, 0]) && !text.contains(['F', 'g']) && !text.starts_with("00");
            let read = TraceParent::parse(text.as_bytes());
            prop_assert!(read.is_none() || shaped, "{}", text);
        }
    }
}
