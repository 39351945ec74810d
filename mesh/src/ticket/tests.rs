//! Tickets and receipts: who can sign them, whom they serve, and what breaks them.

use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caremesh_kernel::SystemClock;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::principal::Person;
use crate::tls::LocalCa;

const HOUR_MS: i64 = 3_600_000;

struct Hand(AtomicI64);

impl Hand {
    fn forward(&self, ms: i64) {
        self.0.fetch_add(ms * 1_000, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// One mesh on one machine: an authority and workloads of it, at one clock.
struct Mesh {
    _folder: TempDir,
    authority: LocalCa,
    clock: Arc<Hand>,
}

impl Mesh {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = LocalCa::open_or_create(folder.path(), "caremesh.local", &SystemClock);
        let clock = Arc::new(Hand(AtomicI64::new(SystemClock.now().as_micros())));
        Self { _folder: folder, authority: authority.expect("an authority"), clock }
    }

    fn tickets(&self, service: &str) -> Tickets {
        let material = self.authority.issue(service, &SystemClock).expect("a certificate");
        let identity = WorkloadIdentity::new(material).expect("an identity");
        Tickets::new(identity, Arc::<Hand>::clone(&self.clock))
    }
}

fn person(subject: &str) -> Principal {
    Principal::of_person(Person {
        issuer: "https://one.example".into(),
        subject: subject.to_owned(),
        person_id: None,
        roles: Vec::new(),
        organisation: None,
        token: None,
    })
}

fn document(purpose: &str) -> Document {
    Document { id: Uuid::from_u128(7), purpose: purpose.to_owned() }
}

fn upload() -> Grant {
    Grant::Upload { max_bytes: 1_000, media_types: vec!["image/png".to_owned()], sha256: None }
}

fn receipt(service: &str) -> Receipt {
    Receipt {
        service: service.to_owned(),
        document: document("prescription"),
        size_bytes: 12,
        sha256: "ab".repeat(32),
        media_type: "image/png".to_owned(),
        stored_at: Timestamp::from_micros(1),
    }
}

#[test]
fn a_ticket_tells_the_gateway_who_signed_it_and_what_may_be_done() {
    let mesh = Mesh::new();
    let (pharmacy, gateway) = (mesh.tickets("svc-pharmacy"), mesh.tickets("gateway"));
    let ticket = pharmacy.issue(&person("a"), document("prescription"), upload(), HOUR_MS);
    let verified = gateway.verify(&ticket.expect("issued"), &person("a")).expect("believed");
    assert_eq!((verified.service.as_str(), verified.grant), ("svc-pharmacy", upload()));
    assert_eq!(verified.document, document("prescription"));
    assert_eq!(verified.expires_at, mesh.clock.now().plus_ms(HOUR_MS));
}

#[test]
fn a_ticket_serves_only_the_person_it_was_issued_to_and_does_not_name_them() {
    let mesh = Mesh::new();
    let tickets = mesh.tickets("svc-pharmacy");
    let ticket = tickets.issue(&person("canary"), document("scan"), Grant::Download, HOUR_MS);
    let ticket = ticket.expect("issued");
    for other in [person("b"), Principal::anonymous()] {
        assert_eq!(tickets.verify(&ticket, &other), Err(TicketError::NotTheHolder));
    }
    for part in ticket.split('.') {
        let plain = URL_SAFE_NO_PAD.decode(part).expect("base64");
        assert!(!String::from_utf8_lossy(&plain).contains("canary"));
    }
}

#[test]
fn a_ticket_ends_to_the_instant_and_none_lives_longer_than_a_day() {
    let mesh = Mesh::new();
    let tickets = mesh.tickets("svc-pharmacy");
    let issue = |life| tickets.issue(&person("a"), document("scan"), Grant::Download, life);
    let ticket = issue(1_000).expect("issued");
    mesh.clock.forward(999);
    assert!(tickets.verify(&ticket, &person("a")).is_ok());
    mesh.clock.forward(1);
    assert_eq!(tickets.verify(&ticket, &person("a")), Err(TicketError::Expired));
    for life in [0, -1, MAX_LIFE_MS + 1] {
        assert_eq!(issue(life), Err(TicketError::Terms));
    }
}

#[test]
fn terms_that_would_open_a_path_or_allow_nothing_are_not_signed() {
    let tickets = Mesh::new().tickets("svc-pharmacy");
    for purpose in ["", "../x", "A", "a/b", "a.b", &"x".repeat(65)] {
        let refused = tickets.issue(&person("a"), document(purpose), upload(), HOUR_MS);
        assert_eq!(refused, Err(TicketError::Terms), "{purpose}");
    }
    let media_types = |count| vec!["image/png".to_owned(); count];
    for (max_bytes, count) in [(0, 1), (1, 0), (1, 17)] {
        let grant = Grant::Upload { max_bytes, media_types: media_types(count), sha256: None };
        assert_eq!(tickets.issue(&person("a"), document("x"), grant, HOUR_MS), Err(TicketError::Terms));
    }
}

#[test]
fn a_workload_of_another_authority_is_a_stranger() {
    let (ours, theirs) = (Mesh::new(), Mesh::new());
    let forged = theirs.tickets("svc-pharmacy").issue(&person("a"), document("x"), upload(), HOUR_MS);
    let refused = ours.tickets("gateway").verify(&forged.expect("issued"), &person("a"));
    assert_eq!(refused, Err(StatementError::Stranger.into()));
}

#[test]
fn trust_in_a_ticket_ends_with_the_certificate_that_signed_it() {
    let mesh = Mesh::new();
    let tickets = mesh.tickets("gateway");
    let signed = tickets.receipt(&receipt("gateway")).expect("signed");
    assert!(tickets.verify_receipt(&signed).is_ok());
    mesh.clock.forward(398 * 24 * HOUR_MS);
    assert_eq!(tickets.verify_receipt(&signed), Err(StatementError::Stranger.into()));
}

#[test]
fn a_receipt_is_believed_from_the_gateway_alone_and_by_its_service_alone() {
    let mesh = Mesh::new();
    let (gateway, pharmacy, claims) =
        (mesh.tickets("gateway"), mesh.tickets("svc-pharmacy"), mesh.tickets("svc-claims"));
    let signed = gateway.receipt(&receipt("svc-pharmacy")).expect("signed");
    assert_eq!(pharmacy.verify_receipt(&signed), Ok(receipt("svc-pharmacy")));
    assert_eq!(claims.verify_receipt(&signed), Err(TicketError::NotOurs));
    let forged = claims.receipt(&receipt("svc-pharmacy")).expect("signed");
    assert_eq!(pharmacy.verify_receipt(&forged), Err(TicketError::NotOurs));
}

#[test]
fn a_ticket_is_no_receipt_and_a_receipt_is_no_ticket() {
    let mesh = Mesh::new();
    let gateway = mesh.tickets("gateway");
    let ticket = gateway.issue(&person("a"), document("x"), upload(), HOUR_MS).expect("issued");
    assert_eq!(gateway.verify_receipt(&ticket), Err(StatementError::Forged.into()));
    let signed = gateway.receipt(&receipt("gateway")).expect("signed");
    assert_eq!(gateway.verify(&signed, &person("a")), Err(StatementError::Forged.into()));
}

#[test]
fn a_ticket_fits_a_header_many_times() {
    let tickets = Mesh::new().tickets("svc-pharmacy");
    let ticket = tickets.issue(&person("a"), document("prescription"), upload(), HOUR_MS);
    let length = ticket.expect("issued").len();
    assert!(length < 2_048, "{length} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_ticket_with_any_character_changed_is_refused(at in any::<prop::sample::Index>(), to in any::<char>()) {
        thread_local! {
            static SIGNED: (Tickets, String) = {
                let tickets = Mesh::new().tickets("svc-pharmacy");
                let signed = tickets.issue(&person("a"), document("x"), upload(), HOUR_MS);
                (tickets, signed.expect("issued"))
            };
        }
        SIGNED.with(|(tickets, signed)| {
            let mut changed: Vec<char> = signed.chars().collect();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != to);
            changed[at] = to;
            let changed: String = changed.into_iter().collect();
            prop_assert!(tickets.verify(&changed, &person("a")).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn no_text_at_all_makes_the_verifier_panic(text in ".{0,300}") {
        thread_local! { static TICKETS: Tickets = Mesh::new().tickets("gateway"); }
        TICKETS.with(|tickets| {
            prop_assert!(tickets.verify(&text, &person("a")).is_err());
            Ok(())
        })?;
    }
}
