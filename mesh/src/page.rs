//! Pages of lists: sizes made to fit, and tokens that say where a list goes on. A token is encrypted with
//! a key that all replicas share, bound to its caller, method and parameters, and expires. It opens
//! nothing: whoever presents it is checked like anybody else. It must not know what a cursor holds.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caremesh_kernel::{Clock, Timestamp};
use caremesh_proto::r#type::v1::{PageInfo, PageRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::CallContext;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// Items of a page when the caller asks for none in particular.
pub const DEFAULT_SIZE: u32 = 50;
/// Most items of a page; a caller that asks for more gets so many.
pub const MOST: u32 = 200;
/// How long a token is good for: one day, as `PageRequest.page_token` says.
const LIFE_MS: i64 = 24 * 60 * 60 * 1_000;
const EXPIRY_LEN: usize = size_of::<i64>();

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<C> {
    /// Items at most, 1 to [`MOST`].
    pub size: u32,
    /// Where the page before ended; None for the first.
    pub after: Option<C>,
}

/// What a token is good for: one caller, one method, one set of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding(Vec<u8>);

impl Binding {
    /// Binds to the caller and method of `context` and to `parameters`: the request, its `page` left out.
    #[must_use]
    pub fn of(context: &CallContext, parameters: &impl prost::Message) -> Self {
        let mut digest = Context::new(&SHA256);
        let caller = context.principal().caller_key();
        let parts = [caller.as_bytes(), context.method().path.as_bytes(), &parameters.encode_to_vec()];
        for part in parts {
            // Lengths first, so that no two lists of parts run into the same bytes.
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        Self(digest.finish().as_ref().to_vec())
    }
}

/// Makes and opens page tokens.
pub struct PageTokens {
    key: RandomizedNonceKey,
    clock: Arc<dyn Clock>,
}

impl PageTokens {
    /// Tokens under `key`, 256 bits that every replica of the service shares.
    ///
    /// # Errors
    /// When the library refuses the key, which it does for no key of this length.
    pub fn new(key: &[u8; 32], clock: Arc<dyn Clock>) -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, key)?, clock })
    }

    /// The page that `request` asks for.
    ///
    /// # Errors
    /// `FIELD_INVALID` for a negative size; `PAGE_TOKEN_INVALID` for a token that is forged, expired, or
    /// of another caller, method or parameters.
    pub fn open<C: DeserializeOwned>(
        &self,
        binding: &Binding,
        request: Option<&PageRequest>,
    ) -> Result<Page<C>, Refusal> {
        let Some(request) = request else { return Ok(Page { size: DEFAULT_SIZE, after: None }) };
        let size = size(request.page_size)?;
        if request.page_token.is_empty() {
            return Ok(Page { size, after: None });
        }
        let invalid = || Refusal::new(CommonReason::PageTokenInvalid);
        let after = self.unseal(binding, &request.page_token).ok_or_else(invalid)?;
        Ok(Page { size, after: Some(after) })
    }

    /// What a list answers: where it goes on after `last`, or that it ends.
    ///
    /// # Errors
    /// `INTERNAL` when the cursor cannot be written as JSON.
    pub fn next<C: Serialize>(&self, binding: &Binding, last: Option<&C>) -> Result<PageInfo, Refusal> {
        let token = last.map(|last| self.seal(binding, last)).transpose()?;
        Ok(PageInfo { next_page_token: token.unwrap_or_default() })
    }

    fn seal(&self, binding: &Binding, cursor: &impl Serialize) -> Result<String, Refusal> {
        let internal = || Refusal::new(CommonReason::Internal);
        let expiry = self.clock.now().plus_ms(LIFE_MS).as_micros();
        let mut sealed = expiry.to_be_bytes().to_vec();
        serde_json::to_writer(&mut sealed, cursor).map_err(|_| internal())?;
        let nonce = self.key.seal_in_place_append_tag(Aad::from(&binding.0), &mut sealed);
        let nonce = nonce.map_err(|_| internal())?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    fn unseal<C: DeserializeOwned>(&self, binding: &Binding, token: &str) -> Option<C> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = self.key.open_in_place(nonce, Aad::from(&binding.0), sealed).ok()?;
        let (expiry, cursor) = plain.split_at_checked(EXPIRY_LEN)?;
        let expiry = Timestamp::from_micros(i64::from_be_bytes(expiry.try_into().ok()?));
        // Half-open: the instant of expiry is already too late.
        if self.clock.now() >= expiry {
            return None;
        }
        serde_json::from_slice(cursor).ok()
    }
}

/// AIP-158: negative is refused, zero is the default, more than the most is the most.
fn size(asked: i32) -> Result<u32, Refusal> {
    match u32::try_from(asked) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MOST)),
        Err(_) => Err(Refusal::new(CommonReason::FieldInvalid).field("page.page_size", "int32.gte")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;
    use crate::identity::SpiffeId;
    use crate::policy::Purpose;
    use caremesh_proto::r#type::v1::Money;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;
    use uuid::Uuid;

    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    fn call(service: &str, method: &str) -> CallContext {
        let workload = SpiffeId::new("caremesh.local", service).expect("a name");
        let deadline = Deadline::after(Duration::from_secs(1));
        CallContext::for_process(workload, method, Purpose::Payment, Uuid::nil(), deadline)
    }

    fn parameters(minor_units: i64) -> Money {
        Money { currency_code: "INR".to_owned(), minor_units }
    }

    fn tokens(key: u8, clock: &Arc<Hand>) -> PageTokens {
        PageTokens::new(&[key; 32], Arc::<Hand>::clone(clock)).expect("a key")
    }

    fn request(page_size: i32, page_token: &str) -> PageRequest {
        PageRequest { page_size, page_token: page_token.to_owned() }
    }

    fn opened(tokens: &PageTokens, binding: &Binding, token: &str) -> Result<Page<u64>, &'static str> {
        tokens.open(binding, Some(&request(0, token))).map_err(|refusal| refusal.reason())
    }

    #[tokio::test]
    async fn a_token_leads_on_for_its_caller_method_and_parameters_only() {
        let clock = Arc::new(Hand::default());
        let tokens = tokens(1, &clock);
        let mine = Binding::of(&call("svc-a", "list"), &parameters(1));
        let token = tokens.next(&mine, Some(&42_u64)).expect("sealed").next_page_token;
        assert_eq!(opened(&tokens, &mine, &token), Ok(Page { size: 50, after: Some(42) }));
        for other in [
            Binding::of(&call("svc-b", "list"), &parameters(1)),
            Binding::of(&call("svc-a", "lisp"), &parameters(1)),
            Binding::of(&call("svc-a", "list"), &parameters(2)),
        ] {
            assert_eq!(opened(&tokens, &other, &token), Err("PAGE_TOKEN_INVALID"));
        }
    }

    #[tokio::test]
    async fn a_token_expires_to_the_instant() {
        let clock = Arc::new(Hand::default());
        let tokens = tokens(1, &clock);
        let binding = Binding::of(&call("svc-a", "list"), &parameters(1));
        let token = tokens.next(&binding, Some(&1_u64)).expect("sealed").next_page_token;
        clock.0.store(LIFE_MS * 1_000 - 1, Ordering::Relaxed);
        assert!(opened(&tokens, &binding, &token).is_ok());
        clock.0.store(LIFE_MS * 1_000, Ordering::Relaxed);
        assert_eq!(opened(&tokens, &binding, &token), Err("PAGE_TOKEN_INVALID"));
    }

    #[tokio::test]
    async fn a_changed_cut_or_foreign_token_is_refused_and_shows_no_cursor() {
        let clock = Arc::new(Hand::default());
        let (ours, theirs) = (tokens(1, &clock), tokens(2, &clock));
        let binding = Binding::of(&call("svc-a", "list"), &parameters(1));
        let token = ours.next(&binding, Some(&"canary-cursor")).expect("sealed").next_page_token;
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(opened(&ours, &binding, &changed), Err("PAGE_TOKEN_INVALID"), "byte {index}");
        }
        for broken in [&token[..10], "", "%%", &format!("{token}A")] {
            assert!(broken.is_empty() || opened(&ours, &binding, broken).is_err(), "{broken}");
        }
        assert_eq!(opened(&theirs, &binding, &token), Err("PAGE_TOKEN_INVALID"));
    }

    #[tokio::test]
    async fn sizes_are_made_to_fit_and_the_last_page_has_no_token() {
        let clock = Arc::new(Hand::default());
        let tokens = tokens(1, &clock);
        let binding = Binding::of(&call("svc-a", "list"), &parameters(1));
        let size = |asked| tokens.open::<u64>(&binding, Some(&request(asked, ""))).map(|page| page.size);
        assert_eq!((size(0), size(7), size(200), size(i32::MAX)), (Ok(50), Ok(7), Ok(200), Ok(200)));
        assert_eq!(size(-1).expect_err("refused").reason(), "FIELD_INVALID");
        assert_eq!(tokens.open::<u64>(&binding, None), Ok(Page { size: 50, after: None }));
        let last = tokens.next::<u64>(&binding, None).expect("no token");
        assert_eq!(last.next_page_token, "");
    }
}
