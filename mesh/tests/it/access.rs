//! Who may call: the contract's rules, over the wire.

use caremesh_mesh::CommonReason;
use tonic::Code;

use super::world::World;

#[tokio::test]
async fn a_role_of_a_rule_is_let_in_with_its_relationships() {
    let world = World::new().await;
    assert_eq!(world.ask("granted").await.expect("a member"), "[Own, OwnFamily]");
    let officer = world.client.ask("Ask", "granted", &[("test-role", "CLAIMS_OFFICER")]).await;
    assert_eq!(officer.expect("an officer"), "[Any]");
    let claims = world.client.ask("Ask", "granted", &[("test-service", "svc-claims")]).await;
    assert_eq!(claims.expect("a service by name"), "[Any]");
}

#[tokio::test]
async fn another_role_another_service_and_nobody_are_kept_out() {
    let world = World::new().await;
    for (who, reason, code) in [
        (("test-role", "COURIER"), CommonReason::RoleMissing, Code::PermissionDenied),
        (("test-service", "svc-pharmacy"), CommonReason::CredentialsMissing, Code::Unauthenticated),
        (("test-none", ""), CommonReason::CredentialsMissing, Code::Unauthenticated),
        (("test-forged", "yes"), CommonReason::CredentialsInvalid, Code::Unauthenticated),
    ] {
        let refused = world.client.ask("Ask", "ok", &[who]).await.expect_err("kept out");
        assert!(refused.is(reason), "{who:?}: {refused:?}");
        assert_eq!(refused.code, code, "{who:?}");
    }
}

#[tokio::test]
async fn the_purpose_is_the_contracts_unless_stated_and_must_be_one_a_rule_allows() {
    let world = World::new().await;
    assert_eq!(world.ask("purpose").await.expect("a member"), "Payment");
    let member = |purpose| [("test-role", "MEMBER"), ("x-caremesh-purpose", purpose)];
    let stated = world.client.ask("Ask", "purpose", &member("operations")).await;
    assert_eq!(stated.expect("an allowed purpose"), "Operations");
    let forbidden = world.client.ask("Ask", "purpose", &member("treatment")).await;
    assert!(forbidden.expect_err("kept out").is(CommonReason::RoleMissing));
    let unknown = world.client.ask("Ask", "purpose", &member("marketing")).await.expect_err("kept out");
    assert!(unknown.is(CommonReason::FieldInvalid));
    assert_eq!(unknown.fields[0].0, "x-caremesh-purpose");
}
