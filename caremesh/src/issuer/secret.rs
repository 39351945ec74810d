//! Random texts that cannot be guessed, and comparison that takes the same time whatever differs.
//! Must not know what they protect.

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 256 random bits as 43 characters that are safe in a URL.
///
/// # Panics
/// When the operating system gives no randomness; nothing can be signed or protected then.
#[must_use]
pub(super) fn random_text() -> String {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).expect("the operating system gives randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether a PKCE verifier belongs to an S256 challenge (RFC 7636, 4.6).
#[must_use]
pub(super) fn verifier_matches(verifier: &str, challenge: &str) -> bool {
    let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
    same(&URL_SAFE_NO_PAD.encode(hash), challenge)
}

/// Whether two secrets are the same.
#[must_use]
pub(super) fn same(left: &str, right: &str) -> bool {
    constant_time::verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_example_of_rfc_7636_matches() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifier_matches(verifier, challenge));
        assert!(!verifier_matches(verifier, verifier));
    }

    #[test]
    fn random_texts_are_long_and_differ() {
        assert_eq!(random_text().len(), 43);
        assert_ne!(random_text(), random_text());
    }
}
