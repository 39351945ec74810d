//! Sweeping, on a folder and at times that the test chooses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;
use crate::config::DocumentStore;

const KIND: &str = "svc-probe/scan";

fn open() -> (TempDir, Vault, Rules) {
    let folder = tempfile::tempdir().expect("a folder");
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, STANDARD.encode([7; 32])).expect("written");
    let documents = folder.path().join("documents");
    std::fs::create_dir(&documents).expect("made");
    let config = DocumentsConfig {
        store: DocumentStore::Folder(documents),
        key_file,
        max_bytes: 1_000,
        abandoned_after_hours: 48,
        keep_days: [(KIND.to_owned(), 30)].into(),
        sweep_every_minutes: 60,
    };
    let vault = Vault::open(&config).expect("opens");
    (folder, vault, Rules::of(&config))
}

fn after_hours(hours: i64) -> Timestamp {
    SystemClock.now().plus_ms(hours * HOUR_MS)
}

async fn begun(vault: &Vault, name: &str) -> String {
    let place = format!("{KIND}/{name}");
    let drawer = vault.find_or_make(place.clone()).await.expect("made");
    assert!(drawer.put(0, b"piece").await.expect("stored"));
    place
}

async fn whole(vault: &Vault, name: &str) -> String {
    let place = begun(vault, name).await;
    let drawer = vault.find(place.clone()).await.expect("read").expect("there");
    drawer.close(b"facts").await.expect("closed");
    place
}

#[tokio::test]
async fn an_upload_that_was_given_up_is_taken_away_after_its_time_and_no_whole_document_is() {
    let (folder, vault, rules) = open();
    let (left, kept) = (begun(&vault, "left").await, whole(&vault, "kept").await);
    assert_eq!(sweep(&vault, &rules, after_hours(47)).await.expect("swept"), Swept::default());
    assert!(vault.find(left.clone()).await.expect("read").is_some(), "somebody may go on with it");

    let swept = sweep(&vault, &rules, after_hours(49)).await.expect("swept");
    assert_eq!(swept, Swept { abandoned: 1, outlived: 0 });
    assert_eq!(vault.look(&left).await.expect("read"), (false, None), "nothing of it is left");
    assert!(vault.look(&kept).await.expect("read").0);
    assert!(vault.marked().await.expect("read").is_empty());
    assert_eq!(sweep(&vault, &rules, after_hours(49)).await.expect("again"), Swept::default());
    drop(folder);
}

#[tokio::test]
async fn a_document_is_kept_as_long_as_its_kind_is() {
    let (_folder, vault, rules) = open();
    let place = whole(&vault, "old").await;
    assert_eq!(sweep(&vault, &rules, after_hours(30 * 24 - 1)).await.expect("swept"), Swept::default());
    let swept = sweep(&vault, &rules, after_hours(30 * 24 + 1)).await.expect("swept");
    assert_eq!(swept, Swept { abandoned: 0, outlived: 1 });
    assert!(vault.find(place).await.expect("read").is_none());
}

#[tokio::test]
async fn a_removal_that_broke_off_is_finished_by_the_next_sweep() {
    let (_folder, vault, rules) = open();
    let place = whole(&vault, "half").await;
    // As `remove` leaves it when it is cut after its first deletion.
    let drawer = vault.find(place.clone()).await.expect("read").expect("there");
    let facts = drawer.facts().await.expect("read").expect("whole");
    vault.remove(&place).await.expect("removed");
    vault.find_or_make(place.clone()).await.expect("made").put(0, &facts).await.expect("stored");
    let swept = sweep(&vault, &rules, after_hours(49)).await.expect("swept");
    assert_eq!((swept.abandoned, vault.look(&place).await.expect("read")), (1, (false, None)));
}

#[tokio::test]
async fn the_mark_of_a_whole_document_goes_and_the_document_stays() {
    let (_folder, vault, rules) = open();
    let place = whole(&vault, "marked").await;
    // As a crash leaves it between the facts and the mark's end.
    vault.mark(&place).await.expect("marked");
    assert_eq!(sweep(&vault, &rules, after_hours(49)).await.expect("swept"), Swept::default());
    assert!(vault.marked().await.expect("read").is_empty());
    assert!(vault.look(&place).await.expect("read").0);
}
