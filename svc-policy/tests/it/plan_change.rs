//! Another plan in mid-term and at a renewal, the bonus of a quiet term and how a late claim takes it back, and terms that run
//! off, from outside.

use std::time::Duration;

use caremesh_kernel::{Clock as _, Date, Timestamp, Zone};
use caremesh_mesh::wire::date;
use caremesh_proto::policy::v1::endorsement_service_client::EndorsementServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::insured::{Wanted, money};
use tonic::{Response, Status};

use crate::common::*;
use crate::life::{assert_even, minor, on, payable, period, share};

fn start_of(day: Date) -> Timestamp {
    "Africa/Lagos".parse::<Zone>().expect("a zone").start_of(day)
}

fn end_of(policy: &Policy) -> Date {
    date("end", policy.terms.last().expect("a term").period.as_ref().expect("days").end).expect("a day")
}

/// A visit to the laboratory: no co-pay, no waiting, out of the pool for care outside hospital.
fn tests(world: &World, member: &str, billed: i64) -> PriceRequest {
    event(world, member, EventKind::Diagnostic, "DIAGNOSTIC", LineKind::Diagnostic, billed)
}

impl World {
    fn go_to(&self, to: Timestamp) {
        let micros = to.as_micros() - self.clock.now().as_micros();
        self.clock.advance(Duration::from_micros(u64::try_from(micros).expect("an instant ahead")));
    }

    async fn another(&self, family: &Family, plan: &str, sum: i64, from: Option<Date>) -> ChangePlanRequest {
        ChangePlanRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            plan_version_id: self.plan_version(plan).await,
            sum_insured: naira(sum),
            effective_date: from.and_then(wire_date),
            etag: String::new(),
        }
    }

    async fn change_plan(
        &self,
        family: &Family,
        asked: ChangePlanRequest,
    ) -> Result<Response<ChangePlanResponse>, Status> {
        self.endorsements(&family.holder).change_plan(asked).await
    }

    /// The net premium of a whole term of the family of these tests.
    async fn net(&self, plan: &str, sum: i64) -> i64 {
        let holder = somebody();
        let asked = CreateQuoteRequest {
            plan_version_id: self.plan_version(plan).await,
            sum_insured: naira(sum),
            validate_only: true,
            ..self.offer_request(&holder).await
        };
        let quote = self.policies(&holder).create_quote(asked).await.expect("a quote").into_inner().quote;
        minor(quote.expect("a quote").premium.expect("a premium").net.as_ref())
    }

    fn next_term(&self, family: &Family) -> RenewPolicyRequest {
        RenewPolicyRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            ..RenewPolicyRequest::default()
        }
    }

    async fn renewed(&self, family: &Family, asked: RenewPolicyRequest) -> Policy {
        let offered = self.policies(&family.holder).renew_policy(asked).await.expect("an offer").into_inner();
        let paid = self.payment(&offered.quote.expect("a quote"));
        self.policies(&staff("finance_officer")).record_premium_payment(paid).await.expect("a receipt");
        self.policy(family).await
    }

    async fn couple(&self, plan: &str, sum: i64, other: Relation) -> Family {
        let wanted = Wanted {
            plan,
            sum_insured: money("NGN", sum),
            starts: self.today(),
            holder: (1990, 5, 17),
            others: &[((2001, 2, 3), other)],
        };
        self.insured(&wanted).await
    }
}

fn layers(policy: &Policy, term: usize) -> Vec<(LayerKind, i64)> {
    policy.terms[term].layers.iter().map(|layer| (layer.kind(), minor(layer.amount.as_ref()))).collect()
}

for_each_database! { with world;
    async fn each_event_is_priced_by_the_plan_of_its_day_and_what_was_used_stays_used(world: World) {
        let (early, late) = (world.family().await, world.family().await);
        let today = tests(&world, &early.member(0), 400_000_00);
        let price = world.price(&today).await;
        assert_eq!(payable(&price), 400_000_00);
        world.post(posting(&today, &price, PostingKind::Capture)).await;
        let tomorrow = world.today().plus_days(1);
        let (start, end) = period(&early.policy);
        let mut pools = Vec::new();
        for family in [&early, &late] {
            let asked = world.another(family, "NG-FAMILY-PLUS", 500_000_000, Some(tomorrow)).await;
            let answer = world.change_plan(family, asked.clone()).await.expect("another plan").into_inner();
            assert_eq!(world.change_plan(family, asked).await.expect("again").into_inner(), answer, "once per request");
            let policy = answer.policy.expect("the policy");
            assert_even(&policy);
            let days = |n: usize| policy.terms[0].segments[n].period.expect("days");
            assert_eq!((days(0).end, days(1).start, days(1).end), (days(1).start, wire_date(tomorrow), wire_date(end)), "INV-P4: contiguous");
            let change = policy.endorsements.last().expect("the change");
            let whole = world.net("NG-FAMILY-PLUS", 500_000_000).await - world.net("NG-FAMILY-FLOATER", SUM_INSURED).await;
            assert_eq!(change.net_change_minor, share(whole, tomorrow.days_until(end), start.days_until(end)));
            assert_eq!(change.kind(), EndorsementKind::Plan);
            // 600,000 by the old plan until today, 900,000 by the new one from tomorrow, on one account.
            let used = if family.policy == early.policy { 400_000_00 } else { 0 };
            let old = tests(&world, &family.member(0), 2_000_000_00);
            let new = on(tests(&world, &family.member(1), 2_000_000_00), tomorrow);
            assert_eq!(payable(&world.price(&old).await), 600_000_00 - used);
            let price = world.price(&new).await;
            assert_eq!(payable(&price), 900_000_00 - used);
            world.post(posting(&new, &price, PostingKind::Capture)).await;
            pools.push(world.balance(family, "OUTPATIENT").await);
        }
        assert_eq!(pools, vec![(900_000_00, 0), (900_000_00, 0)], "opened before the change or after it");
        // Back to less: what was used beyond it is overdrawn and recovered.
        let same_day = world.another(&early, "NG-FAMILY-FLOATER", SUM_INSURED, Some(tomorrow)).await;
        assert_eq!(refused(world.change_plan(&early, same_day).await), "EFFECTIVE_DATE_NOT_ALLOWED", "a plan holds for a day");
        let back = world.another(&early, "NG-FAMILY-FLOATER", SUM_INSURED, Some(tomorrow.plus_days(1))).await;
        let policy = world.change_plan(&early, back).await.expect("back").into_inner().policy.expect("the policy");
        let recovered: Vec<i64> = policy.recoveries.iter().map(|recovery| recovery.amount).collect();
        assert_eq!(recovered, vec![300_000_00]);
        world.verify().await;
    }

    async fn a_plan_that_cannot_take_the_other_s_place_is_refused(world: World) {
        let family = world.family().await;
        let ask = async |plan, sum, from| {
            let asked = world.another(&family, plan, sum, from).await;
            refused(world.change_plan(&family, asked).await)
        };
        assert_eq!(ask("NG-FAMILY-FLOATER", SUM_INSURED, None).await, "FIELD_INVALID", "it is that already");
        assert_eq!(ask("IN-FAMILY-PLUS", 500_000_000, None).await, "PLAN_CHANGE_NOT_ALLOWED");
        assert_eq!(ask("NG-INDIVIDUAL", SUM_INSURED, None).await, "PLAN_CHANGE_NOT_ALLOWED");
        assert_eq!(ask("NG-FAMILY-PLUS", 123_456_789, None).await, "SUM_INSURED_NOT_OFFERED");
        let yesterday = Some(world.today().plus_days(-1));
        assert_eq!(ask("NG-FAMILY-PLUS", SUM_INSURED, yesterday).await, "EFFECTIVE_DATE_NOT_ALLOWED");
        let mut rupees = world.another(&family, "NG-FAMILY-PLUS", SUM_INSURED, None).await;
        rupees.sum_insured = Some(money("INR", SUM_INSURED));
        assert_eq!(refused(world.change_plan(&family, rupees).await), "CURRENCY_MISMATCH");
        let siblings = world.couple("NG-FAMILY-FLOATER", SUM_INSURED, Relation::Sibling).await;
        let asked = world.another(&siblings, "NG-FAMILY-PLUS", SUM_INSURED, None).await;
        assert_eq!(refused(world.change_plan(&siblings, asked).await), "FAMILY_NOT_ALLOWED", "INV-P7");
        world.cancel(&family.holder, world.cancellation(&family, CancelReason::FreeLook, None)).await.expect("cancelled");
        assert_eq!(ask("NG-FAMILY-PLUS", SUM_INSURED, None).await, "POLICY_NOT_IN_FORCE");
    }

    async fn two_changes_of_plan_and_sum_at_once_have_one_order(world: World) {
        let family = world.family().await;
        let second = world.replica().await;
        let mut there = EndorsementServiceClient::new(world.mesh.person(&second, &family.holder).expect("a caller"));
        let asked = world.another(&family, "NG-FAMILY-PLUS", 500_000_000, None).await;
        let (plan, sum) = tokio::join!(
            world.change_plan(&family, asked),
            there.change_sum_insured(world.other_sum(&family, 1_000_000_000, None)),
        );
        plan.expect("another plan");
        sum.expect("another sum");
        let policy = world.policy(&family).await;
        assert_eq!(policy.endorsements.len(), 2);
        let last = policy.terms[0].segments.last().expect("a segment");
        assert_eq!(last.plan_version_id, world.plan_version("NG-FAMILY-PLUS").await, "the sum keeps the plan");
    }

    async fn a_larger_sum_at_a_renewal_waits_anew_and_what_cannot_be_had_is_refused(world: World) {
        let family = world.family().await;
        let end = end_of(&family.policy);
        world.go_to(start_of(end.plus_days(-5)));
        let ask = async |asked: RenewPolicyRequest| refused(world.policies(&family.holder).renew_policy(asked).await);
        let next = || world.next_term(&family);
        let foreign = RenewPolicyRequest { plan_version_id: world.plan_version("IN-FAMILY-PLUS").await, ..next() };
        assert_eq!(ask(foreign).await, "PLAN_CHANGE_NOT_ALLOWED");
        assert_eq!(ask(RenewPolicyRequest { sum_insured: naira(1), ..next() }).await, "SUM_INSURED_NOT_OFFERED");
        let rupees = RenewPolicyRequest { sum_insured: Some(money("INR", 500_000_000)), ..next() };
        assert_eq!(ask(rupees).await, "CURRENCY_MISMATCH");
        let plan_version_id = world.plan_version("NG-FAMILY-PLUS").await;
        let chosen = RenewPolicyRequest { plan_version_id: plan_version_id.clone(), sum_insured: naira(500_000_000), ..next() };
        let policy = world.renewed(&family, chosen).await;
        // The plan of the next term gives 10 % for a term without a claim.
        let expected = [(LayerKind::Base, SUM_INSURED), (LayerKind::Increase, 200_000_000), (LayerKind::Bonus, 50_000_000)];
        assert_eq!(layers(&policy, 1), expected);
        let waits = |n: usize| policy.terms[1].layers[n].clocks[0].waiting_start;
        assert_eq!((waits(0), waits(1)), (wire_date(period(&family.policy).0), wire_date(end)), "INV-P9");
        assert_eq!(policy.terms[1].segments[0].plan_version_id, plan_version_id);
        let siblings = world.couple("NG-FAMILY-FLOATER", SUM_INSURED, Relation::Sibling).await;
        world.go_to(start_of(end_of(&siblings.policy).plus_days(-5)));
        let chosen = RenewPolicyRequest { plan_version_id, ..world.next_term(&siblings) };
        assert_eq!(refused(world.policies(&siblings.holder).renew_policy(chosen).await), "FAMILY_NOT_ALLOWED");
    }

    async fn a_late_claim_takes_the_bonus_back_and_what_was_used_of_it_is_recovered(world: World) {
        let family = world.couple("NG-FAMILY-PLUS", 500_000_000, Relation::Spouse).await;
        let end = end_of(&family.policy);
        world.go_to(start_of(end.plus_days(-5)));
        let policy = world.renewed(&family, world.next_term(&family)).await;
        assert_eq!(layers(&policy, 1), vec![(LayerKind::Base, 500_000_000), (LayerKind::Bonus, 50_000_000)]);
        world.go_to(start_of(end.plus_days(1)));
        let drawn = world.spend(&family.member(0), end, 540_000_000, true).await;
        assert_eq!(drawn, vec![(LayerKind::Base, 500_000_000), (LayerKind::Bonus, 40_000_000)]);
        // Half a claim of the old term would do.
        world.spend(&family.member(1), end.plus_days(-10), 1_000_00, true).await;
        let policy = world.aged(&family, EndorsementKind::Bonus).await;
        assert_eq!(layers(&policy, 1), vec![(LayerKind::Base, 500_000_000), (LayerKind::Bonus, 0)]);
        let recovered: Vec<i64> = policy.recoveries.iter().map(|recovery| recovery.amount).collect();
        assert_eq!(recovered, vec![40_000_000]);
        world.verify().await;
    }

    async fn a_renewed_term_runs_off_and_closes_and_a_reversal_can_still_post(world: World) {
        let family = world.family().await;
        let end = end_of(&family.policy);
        let spent = admission(&world, &family.member(0), 1_000_000_00);
        let price = world.price(&spent).await;
        let captured = posting(&spent, &price, PostingKind::Capture);
        let booked = world.post(captured.clone()).await.posting.expect("a posting");
        world.go_to(start_of(end.plus_days(-5)));
        world.renewed(&family, world.next_term(&family)).await;
        world.start_sweeping().await;
        let state = async |wanted: TermState| {
            for _ in 0..400 {
                if world.policy(&family).await.terms[0].state() == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            panic!("the first term never came to {wanted:?}");
        };
        world.go_to(start_of(end));
        state(TermState::RunOff).await;
        let late = on(admission(&world, &family.member(1), 1_000_00), end.plus_days(-1));
        let price = world.price(&late).await;
        world.post(posting(&late, &price, PostingKind::Capture)).await;
        // Ninety days to file and sixty to appeal.
        world.go_to(start_of(end.plus_days(150)));
        state(TermState::Closed).await;
        let later = on(admission(&world, &family.member(1), 1_000_00), end.plus_days(-1));
        let price = world.price(&later).await;
        let closed = world.claims().post(posting(&later, &price, PostingKind::Capture)).await;
        assert_eq!(refused(closed), "TERM_CLOSED");
        let reverse = PostRequest {
            request_id: request_id(),
            instructions: vec![PostingInstruction {
                kind: PostingKind::Reverse.into(),
                legs: captured.instructions[0].legs.clone(),
                reverses_posting_id: booked.posting_id,
                ..PostingInstruction::default()
            }],
            expected_versions: Vec::new(),
            ..captured
        };
        world.post(reverse).await;
        world.verify().await;
    }
}
