//! Renewal from outside: continuity is kept, gaps are not covered, and nobody renews what has ended otherwise.

use std::time::Duration;

use caremesh_kernel::{Clock as _, Date, Timestamp, Zone};
use caremesh_mesh::wire::{ToWire as _, date};
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use tonic::{Response, Status};

use crate::common::*;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn lagos() -> Zone {
    "Africa/Lagos".parse().expect("a zone")
}

fn end_of(policy: &Policy) -> Date {
    let last = policy.terms.last().expect("a term").period.as_ref().expect("days");
    date("end", last.end).expect("a date")
}

fn on(mut asked: PriceRequest, day: Date) -> PriceRequest {
    asked.event.as_mut().expect("an event").event_date = wire_date(day);
    asked
}

fn payable(price: &Price) -> i64 {
    price.total.as_ref().expect("a total").payable_minor
}

impl World {
    /// Moves the clock to an instant ahead.
    fn travel(&self, to: Timestamp) {
        let micros = to.as_micros() - self.clock.now().as_micros();
        self.clock.advance(Duration::from_micros(u64::try_from(micros).expect("an instant ahead")));
    }

    fn renewal(&self, family: &Family) -> RenewPolicyRequest {
        RenewPolicyRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            instalment_count: 0,
            ..RenewPolicyRequest::default()
        }
    }

    async fn renew(
        &self,
        family: &Family,
        asked: RenewPolicyRequest,
    ) -> Result<Response<RenewPolicyResponse>, Status> {
        self.policies(&family.holder).renew_policy(asked).await
    }

    async fn offered(&self, family: &Family) -> Quote {
        let offered = self.renew(family, self.renewal(family)).await.expect("an offer").into_inner();
        offered.quote.expect("a quote")
    }

    async fn pay_for(&self, quote: &Quote) -> Result<Response<RecordPremiumPaymentResponse>, Status> {
        self.policies(&staff("finance_officer")).record_premium_payment(self.payment(quote)).await
    }

    async fn present(&self, family: &Family) -> Policy {
        let asked = GetPolicyRequest { policy_id: family.policy.policy_id.clone(), as_of: None };
        let policy = self.policies(&family.holder).get_policy(asked).await.expect("the policy").into_inner();
        policy.policy.expect("the policy")
    }
}

for_each_database! { with world;
    async fn a_renewal_before_the_end_goes_on_without_a_break_on_fresh_balances(world: World) {
        let family = world.family().await;
        let end = end_of(&family.policy);
        assert_eq!(refused(world.renew(&family, world.renewal(&family)).await), "RENEWAL_NOT_OPEN", "too early");
        let spent = admission(&world, &family.member(1), 2_500_000_00);
        let price = world.price(&spent).await;
        world.post(posting(&spent, &price, PostingKind::Capture)).await;
        world.travel(lagos().start_of(end.plus_days(-10)));
        let asked = world.renewal(&family);
        let stale = RenewPolicyRequest { etag: "0".to_owned(), ..world.renewal(&family) };
        assert_eq!(refused(world.renew(&family, stale).await), "STALE_VERSION");
        let offered = world.renew(&family, asked.clone()).await.expect("an offer").into_inner();
        assert_eq!(world.renew(&family, asked).await.expect("again").into_inner(), offered, "once per request");
        let quote = offered.quote.expect("a quote");
        assert_eq!((quote.start_date, quote.members.len()), (wire_date(end), 5));
        assert_eq!(world.present(&family).await.terms.len(), 1, "an offer is no term");
        let before = world.clock.now();
        world.clock.advance(Duration::from_secs(1));
        let paid = world.pay_for(&quote).await.expect("a receipt").into_inner();
        assert_eq!(paid.policy_id, family.policy.policy_id);
        let renewed = world.present(&family).await;
        assert_eq!((renewed.state(), renewed.terms.len(), renewed.receipts.len()), (PolicyState::Active, 2, 2));
        assert_eq!(renewed.terms[1].period.expect("days").start, renewed.terms[0].period.expect("days").end);
        assert_eq!(renewed.receivable.as_ref().expect("receivable").minor_units, 0);
        let since = |policy: &Policy| policy.members[1].continuous_cover_start;
        assert_eq!(since(&renewed), since(&family.policy), "waiting periods go on as served");
        // What the first term used is the first term's: of 3,000,000 only 500,000 are left in it, all in the next.
        let old = on(admission(&world, &family.member(2), 1_000_000_00), end.plus_days(-1));
        assert_eq!(payable(&world.price(&old).await), 500_000_00);
        let new = on(admission(&world, &family.member(2), 1_000_000_00), end);
        let price = world.price(&new).await;
        assert_eq!(payable(&price), 1_000_000_00);
        world.post(posting(&new, &price, PostingKind::Capture)).await;
        let then = GetPolicyRequest { policy_id: renewed.policy_id.clone(), as_of: Some(before.to_wire()) };
        let then = world.policies(&family.holder).get_policy(then).await.expect("then").into_inner().policy.expect("then");
        assert_eq!((then.terms.len(), then.receipts.len(), then.quote_id), (1, 1, family.policy.quote_id.clone()));
        world.travel(lagos().start_of(end));
        assert_eq!(world.present(&family).await.state(), PolicyState::Active);
        world.verify().await;
    }

    async fn hard_case_4_paid_on_the_last_grace_day_continuity_is_kept_and_the_gap_is_not_covered(world: World) {
        let family = world.family().await;
        let end = end_of(&family.policy);
        // Thirty days of grace: the last is the 29th day after the end, to its last second in Lagos.
        world.travel(Timestamp::from_micros(lagos().start_of(end.plus_days(30)).as_micros() - 60_000_000));
        assert_eq!(world.present(&family).await.state(), PolicyState::Expired);
        let quote = world.offered(&family).await;
        world.pay_for(&quote).await.expect("a receipt on the last day");
        let renewed = world.present(&family).await;
        assert_eq!(renewed.state(), PolicyState::Active);
        assert_eq!(renewed.members[1].continuous_cover_start, family.policy.members[1].continuous_cover_start);
        let gap = on(admission(&world, &family.member(1), 10_000_00), end.plus_days(7));
        assert_eq!(refused(world.claims().price(gap).await), "NO_COVER_AT_EVENT_DATE");
        let paid = end.plus_days(29);
        let mut after = on(admission(&world, &family.member(1), 10_000_00), paid);
        after.event.as_mut().expect("an event").accident = false;
        assert_eq!(payable(&world.price(&after).await), 10_000_00, "the initial waiting was served a year ago");
        let before = on(admission(&world, &family.member(1), 10_000_00), end.plus_days(-1));
        assert_eq!(payable(&world.price(&before).await), 10_000_00);
    }

    async fn the_day_after_the_last_grace_day_is_too_late_by_the_policy_s_own_zone(world: World) {
        let family = world.family().await;
        let end = end_of(&family.policy);
        world.travel(lagos().start_of(end.plus_days(29)));
        let quote = world.offered(&family).await;
        world.travel(lagos().start_of(end.plus_days(30)));
        assert_eq!(refused(world.pay_for(&quote).await), "QUOTE_EXPIRED");
        assert_eq!(refused(world.renew(&family, world.renewal(&family)).await), "RENEWAL_NOT_OPEN");
    }

    async fn hard_case_5_a_child_who_grew_out_of_the_plan_is_not_in_the_next_term(world: World) {
        let holder = somebody();
        let birth = world.today().plus_months(-12 * 24 - 6);
        let mut asked = world.offer_request(&holder).await;
        let month = |n: u32| i32::try_from(n).expect("a small number");
        let child = world.enter(&holder, (birth.year(), month(birth.month()), month(birth.day())), true).await;
        asked.members[2].person_id = child;
        let quote = world.policies(&holder).create_quote(asked).await.expect("a quote").into_inner().quote.expect("a quote");
        let buy = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let policy = world.policies(&holder).purchase_policy(buy).await.expect("a policy").into_inner().policy;
        world.pay_for(&quote).await.expect("a receipt");
        let family = Family { holder, policy: policy.expect("the policy") };
        let end = end_of(&family.policy);
        world.travel(lagos().start_of(end.plus_days(-5)));
        let quote = world.offered(&family).await;
        assert_eq!(quote.members.len(), 4, "24 years and a half when bought, 25 and a half now");
        world.pay_for(&quote).await.expect("a receipt");
        world.travel(lagos().start_of(end));
        let renewed = world.present(&family).await;
        assert_eq!(renewed.members[2].state(), MemberState::AgedOut);
        assert!(renewed.members.iter().filter(|member| member.state() == MemberState::Covered).count() == 4);
        let gone = on(admission(&world, &family.member(2), 10_000_00), end);
        assert_eq!(refused(world.claims().price(gone).await), "NO_COVER_AT_EVENT_DATE");
        // The premium of the next term goes by the ages on its first day.
        let ages = quote.premium.expect("a premium").members.len();
        assert_eq!(ages, 4);
    }

    async fn a_renewal_is_not_paid_for_once_its_policy_is_cancelled(world: World) {
        let family = world.family().await;
        world.travel(lagos().start_of(end_of(&family.policy).plus_days(-50)));
        let quote = world.offered(&family).await;
        let cancel = CancelPolicyRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            reason: CancelReason::HolderRequest.into(),
            effective_date: None,
            etag: String::new(),
        };
        let mut holder = PolicyServiceClient::new(world.mesh.person(&world.server, &family.holder).expect("a caller"));
        holder.cancel_policy(cancel).await.expect("cancelled");
        let late = world.pay_for(&quote).await.expect_err("a policy that has ended has no next term");
        assert_eq!(reason(&late), "POLICY_NOT_IN_FORCE");
        assert_eq!(world.present(&family).await.terms.len(), 1);
    }

    async fn a_renewal_against_a_cancellation_has_one_outcome(world: World) {
        for _ in 0..2 {
            let family = world.family().await;
            let end = end_of(&family.policy);
            world.travel(lagos().start_of(end.plus_days(-50)));
            let quote = world.offered(&family).await;
            let second = world.replica().await;
            let cancel = CancelPolicyRequest {
                request_id: request_id(),
                policy_id: family.policy.policy_id.clone(),
                reason: CancelReason::HolderRequest.into(),
                effective_date: None,
                etag: String::new(),
            };
            let mut there = PolicyServiceClient::new(world.mesh.person(&second, &family.holder).expect("a caller"));
            let (paid, cancelled) = tokio::join!(world.pay_for(&quote), there.cancel_policy(cancel));
            cancelled.expect("cancelled");
            let policy = world.present(&family).await;
            assert_eq!(policy.state(), PolicyState::Cancelled);
            match paid {
                Ok(_) => assert_eq!(policy.terms.len(), 2, "renewed first, and the next term given back"),
                Err(status) => {
                    assert_eq!((reason(&status).as_str(), policy.terms.len()), ("POLICY_NOT_IN_FORCE", 1));
                }
            }
            assert_eq!(policy.refunds.len(), 1);
            let late = world.renew(&family, world.renewal(&family)).await;
            assert_eq!(refused(late), "POLICY_NOT_IN_FORCE");
            let again = world.pay_for(&quote).await;
            assert!(again.is_err(), "an offer for a policy that has ended buys nothing");
            world.clock.advance(DAY);
        }
    }
}
