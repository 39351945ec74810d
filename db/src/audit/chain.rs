//! The chain: each line's hash covers the line, its place and the hash before it. Must not know databases.

use aws_lc_rs::digest::{Context, SHA256};

use super::Stored;
use crate::keys::framed;

/// Bytes of a hash.
pub(super) const HASH_LEN: usize = 32;

/// A link's hash.
pub(super) type Hash = [u8; HASH_LEN];

/// The hash before the first line.
pub(super) const GENESIS: Hash = [0; HASH_LEN];

/// sha256(version ‖ previous ‖ position ‖ canonical line), every part preceded by its length.
pub(super) fn link(previous: &Hash, position: i64, line: &Stored) -> Hash {
    let mut digest = Context::new(&SHA256);
    let canonical = canonical(line);
    digest.update(&framed(&[b"caremesh-audit-1", previous, &position.to_be_bytes(), &canonical]));
    let mut hash = GENESIS;
    hash.copy_from_slice(digest.finish().as_ref());
    hash
}

/// A missing value is no bytes at all, an empty text is one byte: they must not look alike.
fn canonical(line: &Stored) -> Vec<u8> {
    let mut parts = vec![line.at.to_be_bytes().to_vec()];
    for text in &line.texts {
        let present = text.as_ref().map(|text| [b"=", text.as_bytes()].concat());
        parts.push(present.unwrap_or_default());
    }
    let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    framed(&slices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Stored {
        Stored { at: 7, texts: std::array::from_fn(|place| Some(format!("value {place}"))) }
    }

    #[test]
    fn a_hash_depends_on_every_column_the_place_and_the_one_before() {
        let first = link(&GENESIS, 1, &line());
        assert_eq!(first, link(&GENESIS, 1, &line()));
        assert_ne!(first, link(&GENESIS, 2, &line()));
        assert_ne!(first, link(&first, 1, &line()));
        assert_ne!(first, link(&GENESIS, 1, &Stored { at: 8, ..line() }));
        for place in 0..14 {
            for other in [None, Some(String::new()), Some("other".to_owned())] {
                let mut changed = line();
                changed.texts[place] = other;
                assert_ne!(first, link(&GENESIS, 1, &changed), "column {place}");
            }
        }
    }

    #[test]
    fn nothing_and_an_empty_text_differ() {
        let (mut nothing, mut empty) = (line(), line());
        (nothing.texts[5], empty.texts[5]) = (None, Some(String::new()));
        assert_ne!(link(&GENESIS, 1, &nothing), link(&GENESIS, 1, &empty));
    }
}
