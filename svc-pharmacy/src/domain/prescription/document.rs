//! Looks at the bytes of a document: is it what was announced, and is all of it there? Knows neither whose it is nor what is
//! written in it, and decodes no pixel.

/// Kinds of documents that a pharmacist can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// A JPEG image.
    Jpeg,
    /// A PNG image.
    Png,
    /// A PDF document.
    Pdf,
}

impl MediaType {
    const ALL: [Self; 3] = [Self::Jpeg, Self::Png, Self::Pdf];

    /// Its media type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Pdf => "application/pdf",
        }
    }

    /// The kind of this media type.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// There is nothing in it.
    #[error("the document is empty")]
    Empty,
    /// By its content it is none of the kinds that can be shown.
    #[error("the document is neither JPEG, PNG nor PDF")]
    Unsupported,
    /// By its content it is of another kind than announced.
    #[error("the document is of another kind than announced")]
    OtherKind,
    /// It is cut off, or its structure is broken.
    #[error("the document is damaged")]
    Damaged,
}

/// Checks a document that was announced as a kind.
///
/// # Errors
/// [`DocumentFault`].
pub fn inspect(bytes: &[u8], announced: MediaType) -> Result<(), DocumentFault> {
    if bytes.is_empty() {
        return Err(DocumentFault::Empty);
    }
    let found = infer::get(bytes).and_then(|kind| MediaType::of_name(kind.mime_type()));
    let found = found.ok_or(DocumentFault::Unsupported)?;
    if found != announced {
        return Err(DocumentFault::OtherKind);
    }
    let whole = match found {
        MediaType::Jpeg => jpeg_is_whole(bytes),
        MediaType::Png => png_is_whole(bytes),
        MediaType::Pdf => pdf_is_whole(bytes),
    };
    if whole { Ok(()) } else { Err(DocumentFault::Damaged) }
}

/// Walks the segments to the start of the scan and looks for the end of the image after it (ITU-T T.81, annex B).
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    let mut at = 2;
    loop {
        let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4).and_then(|head| head.first_chunk::<4>())
        else {
            return false;
        };
        if marker == START_OF_SCAN {
            return bytes[at..].windows(2).any(|pair| pair == [0xFF, 0xD9]);
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}

/// Walks the chunks to the last one (ISO/IEC 15948, 5.3).
fn png_is_whole(bytes: &[u8]) -> bool {
    let mut at = 8;
    loop {
        let Some(head) = bytes.get(at..at + 8).and_then(|head| head.first_chunk::<8>()) else { return false };
        let [a, b, c, d, kind @ ..] = *head;
        let Ok(length) = usize::try_from(u32::from_be_bytes([a, b, c, d])) else { return false };
        let Some(end) = at.checked_add(12).and_then(|end| end.checked_add(length)) else { return false };
        if end > bytes.len() {
            return false;
        }
        if &kind == b"IEND" {
            return true;
        }
        at = end;
    }
}

/// The reader's way in is at the end: where the cross-references start, then `%%EOF` (ISO 32000-1, 7.5.5).
fn pdf_is_whole(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(2_048)..];
    let holds = |word: &[u8]| tail.windows(word.len()).any(|part| part == word);
    holds(b"startxref") && holds(b"%%EOF")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x01IHDR\0crc!\0\0\0\0IEND\xaeB`\x82";
    const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0\0\x04ab\xFF\xDA\0\x02scan\xFF\xD9";
    const PDF: &[u8] = b"%PDF-1.4\n1 0 obj\nendobj\nstartxref\n9\n%%EOF\n";

    #[test]
    fn a_whole_document_of_the_announced_kind_is_taken() {
        for (bytes, kind) in [(PNG, MediaType::Png), (JPEG, MediaType::Jpeg), (PDF, MediaType::Pdf)] {
            assert_eq!(inspect(bytes, kind), Ok(()), "{kind:?}");
            for other in MediaType::ALL.into_iter().filter(|other| *other != kind) {
                assert_eq!(inspect(bytes, other), Err(DocumentFault::OtherKind));
            }
        }
    }

    #[test]
    fn a_document_cut_anywhere_is_damaged_or_no_document() {
        for (bytes, kind) in [(PNG, MediaType::Png), (JPEG, MediaType::Jpeg), (PDF, MediaType::Pdf)] {
            for length in 0..bytes.len() - 5 {
                assert!(inspect(&bytes[..length], kind).is_err(), "{kind:?} cut at {length}");
            }
        }
        assert_eq!(inspect(&[], MediaType::Pdf), Err(DocumentFault::Empty));
        assert_eq!(
            inspect(b"<!DOCTYPE html><html></html>", MediaType::Jpeg),
            Err(DocumentFault::Unsupported)
        );
    }
}
