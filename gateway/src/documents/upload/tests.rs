//! An upload as bad lines make it: any pieces, from any offset, cut anywhere. What is kept is always a beginning
//! of what was sent, and a whole is the whole.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;

use super::*;
use crate::config::{DocumentStore, DocumentsConfig};
use crate::documents::vault::Vault;

const MEDIA_TYPES: [&str; 1] = ["image/png"];

/// One request: where it says that it begins, how much of the content it carries, whether it breaks off.
#[derive(Clone, Debug)]
struct Attempt {
    honest: bool,
    offset: usize,
    length: usize,
    cut: bool,
}

fn attempts() -> impl Strategy<Value = Attempt> {
    (prop::bool::weighted(0.7), any::<usize>(), any::<usize>(), any::<bool>())
        .prop_map(|(honest, offset, length, cut)| Attempt { honest, offset, length, cut })
}

fn vault(folder: &std::path::Path) -> Vault {
    let key_file = folder.join("key");
    std::fs::write(&key_file, STANDARD.encode([7; 32])).expect("written");
    let documents = folder.join("documents");
    std::fs::create_dir(&documents).expect("made");
    Vault::open(&DocumentsConfig {
        store: DocumentStore::Folder(documents),
        key_file,
        max_bytes: 10_000_000,
        abandoned_after_hours: 48,
        keep_days: Default::default(),
        sweep_every_minutes: 60,
    })
    .expect("opens")
}

fn picture(length: usize) -> Vec<u8> {
    let noise = (0..length).map(|nth| u8::try_from(nth * 31 % 251).expect("a byte"));
    [&[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a][..], &noise.collect::<Vec<_>>()].concat()
}

/// The bytes in pieces of some kilobytes; one that is cut ends in an error, as a connection that breaks.
fn body(bytes: &[u8], cut: bool) -> Body {
    let frames = bytes.chunks(7_001).map(|it| Ok(Frame::data(Bytes::copy_from_slice(it))));
    let end = cut.then(|| Err(io::Error::from(io::ErrorKind::ConnectionReset)));
    Body::new(StreamBody::new(futures::stream::iter(frames.chain(end).collect::<Vec<_>>())))
}

/// What the endpoint does with one request, the ticket apart: the digest of the whole once it is there.
async fn send(drawer: &Drawer, terms: &Terms<'_>, content: &[u8], attempt: &Attempt) -> Option<Context> {
    let (hash, stored) = stored_so_far(drawer).await.expect("readable");
    let stored_len = usize::try_from(stored).expect("small");
    let from = if attempt.honest { stored_len } else { attempt.offset % (content.len() + 1) };
    if from != stored_len {
        return None;
    }
    let to = from + attempt.length % (content.len() - from + 1);
    let mut receiving = Receiving { drawer, terms, hash, offset: stored, waiting: Vec::new() };
    // A beginning that is too short to tell what it is of is refused, and sent again.
    receiving.receive(&mut body(&content[from..to], attempt.cut)).await.ok()?;
    (receiving.offset == terms.length).then_some(receiving.hash)
}

async fn kept(drawer: &Drawer) -> Vec<u8> {
    let mut kept = Vec::new();
    for piece in drawer.pieces().await.expect("listed") {
        kept.extend_from_slice(&drawer.get(piece.offset).await.expect("opens"));
    }
    kept
}

fn digest_of(content: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&SHA256, content).as_ref())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_kept_is_always_a_beginning_and_a_whole_is_the_whole(
        length in 1..600_000_usize, row in prop::collection::vec(attempts(), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let drawer = vault(folder.path()).find_or_make("svc-probe/scan/1".to_owned()).await.expect("made");
            let content = picture(length);
            let media_types = MEDIA_TYPES.map(str::to_owned);
            let terms = Terms { length: content.len() as u64, media_types: &media_types, sha256: None };
            let rest = Attempt { honest: true, offset: 0, length: content.len(), cut: false };
            // The last one sends all that is missing, so that every row ends with a whole.
            let mut whole = None;
            for attempt in row {
                whole = whole.or(send(&drawer, &terms, &content, &attempt).await);
                let kept = kept(&drawer).await;
                assert!(content.starts_with(&kept), "{} bytes are not a beginning", kept.len());
            }
            while whole.is_none() {
                let missing = content.len() - kept(&drawer).await.len();
                let last = Attempt { length: missing, ..rest.clone() };
                whole = send(&drawer, &terms, &content, &last).await;
            }
            let hash = hex(whole.expect("whole").finish().as_ref());
            assert_eq!(hash, digest_of(&content));
        });
    }
}
