//! A token issuer with real keys: serves its key set over HTTP, counts who asks, rotates, revokes, and
//! signs whatever a test needs, bad tokens included.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use axum::serve::Listener;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use caremesh_mesh::identity::{ClaimNames, IdentityConfig, IssuerConfig};
use caremesh_mesh::tls::{Connection, Incoming, WorkloadIdentity, listen};
use futures::StreamExt as _;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::TestPerson;

/// What tokens are for.
const AUDIENCE: &str = "caremesh";
const LIFE_SECONDS: i64 = 600;

/// An issuer under way; its server stops when it is dropped.
#[derive(Debug)]
pub struct TestIssuer {
    url: String,
    served: Arc<Served>,
    signing: Mutex<SigningKey>,
    server: JoinHandle<()>,
}

/// The key set as served, and who asked.
#[derive(Debug, Default)]
pub struct Served {
    keys: Mutex<Vec<Jwk>>,
    asked: AtomicUsize,
    unchanged: AtomicUsize,
    down: AtomicBool,
}

#[derive(Clone)]
struct SigningKey {
    id: String,
    key: EncodingKey,
    public: Jwk,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}

/// A token's claims, to be bent before it is signed.
#[derive(Debug, Clone)]
pub struct TokenDraft {
    /// The claims; a test sets or removes what it wants.
    pub claims: Value,
    /// `kid`; None: the present key's.
    pub key_id: Option<String>,
}

impl TestIssuer {
    /// Starts an issuer on a free loopback port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let (listener, address) = bind().await?;
        Self::serving(listener, format!("http://{address}"))
    }

    /// Starts an issuer that serves over TLS, with the certificate of `identity`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_tls(identity: &WorkloadIdentity) -> anyhow::Result<Self> {
        let (listener, address) = bind().await?;
        let incoming = listen(listener, identity.edge_server_config()?);
        Self::serving(TlsListener { incoming, address }, format!("https://{address}"))
    }

    fn serving<L>(listener: L, url: String) -> anyhow::Result<Self>
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let signing = signing_key("key-1")?;
        let served = Arc::new(Served::default());
        served.lock().push(signing.public.clone());
        let app = Router::new().route("/jwks.json", get(jwks)).with_state(served.clone());
        let server = tokio::spawn(async move {
            // Ends with the task; a test that needs it notices.
            drop(axum::serve(listener, app).await);
        });
        Ok(Self { url, served, signing: Mutex::new(signing), server })
    }

    /// What stands in `iss`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// An identity configuration that believes this issuer: fetches at most once per second for an
    /// unknown key, and again after five minutes.
    #[must_use]
    pub fn config(&self) -> IdentityConfig {
        let issuer = IssuerConfig {
            issuer: self.url(),
            audiences: vec![AUDIENCE.to_owned()],
            jwks_url: format!("{}/jwks.json", self.url()).parse().expect("a URL"),
            jwks_roots: None,
            algorithms: vec![Algorithm::ES256],
            refresh_seconds: 300,
            serve_stale_seconds: 600,
            unknown_key_seconds: 1,
            claims: ClaimNames::default(),
        };
        IdentityConfig { issuers: vec![issuer], ..IdentityConfig::default() }
    }

    /// A good token of `person`, for ten minutes.
    #[must_use]
    pub fn token(&self, person: &TestPerson) -> String {
        self.sign(&self.draft(person))
    }

    /// The claims of a good token, to be bent.
    #[must_use]
    pub fn draft(&self, person: &TestPerson) -> TokenDraft {
        let now = unix_now();
        let mut claims = json!({
            "iss": self.url(),
            "sub": person.subject,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + LIFE_SECONDS,
            "roles": person.roles,
        });
        if let Some(id) = person.person_id {
            claims["person_id"] = id.to_string().into();
        }
        if let Some(organisation) = &person.organisation {
            claims["organisation"] = organisation.as_str().into();
        }
        TokenDraft { claims, key_id: None }
    }

    /// Signs a draft with the present key.
    #[must_use]
    pub fn sign(&self, draft: &TokenDraft) -> String {
        let signing = self.signing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(draft.key_id.clone().unwrap_or(signing.id));
        jsonwebtoken::encode(&header, &draft.claims, &signing.key).expect("claims that can be signed")
    }

    /// The present public key as served, to forge with.
    #[must_use]
    pub fn public_key(&self) -> Jwk {
        self.signing.lock().unwrap_or_else(PoisonError::into_inner).public.clone()
    }

    /// Signs with a new key called `id` from now on, and serves it beside the old ones.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate(&self, id: &str) -> anyhow::Result<()> {
        let next = signing_key(id)?;
        self.served.lock().push(next.public.clone());
        *self.signing.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Serves the key called `id` no longer.
    pub fn revoke(&self, id: &str) {
        self.served.lock().retain(|key| key.common.key_id.as_deref() != Some(id));
    }

    /// Answers 503 from now on, or no longer.
    pub fn set_down(&self, down: bool) {
        self.served.down.store(down, Ordering::SeqCst);
    }

    /// How often the key set was asked for.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.served.asked.load(Ordering::SeqCst)
    }

    /// How often the answer was 304.
    #[must_use]
    pub fn answered_unchanged(&self) -> usize {
        self.served.unchanged.load(Ordering::SeqCst)
    }
}

async fn bind() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the test's issuer")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

struct TlsListener {
    incoming: Incoming,
    address: SocketAddr,
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The stream only ends when it is dropped; a failed handshake is the caller's to see.
            if let Some(Ok(connection)) = self.incoming.next().await {
                return (connection, self.address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Served {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Jwk>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn jwks(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
    served.asked.fetch_add(1, Ordering::SeqCst);
    if served.down.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let keys = served.lock().clone();
    let names: Vec<_> = keys.iter().filter_map(|key| key.common.key_id.clone()).collect();
    let etag = format!("\"{}\"", names.join(","));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|theirs| theirs.as_bytes() == etag.as_bytes()) {
        served.unchanged.fetch_add(1, Ordering::SeqCst);
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let body = serde_json::to_string(&JwkSet { keys }).expect("a key set");
    ([(header::ETAG, etag)], body).into_response()
}

fn signing_key(id: &str) -> anyhow::Result<SigningKey> {
    let pair = rcgen::KeyPair::generate()?;
    let key = EncodingKey::from_ec_der(pair.serialized_der());
    let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
    public.common.key_id = Some(id.to_owned());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(SigningKey { id: id.to_owned(), key, public })
}

#[expect(clippy::disallowed_methods, reason = "a real issuer reads the machine's clock too")]
fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
