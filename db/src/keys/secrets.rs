//! Keys of a service as a whole, derived once at start: for keyed hashes and for what belongs to no single person.
//! Must not know tables.

use std::sync::Arc;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::provider::KeyProvider;
use super::seal::{SealingKey, framed};
use crate::Error;

/// A service's own keys. A cheap clone.
#[derive(Clone)]
pub struct Secrets(Arc<Keys>);

struct Keys {
    request: hmac::Key,
    look_up: hmac::Key,
    answers: SealingKey,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secrets")
    }
}

impl Secrets {
    /// Derives the keys of `service` (`svc-policy`). Two services never share one.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    pub async fn derive(provider: &dyn KeyProvider, service: &str) -> Result<Self, Error> {
        let mac = async |purpose: &str| -> Result<hmac::Key, Error> {
            let key = provider.derive(&format!("{service}/{purpose}")).await?;
            Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
        };
        let answers = provider.derive(&format!("{service}/answers")).await?;
        Ok(Self(Arc::new(Keys {
            request: mac("request").await?,
            look_up: mac("look-up").await?,
            answers: SealingKey::new(&answers)?,
        })))
    }

    /// A keyed hash of a value for a look-up by equality, as hexadecimal text. Normalise the value first: equal hashes mean
    /// equal bytes. `column` (`person.phone`) keeps equal values of two columns apart.
    #[must_use]
    pub fn blind_index(&self, column: &str, value: &str) -> String {
        hex::encode(hmac::sign(&self.0.look_up, &framed(&[column.as_bytes(), value.as_bytes()])))
    }

    pub(crate) fn request_mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        hmac::sign(&self.0.request, &framed(parts)).as_ref().to_vec()
    }

    pub(crate) fn seal_answer(&self, context: &[u8], answer: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.answers.seal(context, answer)
    }

    pub(crate) fn open_answer(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.0.answers.open(context, sealed)
    }
}
