//! What is known of a whole document, and how its content tells what it is.
//! Must not know where it lies.

use caremesh_kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// What the store remembers of a whole document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) size_bytes: u64,
    pub(super) sha256: String,
    pub(super) media_type: String,
    pub(super) stored_at: Timestamp,
}

/// The media type that the first bytes of a document say it is; None when they say nothing.
pub(super) fn sniff(first: &[u8]) -> Option<&'static str> {
    infer::get(first).map(|kind| kind.mime_type())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The half-open range of a document of `size` bytes that a `Range` header asks for; None for a header
/// that is no single range of bytes, which RFC 9110 (section 14.2) lets a server ignore.
pub(super) fn range(header: &str, size: u64) -> Option<Result<(u64, u64), Unsatisfiable>> {
    let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (from.trim(), to.trim()) {
        ("", last) => (size.saturating_sub(last.parse().ok()?), size),
        (from, "") => (from.parse().ok()?, size),
        (from, to) => (from.parse().ok()?, to.parse::<u64>().ok()?.saturating_add(1).min(size)),
    };
    Some(if range.0 < range.1 { Ok(range) } else { Err(Unsatisfiable) })
}

/// A range that the document does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsatisfiable;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(range("bytes=0-3", 10), Some(Ok((0, 4))));
        assert_eq!(range("bytes=4-", 10), Some(Ok((4, 10))));
        assert_eq!(range("bytes=-3", 10), Some(Ok((7, 10))));
        assert_eq!(range("bytes=-30", 10), Some(Ok((0, 10))));
        assert_eq!(range("bytes=5-99", 10), Some(Ok((5, 10))));
        for none in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=5-4"] {
            assert_eq!(range(none, 10), Some(Err(Unsatisfiable)), "{none}");
        }
        for ignored in ["bytes=0-1,4-5", "pages=1-2", "bytes=a-b", "bytes", ""] {
            assert_eq!(range(ignored, 10), None, "{ignored}");
        }
    }

    proptest! {
        #[test]
        fn a_range_lies_within_the_document_whatever_is_asked(header in ".{0,40}", size in any::<u64>()) {
            if let Some(Ok((from, to))) = range(&header, size) {
                prop_assert!(from < to && to <= size, "{header}: {from}..{to} of {size}");
            }
        }

        #[test]
        fn two_numbers_are_the_first_and_the_last_byte(
            first in any::<u64>(), last in any::<u64>(), size in any::<u64>(),
        ) {
            let asked = range(&format!("bytes={first}-{last}"), size);
            let given = if first <= last && first < size {
                Ok((first, last.min(size - 1) + 1))
            } else {
                Err(Unsatisfiable)
            };
            prop_assert_eq!(asked, Some(given));
        }

        #[test]
        fn a_suffix_is_as_much_of_the_end_as_there_is(count in any::<u64>(), size in any::<u64>()) {
            let asked = range(&format!("bytes=-{count}"), size);
            let given = if count > 0 && size > 0 { Ok((size.saturating_sub(count), size)) } else { Err(Unsatisfiable) };
            prop_assert_eq!(asked, Some(given));
        }
    }

    #[test]
    fn content_tells_what_it_is_whatever_it_is_called() {
        assert_eq!(sniff(b"%PDF-1.7\n"), Some("application/pdf"));
        assert_eq!(sniff(&[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a]), Some("image/png"));
        assert_eq!(sniff(b"<html><script>"), Some("text/html"));
        assert_eq!(sniff(b"just words"), None);
    }
}
