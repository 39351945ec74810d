//! Who is let in: the wrong person is told that there is nothing, the wrong role and the wrong service that they may not.

use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::feed_service_client::FeedServiceClient;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;

use crate::common::*;

const NOT_FOUND: &str = "RESOURCE_NOT_FOUND";
const ROLE: &str = "ROLE_MISSING";
/// A method that persons may call, called by a service that it does not name and that brings no person.
const NOBODY: &str = "CREDENTIALS_MISSING";

for_each_database! { with world;
    async fn a_stranger_learns_nothing_of_a_family(world: World) {
        let family = world.family().await;
        let stranger = somebody();
        world.enter(&stranger, (1980, 1, 1), false).await;
        let (policy_id, member_id) = (family.policy.policy_id.clone(), family.member(1));
        let person_id = family.policy.members[1].person_id.clone();
        let get = GetPersonRequest { person_id: person_id.clone() };
        assert_eq!(refused(world.persons(&stranger).get_person(get).await), NOT_FOUND);
        let get = GetPolicyRequest { policy_id: policy_id.clone(), as_of: None };
        assert_eq!(refused(world.policies(&stranger).get_policy(get).await), NOT_FOUND);
        let get = GetQuoteRequest { quote_id: family.policy.quote_id.clone() };
        assert_eq!(refused(world.policies(&stranger).get_quote(get).await), NOT_FOUND);
        let buy = PurchasePolicyRequest { request_id: request_id(), quote_id: family.policy.quote_id.clone() };
        assert_eq!(refused(world.policies(&stranger).purchase_policy(buy).await), NOT_FOUND);
        let check = CheckEligibilityRequest {
            member_id: member_id.clone(),
            service_date: wire_date(world.today()),
            ..CheckEligibilityRequest::default()
        };
        assert_eq!(refused(world.eligibility(&stranger).check_eligibility(check).await), NOT_FOUND);
        let cover = GetCoverRequest { member_id: member_id.clone(), service_date: None };
        assert_eq!(refused(world.eligibility(&stranger).get_cover(cover).await), NOT_FOUND);
        let price = admission(&world, &member_id, 1_000);
        assert_eq!(refused(world.benefits(&stranger).price(price).await), NOT_FOUND);
        let balances = ListBalancesRequest { policy_id: policy_id.clone(), ..ListBalancesRequest::default() };
        assert_eq!(refused(world.benefits(&stranger).list_balances(balances).await), NOT_FOUND);
        let postings = ListPostingsRequest { policy_id, ..ListPostingsRequest::default() };
        assert_eq!(refused(world.benefits(&stranger).list_postings(postings).await), NOT_FOUND);
        let access = ListAccessRequest { person_id, ..ListAccessRequest::default() };
        assert_eq!(refused(world.audit(&stranger).list_access(access).await), NOT_FOUND);
        let listed = world.policies(&stranger).list_policies(ListPoliciesRequest::default()).await;
        assert!(listed.expect("a list").into_inner().policies.is_empty());
    }

    async fn the_wrong_role_and_the_wrong_service_may_not_call(world: World) {
        let courier = staff("courier");
        let id = nobody_id("per");
        let get = GetPersonRequest { person_id: id.clone() };
        assert_eq!(refused(world.persons(&courier).get_person(get.clone()).await), ROLE);
        let mut persons = PersonServiceClient::new(world.service("svc-notify"));
        assert_eq!(refused(persons.get_person(get).await), NOBODY);
        let get = GetPolicyRequest { policy_id: nobody_id("pol"), as_of: None };
        assert_eq!(refused(world.policies(&courier).get_policy(get).await), ROLE);
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), 1_000);
        let price = world.price(&asked).await;
        let post = posting(&asked, &price, PostingKind::Capture);
        assert_eq!(refused(world.benefits(&family.holder).post(post.clone()).await), ROLE);
        let mut notify = BenefitServiceClient::new(world.service("svc-notify"));
        assert_eq!(refused(notify.post(post).await), NOBODY);
        let mut feed = FeedServiceClient::new(world.person(&courier));
        assert_eq!(refused(feed.list_events(ListEventsRequest::default()).await), ROLE);
        let access = ListAccessRequest { person_id: id, ..ListAccessRequest::default() };
        assert_eq!(refused(world.audit(&courier).list_access(access).await), ROLE);
        let payment = RecordPremiumPaymentRequest {
            request_id: request_id(),
            quote_id: family.policy.quote_id.clone(),
            payment_reference: "psp".to_owned(),
            amount: naira(1),
            receive_time: family.policy.create_time,
        };
        assert_eq!(refused(world.policies(&family.holder).record_premium_payment(payment).await), ROLE);
    }

    async fn a_partner_sees_the_policies_that_it_leads_and_no_others(world: World) {
        let family = world.family().await;
        let lead = family.policy.carriers.iter().find(|carrier| carrier.leads).expect("a lead").organisation_id.clone();
        let ours = staff("partner").of(&lead);
        let other = staff("partner").of(&nobody_id("org"));
        let get = GetPolicyRequest { policy_id: family.policy.policy_id.clone(), as_of: None };
        assert!(world.policies(&ours).get_policy(get.clone()).await.is_ok());
        assert_eq!(refused(world.policies(&other).get_policy(get).await), NOT_FOUND);
        let price = admission(&world, &family.member(1), 1_000);
        assert!(world.benefits(&ours).price(price.clone()).await.is_ok());
        assert_eq!(refused(world.benefits(&other).price(price).await), NOT_FOUND);
    }

    async fn the_family_sees_itself_and_who_looked(world: World) {
        let family = world.family().await;
        let person_id = family.policy.members[1].person_id.clone();
        let get = GetPersonRequest { person_id: person_id.clone() };
        assert!(world.persons(&family.holder).get_person(get).await.is_ok());
        let access = ListAccessRequest { person_id, ..ListAccessRequest::default() };
        let seen = world.audit(&family.holder).list_access(access).await.expect("a trail").into_inner().accesses;
        assert!(seen.iter().any(|access| access.action() == AuditAction::Create), "{seen:?}");
        assert!(seen.iter().any(|access| access.action() == AuditAction::Read), "{seen:?}");
    }
}
