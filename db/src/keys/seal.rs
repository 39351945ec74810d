//! Authenticated encryption of small values under one key. Must not know whose key it is or where it is kept.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::Error;

/// Bytes of a key.
pub(super) const KEY_LEN: usize = 32;

/// A key in memory: wiped when dropped, never printed.
pub type KeyBytes = Zeroizing<[u8; KEY_LEN]>;

/// AES-256-GCM with a random nonce per value. The cipher state is wiped by its library when dropped.
pub(crate) struct SealingKey(RandomizedNonceKey);

impl SealingKey {
    pub(crate) fn new(bytes: &KeyBytes) -> Result<Self, Error> {
        RandomizedNonceKey::new(&AES_256_GCM, bytes.as_slice()).map(Self).map_err(|_| Error::Sealed)
    }

    /// `nonce ‖ ciphertext ‖ tag`, bound to `context`.
    pub(crate) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut body = plain.to_vec();
        let aad = Aad::from(context);
        let nonce = self.0.seal_in_place_append_tag(aad, &mut body).map_err(|_| Error::Sealed)?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + body.len());
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// The plain value; an error when a bit, the context or the key differs.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(Error::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Sealed)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self.0.open_in_place(nonce, Aad::from(context), &mut body).map_err(|_| Error::Sealed)?;
        let length = plain.len();
        body.truncate(length);
        Ok(body)
    }
}

/// Joins parts so that no two lists of parts give the same bytes: each is preceded by its length.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        framed.extend_from_slice(part);
    }
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::new(&Zeroizing::new([byte; KEY_LEN])).expect("32 bytes are a key")
    }

    #[test]
    fn a_value_opens_only_with_its_key_its_context_and_all_its_bits() {
        let sealed = key(1).seal(b"person|phone|per_1", b"+2348012345678").expect("seal");
        assert_eq!(key(1).open(b"person|phone|per_1", &sealed).expect("open").as_slice(), b"+2348012345678");
        assert!(key(2).open(b"person|phone|per_1", &sealed).is_err());
        assert!(key(1).open(b"person|phone|per_2", &sealed).is_err());
        for bit in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[bit] ^= 1;
            assert!(key(1).open(b"person|phone|per_1", &changed).is_err(), "byte {bit}");
        }
        assert!(key(1).open(b"person|phone|per_1", &sealed[..NONCE_LEN - 1]).is_err());
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        assert_ne!(key(1).seal(b"", b"x").expect("seal"), key(1).seal(b"", b"x").expect("seal"));
    }

    #[test]
    fn framing_tells_where_parts_are_cut() {
        assert_ne!(framed(&[b"ab", b"c"]), framed(&[b"a", b"bc"]));
        assert_ne!(framed(&[b""]), framed(&[]));
    }
}
