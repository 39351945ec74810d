//! Documents that services give tickets for: sent in pieces over a bad line, judged by content, read in
//! ranges, and by nobody but the person of the ticket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use caremesh_kernel::{IdSource, SystemClock, SystemIds};
use caremesh_mesh::principal::Credentials;
use caremesh_mesh::ticket::{Document, Grant, RECEIPT_HEADER, Receipt, TICKET_HEADER, Tickets};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::bucket::Bucket;
use crate::web::{self, Wire};
use crate::world::{Trust, World};

/// A gateway that keeps documents, and a service that signs tickets.
struct Desk {
    world: World,
    folder: TempDir,
    service: Tickets,
    id: uuid::Uuid,
    /// The server of the bucket, if they lie in one.
    _bucket: Option<Bucket>,
}

/// What a request gave.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }
}

/// A picture by its first bytes, and long enough for several pieces.
fn picture(length: usize) -> Vec<u8> {
    let noise = (0..length).map(|nth| u8::try_from(nth * 31 % 251).expect("a byte"));
    [&[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a][..], &noise.collect::<Vec<_>>()].concat()
}

impl Desk {
    /// Documents in a folder.
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let documents = folder.path().join("documents");
        std::fs::create_dir(&documents).expect("made");
        Self::keeping(folder, &json!({ "folder": documents }), None).await
    }

    /// Documents in a bucket.
    async fn with_bucket() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bucket = Bucket::start(&folder.path().join("documents")).await;
        let store = bucket.settings(folder.path());
        Self::keeping(folder, &store, Some(bucket)).await
    }

    async fn keeping(folder: TempDir, store: &Value, bucket: Option<Bucket>) -> Self {
        let key_file = folder.path().join("key");
        std::fs::write(&key_file, STANDARD.encode([7; 32])).expect("written");
        let config = json!({ "store": store, "key_file": key_file, "max_bytes": 2 << 20 });
        let config = serde_json::from_value(config).expect("valid");
        let trust = Trust::new().await;
        let service = Tickets::new(trust.workload("svc-probe"), Arc::new(SystemClock));
        let world = World::start(trust, |it| it.documents = Some(config)).await;
        Self { world, folder, service, id: SystemIds.uuid(), _bucket: bucket }
    }

    async fn ticket(&self, grant: Grant) -> String {
        let token = self.world.trust.token("member-1");
        let request = Request::builder().header("authorization", format!("Bearer {token}"));
        let request = request.body(()).expect("valid");
        let authenticator = self.world.trust.authenticator();
        let holder = authenticator.caller(Credentials::of(&request)).await.expect("a member");
        let document = Document { id: self.id, purpose: "scan".to_owned() };
        self.service.issue(&holder, document, grant, 600_000).expect("issued")
    }

    async fn upload_ticket(&self, max_bytes: u64) -> String {
        let media_types = vec!["image/png".to_owned(), "application/pdf".to_owned()];
        self.ticket(Grant::Upload { max_bytes, media_types, sha256: None }).await
    }

    fn request(&self, method: Method, ticket: &str, person: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("/documents/{}", self.id))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.world.trust.token(person)))
            .header(TICKET_HEADER, ticket)
    }

    async fn send(&self, request: http::request::Builder, body: &[u8]) -> Answer {
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("valid");
        let response = web::send(&self.world, Wire::Http1, request).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("whole").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn patch(&self, ticket: &str, length: usize, offset: usize, body: &[u8]) -> Answer {
        let request = self.request(Method::PATCH, ticket, "member-1");
        let request = request.header("upload-length", length).header("upload-offset", offset);
        self.send(request, body).await
    }

    async fn offset(&self, ticket: &str) -> usize {
        let answer = self.send(self.request(Method::HEAD, ticket, "member-1"), b"").await;
        answer.header("upload-offset").parse().expect("a number")
    }

    fn receipt(&self, answer: &Answer) -> Receipt {
        self.service.verify_receipt(answer.header(RECEIPT_HEADER)).expect("the gateway's")
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_document_is_sent_gets_a_receipt_and_is_read_back() {
    send_and_read(&Desk::open().await).await;
}

#[tokio::test]
async fn documents_lie_in_a_bucket_as_well_as_in_a_folder() {
    let desk = Desk::with_bucket().await;
    send_and_read(&desk).await;
    delete(&desk).await;
}

#[tokio::test]
async fn who_is_given_a_ticket_for_it_takes_a_document_away() {
    let desk = Desk::open().await;
    send_and_read(&desk).await;
    delete(&desk).await;
}

async fn delete(desk: &Desk) {
    let reading = desk.ticket(Grant::Download).await;
    let refused = desk.send(desk.request(Method::DELETE, &reading, "member-1"), b"").await;
    assert_eq!(refused.status, 405, "who may read may not delete");
    let ticket = desk.ticket(Grant::Delete).await;
    for _ in 0..2 {
        let gone = desk.send(desk.request(Method::DELETE, &ticket, "member-1"), b"").await;
        assert_eq!(gone.status, 204, "also for who asks again");
    }
    assert_eq!(desk.send(desk.request(Method::GET, &reading, "member-1"), b"").await.status, 404);
    assert_eq!(files_below(&desk.folder.path().join("documents")), Vec::<PathBuf>::new());
}

async fn send_and_read(desk: &Desk) {
    let content = picture(700_000);
    let ticket = desk.upload_ticket(1 << 20).await;
    let answer = desk.patch(&ticket, content.len(), 0, &content).await;
    assert_eq!(answer.status, 204, "{:?}", answer.body);
    let receipt = desk.receipt(&answer);
    assert_eq!(receipt.sha256, sha256(&content));
    assert_eq!((receipt.size_bytes, receipt.media_type.as_str()), (content.len() as u64, "image/png"));
    assert_eq!((receipt.document.id, receipt.document.purpose.as_str()), (desk.id, "scan"));

    // The answer to the last byte was lost: both ways to ask again give the receipt again.
    let again = desk.patch(&ticket, content.len(), 0, &content).await;
    assert_eq!(desk.receipt(&again), receipt);
    let asked = desk.send(desk.request(Method::HEAD, &ticket, "member-1"), b"").await;
    assert_eq!(desk.receipt(&asked), receipt);

    let read = desk.ticket(Grant::Download).await;
    let whole = desk.send(desk.request(Method::GET, &read, "member-1"), b"").await;
    assert_eq!((whole.status, whole.header("content-type")), (StatusCode::OK, "image/png"));
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!(whole.header("content-disposition"), "attachment");
    assert!(whole.body == content, "what was sent is read");
    let range = desk.request(Method::GET, &read, "member-1").header("range", "bytes=262140-600000");
    let part = desk.send(range, b"").await;
    assert_eq!(part.status, 206);
    assert_eq!(part.header("content-range"), format!("bytes 262140-600000/{}", content.len()));
    assert!(part.body == content[262_140..=600_000]);
    let beyond = desk.request(Method::GET, &read, "member-1").header("range", "bytes=9999999-");
    assert_eq!(desk.send(beyond, b"").await.status, 416);
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on_where_it_was() {
    let desk = Desk::open().await;
    let content = picture(900_000);
    let ticket = desk.upload_ticket(1 << 20).await;
    // Announces everything, sends 600,000 bytes, and is gone.
    let request = desk.request(Method::PATCH, &ticket, "member-1").body(()).expect("valid");
    let mut head = format!("PATCH {} HTTP/1.1\r\n", request.uri());
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("ASCII")));
    }
    let length = content.len();
    head.push_str(&format!(
        "upload-length: {length}\r\nupload-offset: 0\r\ncontent-length: {length}\r\n\r\n"
    ));
    let mut line = web::tls(&desk.world, b"http/1.1").await;
    line.write_all(head.as_bytes()).await.expect("open");
    line.write_all(&content[..600_000]).await.expect("open");
    line.shutdown().await.expect("open");

    let mut offset = 0;
    for _ in 0..100 {
        offset = desk.offset(&ticket).await;
        if offset == 600_000 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(offset, 600_000, "every byte that arrived is kept");
    let elsewhere = desk.patch(&ticket, content.len(), 5, &content[5..]).await;
    assert_eq!((elsewhere.status, elsewhere.header("upload-offset")), (StatusCode::CONFLICT, "600000"));
    let answer = desk.patch(&ticket, content.len(), offset, &content[offset..]).await;
    assert_eq!(desk.receipt(&answer).sha256, sha256(&content), "the hash is of the whole");
}

#[tokio::test]
async fn only_the_person_of_the_ticket_can_use_it_and_only_for_its_document() {
    let desk = Desk::open().await;
    let content = picture(100);
    let ticket = desk.upload_ticket(1_000).await;
    let refused = |answer: &Answer| {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(body.contains("TICKET_INVALID"), "{body}");
        answer.status
    };
    let other = desk.request(Method::HEAD, &ticket, "member-2");
    assert_eq!(desk.send(other, b"").await.status, 403);
    let download = desk.send(desk.request(Method::GET, &ticket, "member-1"), b"").await;
    assert_eq!(download.status, 405, "an upload ticket reads nothing");
    let reading = desk.ticket(Grant::Download).await;
    assert_eq!(desk.patch(&reading, content.len(), 0, &content).await.status, 405);
    let forged = format!("{}AAAA", &ticket[..ticket.len() - 4]);
    assert_eq!(refused(&desk.patch(&forged, content.len(), 0, &content).await), 403);
    let elsewhere = desk.request(Method::PATCH, &ticket, "member-1").uri("/documents/other");
    assert_eq!(refused(&desk.send(elsewhere, &content).await), 403);
    let nobody = Request::builder().method(Method::PATCH).uri(format!("/documents/{}", desk.id));
    let nobody = nobody.header("host", "localhost").header(TICKET_HEADER, &ticket);
    assert_eq!(desk.send(nobody, &content).await.status, 401);
    let unread = desk.send(desk.request(Method::GET, &reading, "member-1"), b"").await;
    assert_eq!(unread.status, 404, "what is not whole is not there");
}

#[tokio::test]
async fn size_and_kind_are_those_of_the_ticket_whatever_the_sender_says() {
    let desk = Desk::open().await;
    let content = picture(1_000);
    let small = desk.upload_ticket(500).await;
    assert_eq!(desk.patch(&small, content.len(), 0, &content).await.status, 413, "over the ticket's limit");
    let ticket = desk.upload_ticket(4 << 20).await;
    assert_eq!(desk.patch(&ticket, 3 << 20, 0, b"").await.status, 413, "over the gateway's limit");
    assert_eq!(desk.patch(&ticket, 10, 0, &content).await.status, 413, "more than was announced");
    let page = b"<html><script>alert(1)</script></html>";
    assert_eq!(desk.patch(&ticket, page.len(), 0, page).await.status, 415, "a page is no picture");
    let words = b"just words";
    assert_eq!(desk.patch(&ticket, words.len(), 0, words).await.status, 415);
    assert_eq!(desk.offset(&ticket).await, 0, "nothing of it was kept");
    assert_eq!(desk.send(desk.request(Method::PATCH, &ticket, "member-1"), &content).await.status, 400);
}

#[tokio::test]
async fn content_that_is_not_the_announced_one_is_refused_and_can_be_sent_again() {
    let desk = Desk::open().await;
    let (right, wrong) = (picture(1_000), [picture(999), vec![1]].concat());
    let media_types = vec!["image/png".to_owned()];
    let grant = Grant::Upload { max_bytes: 5_000, media_types, sha256: Some(sha256(&right)) };
    let ticket = desk.ticket(grant).await;
    assert_eq!(desk.patch(&ticket, wrong.len(), 0, &wrong).await.status, 422);
    assert_eq!(desk.offset(&ticket).await, 0);
    assert_eq!(desk.patch(&ticket, right.len(), 0, &right).await.status, 204);
}

#[tokio::test]
async fn nothing_of_a_document_lies_in_the_folder_in_plain_text() {
    let desk = Desk::open().await;
    let content = [picture(10), b"canary-canary-canary".to_vec()].concat();
    let ticket = desk.upload_ticket(1_000).await;
    assert_eq!(desk.patch(&ticket, content.len(), 0, &content).await.status, 204);
    let files = files_below(&desk.folder.path().join("documents"));
    for path in &files {
        let bytes = std::fs::read(path).expect("a file");
        assert!(!bytes.windows(6).any(|it| it == b"canary" || it == b"\x89PNG\r\n"), "{path:?}");
    }
    assert!(files.len() >= 3, "key, piece and facts: {files:?}");
}

/// Every file that lies in the folder. Hidden ones are what the server of the bucket notes for itself.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let hidden = path.file_name().is_some_and(|it| it.to_string_lossy().starts_with('.'));
            match path.is_dir() {
                true => folders.push(path),
                false if hidden => {}
                false => files.push(path),
            }
        }
    }
    files
}
