//! What the contract says of every method, tried whole: who may call it, and that each rule of its request is kept.

use caremesh_testkit::contract::{access_matrix_holds, every_rule_is_enforced};
use caremesh_testkit::for_each_database;

use crate::common::*;

/// Every service that svc-policy serves.
const SERVED: [&str; 9] = [
    "caremesh.policy.v1.AuditService",
    "caremesh.policy.v1.BenefitService",
    "caremesh.policy.v1.EligibilityService",
    "caremesh.policy.v1.EndorsementService",
    "caremesh.policy.v1.FeedService",
    "caremesh.policy.v1.PersonService",
    "caremesh.policy.v1.PlanService",
    "caremesh.policy.v1.PolicyService",
    "caremesh.policy.v1.UnderwritingService",
];

for_each_database! { with world;
    async fn every_role_and_service_meets_every_method_as_the_contract_says(world: World) {
        let methods = 36;
        let tried = access_matrix_holds(&world.mesh, &world.server, &SERVED).await.expect("the matrix holds");
        assert!(tried > methods * 13, "{tried} calls");
    }

    async fn every_rule_of_every_request_is_enforced(world: World) {
        let broken = every_rule_is_enforced(&world.mesh, &world.server, &SERVED).await.expect("each is refused");
        assert!(broken >= 36, "{broken} requests");
    }
}
