//! Page tokens from whoever makes them up: nothing that this server did not seal opens a page, and nothing does harm.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caremesh_kernel::SystemClock;
use caremesh_mesh::identity::SpiffeId;
use caremesh_mesh::page::{Binding, Page, PageTokens};
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::{CallContext, Deadline};
use caremesh_proto::r#type::v1::PageRequest;
use proptest::prelude::*;
use uuid::Uuid;

fn tokens() -> PageTokens {
    PageTokens::new(&[7; 32], Arc::new(SystemClock)).expect("a key")
}

fn binding(method: &str) -> Binding {
    let workload = SpiffeId::new("caremesh.test", "svc-claims").expect("a name");
    let deadline = Deadline::after(Duration::from_secs(1));
    let call = CallContext::for_process(workload, method, Purpose::Operations, Uuid::nil(), deadline);
    Binding::of(&call, &PageRequest::default())
}

fn opened(binding: &Binding, token: String) -> Result<Page<Vec<u64>>, &'static str> {
    let asked = PageRequest { page_size: 10, page_token: token };
    tokens().open(binding, Some(&asked)).map_err(|refusal| refusal.reason())
}

proptest! {
    #[test]
    fn a_cursor_comes_back_whole_for_its_own_list_and_for_no_other(cursor in prop::collection::vec(any::<u64>(), 0..8)) {
        let token = tokens().next(&binding("list"), Some(&cursor)).expect("a token").next_page_token;
        prop_assert_eq!(opened(&binding("list"), token.clone()).expect("its own").after, Some(cursor));
        prop_assert_eq!(opened(&binding("other"), token).expect_err("refused"), "PAGE_TOKEN_INVALID");
    }

    #[test]
    fn a_token_with_any_bit_changed_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let token = tokens().next(&binding("list"), Some(&vec![1_u64, 2])).expect("a token").next_page_token;
        let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("its own form");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let refused = opened(&binding("list"), URL_SAFE_NO_PAD.encode(bytes)).expect_err("refused");
        prop_assert_eq!(refused, "PAGE_TOKEN_INVALID");
    }

    #[test]
    fn no_text_and_no_bytes_open_a_page_or_make_the_reader_panic(
        text in ".{1,200}",
        bytes in prop::collection::vec(any::<u8>(), 1..120),
    ) {
        for token in [text, URL_SAFE_NO_PAD.encode(bytes)] {
            prop_assert_eq!(opened(&binding("list"), token).expect_err("refused"), "PAGE_TOKEN_INVALID");
        }
    }
}
