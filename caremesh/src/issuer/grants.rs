//! What the demo issuer remembers: sign-ins under way, codes, refresh tokens, sessions. In memory: a
//! restart signs everybody out, which a demo may do. Must not know HTTP, nor how tokens look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::secret;

/// How long a person may look at the sign-in page, seconds.
pub(super) const REQUEST_LIFE_S: i64 = 600;
/// How long a code is good, seconds: the client fetches its tokens at once.
pub(super) const CODE_LIFE_S: i64 = 60;
/// How long a refresh token is good, seconds; each use gives a new one.
pub(super) const REFRESH_LIFE_S: i64 = 8 * 3600;
/// How long a session is good, seconds.
pub(super) const SESSION_LIFE_S: i64 = 8 * 3600;
/// Bound of each table, so that a client gone wild cannot fill the memory.
const MOST_ENTRIES: u64 = 10_000;

/// A valid authorization request that waits for a person to choose.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The client that asked.
    pub(super) client_id: String,
    /// Where the answer goes; on the client's list.
    pub(super) redirect_uri: String,
    /// The granted scopes, separated by blanks.
    pub(super) scope: String,
    /// Given back to the client as it came.
    pub(super) state: Option<String>,
    /// Goes into the ID token.
    pub(super) nonce: Option<String>,
    /// PKCE challenge, S256.
    pub(super) challenge: String,
}

/// A person's sign-in at the issuer. Ending it ends every refresh token that came from it.
#[derive(Debug)]
pub(super) struct Session {
    /// `sid` of its ID tokens; not the cookie.
    pub(super) public_id: String,
    /// The person's subject.
    pub(super) subject: String,
    /// When the person chose, seconds since the epoch.
    pub(super) auth_time_s: i64,
    ended: AtomicBool,
}

/// What a person granted to a client; shared by the code and all refresh tokens that follow from it.
#[derive(Debug)]
pub(super) struct Grant {
    /// The request that was granted.
    pub(super) request: Request,
    /// The sign-in it came from.
    pub(super) session: Arc<Session>,
    revoked: AtomicBool,
}

/// A code or a refresh token: good once.
#[derive(Debug)]
struct Ticket {
    grant: Arc<Grant>,
    expires_at_s: i64,
    used: AtomicBool,
}

/// Everything the issuer remembers.
pub(super) struct Grants {
    requests: Cache<String, (Request, i64)>,
    codes: Cache<String, Arc<Ticket>>,
    refreshes: Cache<String, Arc<Ticket>>,
    sessions: Cache<String, (Arc<Session>, i64)>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            requests: table(REQUEST_LIFE_S),
            // A used code is remembered longer than it is good, so that its replay is recognised.
            codes: table(CODE_LIFE_S * 10),
            refreshes: table(REFRESH_LIFE_S),
            sessions: table(SESSION_LIFE_S),
        }
    }
}

impl Grants {
    /// Remembers a request until the person has chosen; gives the id that the form carries.
    #[must_use]
    pub(super) fn hold_request(&self, request: Request, now_s: i64) -> String {
        let id = secret::random_text();
        self.requests.insert(id.clone(), (request, now_s + REQUEST_LIFE_S));
        id
    }

    /// The request of a form, once.
    #[must_use]
    pub(super) fn take_request(&self, id: &str, now_s: i64) -> Option<Request> {
        let (request, expires_at_s) = self.requests.remove(id)?;
        (now_s < expires_at_s).then_some(request)
    }

    /// Opens a session; gives it with the cookie value that stands for it.
    #[must_use]
    pub(super) fn open_session(&self, subject: &str, now_s: i64) -> (Arc<Session>, String) {
        let session = Arc::new(Session {
            public_id: secret::random_text(),
            subject: subject.to_owned(),
            auth_time_s: now_s,
            ended: AtomicBool::new(false),
        });
        let cookie = secret::random_text();
        self.sessions.insert(cookie.clone(), (Arc::clone(&session), now_s + SESSION_LIFE_S));
        (session, cookie)
    }

    /// The living session of a cookie.
    #[must_use]
    pub(super) fn session(&self, cookie: &str, now_s: i64) -> Option<Arc<Session>> {
        let (session, expires_at_s) = self.sessions.get(cookie)?;
        let lives = now_s < expires_at_s && !session.ended.load(Ordering::Acquire);
        lives.then_some(session)
    }

    /// Ends a session and with it every refresh token that came from it.
    pub(super) fn end_session(&self, cookie: &str) {
        if let Some((session, _)) = self.sessions.remove(cookie) {
            session.ended.store(true, Ordering::Release);
        }
    }

    /// A code for what the person granted.
    #[must_use]
    pub(super) fn issue_code(&self, request: Request, session: Arc<Session>, now_s: i64) -> String {
        let grant = Arc::new(Grant { request, session, revoked: AtomicBool::new(false) });
        issue(&self.codes, grant, now_s + CODE_LIFE_S)
    }

    /// The grant of a code, once. A second try revokes what the first one got (RFC 6749, 4.1.2).
    #[must_use]
    pub(super) fn redeem_code(&self, code: &str, now_s: i64) -> Option<Arc<Grant>> {
        redeem(&self.codes, code, now_s)
    }

    /// A refresh token for the same grant.
    #[must_use]
    pub(super) fn issue_refresh(&self, grant: Arc<Grant>, now_s: i64) -> String {
        issue(&self.refreshes, grant, now_s + REFRESH_LIFE_S)
    }

    /// The grant of a refresh token, once. A second try ends the whole grant: one of the two who hold
    /// the token is a thief, and nobody can tell which (RFC 9700, 4.14.2).
    #[must_use]
    pub(super) fn redeem_refresh(&self, token: &str, now_s: i64) -> Option<Arc<Grant>> {
        redeem(&self.refreshes, token, now_s)
    }
}

impl Grant {
    /// Ends everything that follows from the grant.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    fn stands(&self) -> bool {
        !self.revoked.load(Ordering::Acquire) && !self.session.ended.load(Ordering::Acquire)
    }
}

fn table<V: Clone + Send + Sync + 'static>(life_s: i64) -> Cache<String, V> {
    // The time to live only frees memory; what counts is the clock that the caller passes.
    let life = Duration::from_secs(life_s.unsigned_abs());
    Cache::builder().max_capacity(MOST_ENTRIES).time_to_live(life).build()
}

fn issue(tickets: &Cache<String, Arc<Ticket>>, grant: Arc<Grant>, expires_at_s: i64) -> String {
    let text = secret::random_text();
    tickets.insert(text.clone(), Arc::new(Ticket { grant, expires_at_s, used: AtomicBool::new(false) }));
    text
}

fn redeem(tickets: &Cache<String, Arc<Ticket>>, text: &str, now_s: i64) -> Option<Arc<Grant>> {
    let ticket = tickets.get(text)?;
    if ticket.used.swap(true, Ordering::AcqRel) {
        ticket.grant.revoke();
        return None;
    }
    (now_s < ticket.expires_at_s && ticket.grant.stands()).then(|| Arc::clone(&ticket.grant))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_790_000_000;

    fn request() -> Request {
        Request {
            client_id: "caremesh-web".to_owned(),
            redirect_uri: "https://localhost:8443/auth/callback".to_owned(),
            scope: "openid".to_owned(),
            state: None,
            nonce: None,
            challenge: "c".repeat(43),
        }
    }

    fn code(grants: &Grants) -> String {
        let (session, _) = grants.open_session("subject", NOW_S);
        grants.issue_code(request(), session, NOW_S)
    }

    #[test]
    fn a_code_is_good_once_and_its_replay_revokes_what_it_gave() {
        let grants = Grants::default();
        let code = code(&grants);
        let grant = grants.redeem_code(&code, NOW_S).expect("the first time");
        let refresh = grants.issue_refresh(grant, NOW_S);
        assert!(grants.redeem_code(&code, NOW_S).is_none());
        assert!(grants.redeem_refresh(&refresh, NOW_S).is_none(), "the replay must revoke it");
    }

    #[test]
    fn the_instant_of_expiry_is_already_too_late() {
        let grants = Grants::default();
        let (in_time, late) = (code(&grants), code(&grants));
        assert!(grants.redeem_code(&in_time, NOW_S + CODE_LIFE_S - 1).is_some());
        assert!(grants.redeem_code(&late, NOW_S + CODE_LIFE_S).is_none());
    }

    #[test]
    fn a_stolen_refresh_token_used_twice_ends_the_grant() {
        let grants = Grants::default();
        let grant = grants.redeem_code(&code(&grants), NOW_S).expect("a grant");
        let first = grants.issue_refresh(grant, NOW_S);
        let grant = grants.redeem_refresh(&first, NOW_S).expect("the first time");
        let second = grants.issue_refresh(grant, NOW_S);
        assert!(grants.redeem_refresh(&first, NOW_S).is_none());
        assert!(grants.redeem_refresh(&second, NOW_S).is_none());
    }

    #[test]
    fn signing_out_ends_the_refresh_tokens_of_the_session() {
        let grants = Grants::default();
        let (session, cookie) = grants.open_session("subject", NOW_S);
        let code = grants.issue_code(request(), session, NOW_S);
        let grant = grants.redeem_code(&code, NOW_S).expect("a grant");
        let refresh = grants.issue_refresh(grant, NOW_S);
        grants.end_session(&cookie);
        assert!(grants.session(&cookie, NOW_S).is_none());
        assert!(grants.redeem_refresh(&refresh, NOW_S).is_none());
    }

    #[test]
    fn the_form_of_a_request_is_good_once() {
        let grants = Grants::default();
        let id = grants.hold_request(request(), NOW_S);
        assert!(grants.take_request(&id, NOW_S).is_some());
        assert!(grants.take_request(&id, NOW_S).is_none());
    }
}
