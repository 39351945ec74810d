//! Which tokens are believed, and what a bad one costs.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use caremesh_kernel::{Clock, PersonId, SystemClock, Timestamp, Uuid};
use caremesh_mesh::{
    Principal, Refusal,
    identity::{Identity, IdentityConfig, SpiffeId},
    policy::Role,
    tls::Peer,
};
use caremesh_testkit::identity::{TestAuthority, TestIssuer, TestPerson};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::AlgorithmParameters};
use secrecy::ExposeSecret;
use serde_json::json;

struct Bench {
    issuer: TestIssuer,
    identity: Identity,
}

impl Bench {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut IdentityConfig)) -> Self {
        let issuer = TestIssuer::start().await.expect("an issuer");
        let mut config = issuer.config();
        change(&mut config);
        let identity = Identity::new(&config, Arc::new(SystemClock)).expect("a configuration");
        Self { issuer, identity }
    }

    async fn caller(&self, token: &str) -> Result<Principal, Refusal> {
        self.identity.caller(&bearer(token), None).await
    }

    async fn refusal(&self, token: &str) -> &'static str {
        match self.caller(token).await {
            Ok(_) => panic!("the token was accepted"),
            Err(refusal) => refusal.reason(),
        }
    }

    /// The reason for refusing a good token after `bend`.
    async fn bent(&self, bend: impl FnOnce(&mut serde_json::Value)) -> &'static str {
        let mut draft = self.issuer.draft(&ada());
        bend(&mut draft.claims);
        self.refusal(&self.issuer.sign(&draft)).await
    }
}

fn ada() -> TestPerson {
    TestPerson::member("sub-ada", PersonId::from_uuid(Uuid::from_u128(7)))
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).expect("a header"));
    headers
}

fn now_seconds() -> i64 {
    SystemClock.now().as_micros() / 1_000_000
}

const INVALID: &str = "CREDENTIALS_INVALID";

#[tokio::test]
async fn good_token_becomes_the_person_it_was_given_to() {
    let bench = Bench::start().await;
    let token = bench.issuer.token(&ada().of("org_insurer"));
    let principal = bench.caller(&token).await.expect("accepted");
    let person = principal.person().expect("a person");
    assert_eq!(person.subject, "sub-ada");
    assert_eq!(person.person_id, Some(PersonId::from_uuid(Uuid::from_u128(7))));
    assert_eq!(person.roles, [Role::Member]);
    assert_eq!(person.organisation.as_deref(), Some("org_insurer"));
    assert_eq!(person.token.as_ref().expect("kept for the next hop").expose_secret(), token);
    assert!(!format!("{principal:?}").contains(&token));
}

#[tokio::test]
async fn call_without_credentials_is_anonymous_and_with_a_certificate_the_workload() {
    let bench = Bench::start().await;
    let nobody = bench.identity.caller(&HeaderMap::new(), None).await.expect("no credentials is no fault");
    assert!(nobody.person().is_none() && nobody.workload().is_none());
    let claims = SpiffeId::new("caremesh.test", "svc-claims").expect("an id");
    let peer = Peer::new(None, Some(claims.clone()));
    let workload = bench.identity.caller(&HeaderMap::new(), Some(&peer)).await.expect("accepted");
    assert_eq!(workload.workload(), Some(&claims));
    let both =
        bench.identity.caller(&bearer(&bench.issuer.token(&ada())), Some(&peer)).await.expect("accepted");
    assert_eq!(
        (both.person().map(|p| p.subject.as_str()), both.workload()),
        (Some("sub-ada"), Some(&claims))
    );
    assert_eq!(bench.issuer.asked(), 1);
}

#[tokio::test]
async fn expired_token_is_refused_at_the_very_instant() {
    let bench = Bench::with(|config| config.leeway_seconds = 0).await;
    assert_eq!(bench.bent(|claims| claims["exp"] = (now_seconds() - 1).into()).await, INVALID);
    assert_eq!(bench.bent(|claims| claims["exp"] = now_seconds().into()).await, INVALID);
    assert_eq!(
        bench.bent(|claims| drop(claims.as_object_mut().expect("claims").remove("exp"))).await,
        INVALID
    );
}

#[tokio::test]
async fn leeway_forgives_a_clock_that_runs_behind_and_no_more() {
    let bench = Bench::with(|config| config.leeway_seconds = 30).await;
    let mut draft = bench.issuer.draft(&ada());
    draft.claims["exp"] = (now_seconds() - 10).into();
    assert!(bench.caller(&bench.issuer.sign(&draft)).await.is_ok());
    assert_eq!(bench.bent(|claims| claims["exp"] = (now_seconds() - 40).into()).await, INVALID);
}

#[tokio::test]
async fn token_is_refused_before_its_time() {
    let bench = Bench::start().await;
    assert_eq!(bench.bent(|claims| claims["nbf"] = (now_seconds() + 120).into()).await, INVALID);
}

#[tokio::test]
async fn token_for_another_audience_or_for_nobody_is_refused() {
    let bench = Bench::start().await;
    assert_eq!(bench.bent(|claims| claims["aud"] = "another-api".into()).await, INVALID);
    assert_eq!(bench.bent(|claims| claims["aud"] = json!(["another-api"])).await, INVALID);
    assert_eq!(
        bench.bent(|claims| drop(claims.as_object_mut().expect("claims").remove("aud"))).await,
        INVALID
    );
    let mut draft = bench.issuer.draft(&ada());
    draft.claims["aud"] = json!(["another-api", "caremesh"]);
    assert!(bench.caller(&bench.issuer.sign(&draft)).await.is_ok());
}

#[tokio::test]
async fn token_of_an_unknown_issuer_is_refused_and_its_keys_are_not_asked_for() {
    let bench = Bench::start().await;
    let stranger = TestIssuer::start().await.expect("another issuer");
    assert_eq!(bench.refusal(&stranger.token(&ada())).await, INVALID);
    assert_eq!((bench.issuer.asked(), stranger.asked()), (0, 0));
    // Signed by the stranger, said to be ours.
    let mut draft = stranger.draft(&ada());
    draft.claims["iss"] = bench.issuer.url().into();
    assert_eq!(bench.refusal(&stranger.sign(&draft)).await, INVALID);
}

#[tokio::test]
async fn token_signed_with_none_is_refused() {
    let bench = Bench::start().await;
    let claims = bench.issuer.draft(&ada()).claims;
    for alg in ["none", "None", "NONE"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "key-1"}).to_string());
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        assert_eq!(bench.refusal(&format!("{header}.{payload}.")).await, INVALID);
        assert_eq!(bench.refusal(&format!("{header}.{payload}")).await, INVALID);
    }
}

#[tokio::test]
async fn token_signed_with_the_public_key_as_a_shared_secret_is_refused() {
    let bench = Bench::start().await;
    let AlgorithmParameters::EllipticCurve(public) = bench.issuer.public_key().algorithm else {
        panic!("an EC key")
    };
    let point = [URL_SAFE_NO_PAD.decode(&public.x), URL_SAFE_NO_PAD.decode(&public.y)]
        .map(|half| half.expect("base64"));
    let secrets = [public.x.into_bytes(), [&[4_u8][..], &point.concat()].concat()];
    for secret in secrets {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("key-1".to_owned());
        let key = EncodingKey::from_secret(&secret);
        let token = jsonwebtoken::encode(&header, &bench.issuer.draft(&ada()).claims, &key).expect("signed");
        assert_eq!(bench.refusal(&token).await, INVALID);
    }
}

#[tokio::test]
async fn algorithm_that_the_issuer_is_not_configured_for_is_refused() {
    let bench = Bench::with(|config| config.issuers[0].algorithms = vec![Algorithm::RS256]).await;
    assert_eq!(bench.refusal(&bench.issuer.token(&ada())).await, INVALID);
}

#[tokio::test]
async fn forged_signature_changed_claims_and_rubbish_are_refused() {
    let bench = Bench::start().await;
    let token = bench.issuer.token(&ada());
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims = bench.issuer.draft(&ada()).claims;
    claims["roles"] = json!(["operator"]);
    let changed = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
    assert_eq!(bench.refusal(&changed).await, INVALID);
    for rubbish in ["x", "a.b", "a.b.c", "....", &"x".repeat(20_000), &format!("{}.{}.", parts[0], parts[1])]
    {
        assert_eq!(bench.refusal(rubbish).await, INVALID);
    }
    for value in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", ""] {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
        let refused = bench.identity.caller(&headers, None).await.expect_err("refused");
        assert_eq!(refused.reason(), INVALID, "{value}");
    }
    let mut twice = bearer(&token);
    twice.append(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).expect("a header"));
    assert_eq!(bench.identity.caller(&twice, None).await.expect_err("refused").reason(), INVALID);
}

#[tokio::test]
async fn claims_of_the_wrong_kind_are_refused() {
    let bench = Bench::start().await;
    assert_eq!(
        bench.bent(|claims| claims["person_id"] = "pol_01hzzzzzzzzzzzzzzzzzzzzzzz".into()).await,
        INVALID
    );
    assert_eq!(bench.bent(|claims| claims["sub"] = "".into()).await, INVALID);
    assert_eq!(bench.bent(|claims| claims["exp"] = "tomorrow".into()).await, INVALID);
    let mut draft = bench.issuer.draft(&ada());
    draft.claims["roles"] = json!(["member", "emperor", 7, "unspecified"]);
    let principal =
        bench.caller(&bench.issuer.sign(&draft)).await.expect("foreign roles are somebody else's");
    assert_eq!(principal.person().expect("a person").roles, [Role::Member]);
}

#[tokio::test]
async fn rotated_key_is_accepted_after_one_more_fetch() {
    let bench = Bench::with(|config| config.issuers[0].unknown_key_seconds = 0).await;
    assert!(bench.caller(&bench.issuer.token(&ada())).await.is_ok());
    bench.issuer.rotate("key-2").expect("rotated");
    assert!(bench.caller(&bench.issuer.token(&ada())).await.is_ok());
    assert_eq!(bench.issuer.asked(), 2);
}

#[tokio::test]
async fn revoked_key_is_refused_once_the_set_has_aged_remembered_tokens_included() {
    let bench = Bench::with(|config| {
        config.issuers[0].refresh_seconds = 0;
        config.issuers[0].unknown_key_seconds = 0;
    })
    .await;
    let old = bench.issuer.token(&ada());
    assert!(bench.caller(&old).await.is_ok());
    bench.issuer.rotate("key-2").expect("rotated");
    bench.issuer.revoke("key-1");
    // The aged set serves while the new one is fetched; then the old key is gone.
    for _ in 0..300 {
        if bench.caller(&old).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bench.refusal(&old).await, INVALID);
    assert!(bench.caller(&bench.issuer.token(&ada())).await.is_ok());
}

#[tokio::test]
async fn unchanged_key_set_is_not_sent_again() {
    let bench = Bench::with(|config| {
        config.issuers[0].refresh_seconds = 0;
        config.issuers[0].unknown_key_seconds = 0;
    })
    .await;
    let token = bench.issuer.token(&ada());
    for _ in 0..300 {
        assert!(bench.caller(&token).await.is_ok());
        if bench.issuer.answered_unchanged() > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the tag was never sent");
}

#[tokio::test]
async fn flood_of_unknown_keys_costs_the_issuer_one_fetch_per_interval() {
    let bench = Arc::new(Bench::with(|config| config.issuers[0].unknown_key_seconds = 3_600).await);
    assert!(bench.caller(&bench.issuer.token(&ada())).await.is_ok());
    let flood = (0..200).map(|n| {
        let bench = bench.clone();
        tokio::spawn(async move {
            let mut draft = bench.issuer.draft(&ada());
            draft.key_id = Some(format!("made-up-{n}"));
            bench.refusal(&bench.issuer.sign(&draft)).await
        })
    });
    for refused in futures::future::join_all(flood).await {
        assert_eq!(refused.expect("no panic"), INVALID);
    }
    assert_eq!(bench.issuer.asked(), 1);
}

#[tokio::test]
async fn good_token_is_verified_once_and_remembered() {
    let bench = Bench::start().await;
    let token = bench.issuer.token(&ada());
    let first = bench.caller(&token).await.expect("accepted");
    let second = bench.caller(&token).await.expect("accepted");
    // The very same person: a token that was verified again would have made another.
    let (first, second) = (first.person().expect("a person"), second.person().expect("a person"));
    assert!(std::ptr::eq(first, second));
}

#[tokio::test]
async fn remembered_token_expires_all_the_same() {
    struct Later(std::sync::atomic::AtomicI64);
    impl Clock for Later {
        fn now(&self) -> Timestamp {
            SystemClock.now().plus_ms(self.0.load(std::sync::atomic::Ordering::SeqCst))
        }
    }
    let issuer = TestIssuer::start().await.expect("an issuer");
    let clock = Arc::new(Later(0.into()));
    let identity = Identity::new(&issuer.config(), clock.clone()).expect("a configuration");
    let headers = bearer(&issuer.token(&ada()));
    assert!(identity.caller(&headers, None).await.is_ok());
    clock.0.store(700_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(identity.caller(&headers, None).await.expect_err("refused").reason(), INVALID);
}

#[tokio::test]
async fn unreachable_issuer_is_a_dependency_that_is_down_and_its_last_keys_serve_on() {
    let bench = Bench::with(|config| {
        config.issuers[0].refresh_seconds = 0;
        config.issuers[0].unknown_key_seconds = 0;
    })
    .await;
    let token = bench.issuer.token(&ada());
    bench.issuer.set_down(true);
    assert_eq!(bench.refusal(&token).await, "DEPENDENCY_DOWN");
    bench.issuer.set_down(false);
    assert!(bench.caller(&token).await.is_ok());
    bench.issuer.set_down(true);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(bench.caller(&token).await.is_ok());
}

#[tokio::test]
async fn caller_who_goes_away_while_keys_are_fetched_costs_the_next_one_nothing() {
    let bench = Bench::start().await;
    let token = bench.issuer.token(&ada());
    // Polled once, which begins the fetch, and dropped, as a cancelled call is.
    assert!(bench.caller(&token).now_or_never().is_none());
    assert!(bench.caller(&token).await.is_ok());
}

#[tokio::test]
async fn key_set_too_old_to_serve_is_fetched_before_it_is_used_again() {
    let bench = Bench::with(|config| {
        config.issuers[0].refresh_seconds = 0;
        config.issuers[0].serve_stale_seconds = 1;
        config.issuers[0].unknown_key_seconds = 0;
    })
    .await;
    assert!(bench.caller(&bench.issuer.token(&ada())).await.is_ok());
    let asked = bench.issuer.asked();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(bench.caller(&bench.issuer.token(&ada())).await.is_ok());
    assert!(bench.issuer.asked() > asked);
    bench.issuer.set_down(true);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(bench.refusal(&bench.issuer.token(&ada())).await, "DEPENDENCY_DOWN");
}

#[tokio::test]
async fn key_set_may_lie_in_a_file() {
    let issuer = TestIssuer::start().await.expect("an issuer");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let set = json!({"keys": [issuer.public_key()]}).to_string();
    std::fs::write(file.path(), set).expect("written");
    let mut config = issuer.config();
    config.issuers[0].jwks_url = format!("file://{}", file.path().display()).parse().expect("a URL");
    let identity = Identity::new(&config, Arc::new(SystemClock)).expect("a configuration");
    assert!(identity.caller(&bearer(&issuer.token(&ada())), None).await.is_ok());
    assert_eq!(issuer.asked(), 0);
}

#[tokio::test]
async fn shared_secret_plain_http_and_missing_audience_are_refused_at_start() {
    let issuer = TestIssuer::start().await.expect("an issuer");
    let refused = |change: &dyn Fn(&mut IdentityConfig)| {
        let mut config = issuer.config();
        change(&mut config);
        Identity::new(&config, Arc::new(SystemClock)).expect_err("refused").to_string()
    };
    assert!(refused(&|c| c.issuers[0].algorithms.push(Algorithm::HS256)).contains("shared-secret"));
    assert!(refused(&|c| c.issuers[0].audiences.clear()).contains("audiences"));
    assert!(
        refused(&|c| c.issuers[0].jwks_url = "http://issuer.example/jwks".parse().expect("a URL"))
            .contains("https")
    );
    assert!(refused(&|c| c.issuers.push(c.issuers[0].clone())).contains("twice"));
}

#[test]
fn nothing_that_a_stranger_makes_up_is_accepted_or_does_harm() {
    use proptest::{prelude::*, test_runner::TestRunner};
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let bench = runtime.block_on(Bench::start());
    let issuer = bench.issuer.url();
    let header = prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9]{0,8}".prop_map(|alg| json!({"alg": alg, "kid": "key-1"}).to_string()),
        Just(json!({"alg": "ES256", "kid": "key-1", "crit": ["exp"]}).to_string()),
        Just(json!({"alg": "ES256", "kid": "key-1"}).to_string()),
    ];
    let claims = prop_oneof![
        any::<String>(),
        (any::<i64>(), any::<i64>(), any::<String>()).prop_map(move |(exp, nbf, sub)| {
            json!({"iss": issuer, "aud": "caremesh", "exp": exp, "nbf": nbf, "sub": sub}).to_string()
        }),
    ];
    let signature = proptest::collection::vec(any::<u8>(), 0..80);
    let refused = |(header, claims, signature): (String, String, Vec<u8>)| {
        let parts =
            [header.into_bytes(), claims.into_bytes(), signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        let refusal = runtime.block_on(bench.caller(&parts.join("."))).expect_err("refused");
        prop_assert_eq!(refusal.reason(), INVALID);
        Ok(())
    };
    TestRunner::default().run(&(header, claims, signature), refused).expect("every one is refused");
}

#[tokio::test]
async fn the_same_subject_of_two_issuers_is_two_callers() {
    let other = TestIssuer::start().await.expect("an issuer");
    let bench = Bench::with(|config| config.issuers.extend(other.config().issuers)).await;
    let ours = bench.caller(&bench.issuer.token(&ada())).await.expect("accepted");
    let theirs = bench.caller(&other.token(&ada())).await.expect("accepted");
    let named = [&ours, &theirs].map(|caller| caller.person().expect("a person").subject.clone());
    assert_eq!(named[0], named[1], "the subject alone tells them not apart");
    assert_ne!(ours.caller_key(), theirs.caller_key());
    let again = bench.caller(&bench.issuer.token(&ada())).await.expect("accepted");
    assert_eq!(ours.caller_key(), again.caller_key(), "another token of the same person");
}

#[tokio::test]
async fn keys_are_fetched_over_https_from_an_issuer_whose_authority_is_configured_and_from_no_other() {
    let authority = TestAuthority::new().expect("an authority");
    let issuer = TestIssuer::start_tls(&authority.workload("issuer").expect("a certificate"))
        .await
        .expect("an issuer");
    let mut config = issuer.config();
    let identity =
        |config: &IdentityConfig| Identity::new(config, Arc::new(SystemClock)).expect("a configuration");
    let headers = bearer(&issuer.token(&ada()));
    let stranger = identity(&config).caller(&headers, None).await.expect_err("no public root vouches for it");
    assert_eq!(stranger.reason(), "DEPENDENCY_DOWN");
    assert_eq!(issuer.asked(), 0, "nothing was asked of a server that nobody vouches for");
    config.issuers[0].jwks_roots = Some(authority.certificate_path());
    let caller = identity(&config).caller(&headers, None).await.expect("accepted");
    assert_eq!(caller.person().map(|person| person.subject.as_str()), Some("sub-ada"));
    assert_eq!(issuer.asked(), 1);
    config.issuers[0].jwks_roots = Some("/nowhere/roots.pem".into());
    let refused = Identity::new(&config, Arc::new(SystemClock)).expect_err("refused at start").to_string();
    assert!(refused.contains("jwks_roots") && refused.contains("/nowhere/roots.pem"), "{refused}");
}
