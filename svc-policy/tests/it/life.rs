//! The life of a policy after its purchase, from outside: members come and go, it is cancelled, it lapses, and what was
//! known when can be asked for.

use std::time::Duration;

use caremesh_kernel::{Clock as _, Date, Timestamp};
use caremesh_mesh::wire::{ToWire as _, date};
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use tonic::{Response, Status};

use crate::common::*;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

/// `amount × part ÷ of`, half-up.
pub(crate) fn share(amount: i64, part: i64, of: i64) -> i64 {
    (2 * amount * part + of).div_euclid(2 * of)
}

pub(crate) fn minor(money: Option<&caremesh_proto::r#type::v1::Money>) -> i64 {
    money.expect("an amount").minor_units
}

pub(crate) fn period(policy: &Policy) -> (Date, Date) {
    let days = policy.terms[0].period.as_ref().expect("days");
    (date("start", days.start).expect("a date"), date("end", days.end).expect("a date"))
}

pub(crate) fn cover(member: &Member) -> (Date, Date) {
    let days = member.cover.as_ref().expect("days");
    (date("start", days.start).expect("a date"), date("end", days.end).expect("a date"))
}

/// INV-P5 as a caller can see it: what was received, less what went back, with what is due, is what is agreed.
pub(crate) fn assert_even(policy: &Policy) {
    let received: i64 = policy.receipts.iter().map(|receipt| minor(receipt.amount.as_ref())).sum();
    let back: i64 =
        policy.refunds.iter().map(|refund| minor(refund.net.as_ref()) + minor(refund.tax.as_ref())).sum();
    let premium = policy.premium.as_ref().expect("a premium");
    // What was received for earlier terms is among the receipts, and their premium is told no more.
    if policy.terms.len() == 1 {
        let agreed = minor(premium.total.as_ref());
        assert_eq!(received - back + minor(policy.receivable.as_ref()), agreed, "the books are even");
    }
    let net: i64 = premium.members.iter().map(|member| minor(member.net.as_ref())).sum();
    assert_eq!(net, minor(premium.net.as_ref()), "members' parts are the premium");
}

impl World {
    pub(crate) async fn policy(&self, family: &Family) -> Policy {
        let asked = GetPolicyRequest { policy_id: family.policy.policy_id.clone(), as_of: None };
        let policy = self.policies(&family.holder).get_policy(asked).await.expect("the policy").into_inner();
        let policy = policy.policy.expect("the policy");
        assert_even(&policy);
        policy
    }

    pub(crate) fn removal(
        &self,
        family: &Family,
        member: usize,
        reason: RemoveReason,
        day: Date,
    ) -> RemoveMemberRequest {
        RemoveMemberRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            member_id: family.member(member),
            reason: reason.into(),
            effective_date: wire_date(day),
            etag: String::new(),
        }
    }

    pub(crate) async fn remove(
        &self,
        who: &TestPerson,
        asked: RemoveMemberRequest,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        self.policies(who).remove_member(asked).await
    }

    pub(crate) fn addition(
        &self,
        family: &Family,
        person: &str,
        relation: Relation,
        day: Option<Date>,
    ) -> AddMemberRequest {
        AddMemberRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            member: Some(ProposedMember {
                person_id: person.to_owned(),
                relation: relation.into(),
                declared_conditions: Vec::new(),
            }),
            start_date: day.and_then(wire_date),
            etag: String::new(),
        }
    }

    pub(crate) async fn add(
        &self,
        who: &TestPerson,
        asked: AddMemberRequest,
    ) -> Result<Response<AddMemberResponse>, Status> {
        self.policies(who).add_member(asked).await
    }

    pub(crate) fn cancellation(
        &self,
        family: &Family,
        reason: CancelReason,
        day: Option<Date>,
    ) -> CancelPolicyRequest {
        CancelPolicyRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            reason: reason.into(),
            effective_date: day.and_then(wire_date),
            etag: String::new(),
        }
    }

    pub(crate) async fn cancel(
        &self,
        who: &TestPerson,
        asked: CancelPolicyRequest,
    ) -> Result<Response<CancelPolicyResponse>, Status> {
        self.policies(who).cancel_policy(asked).await
    }

    /// A family that pays in four instalments and has paid the first.
    pub(crate) async fn paying_quarterly(&self) -> (Family, Quote) {
        let holder = somebody();
        let asked = CreateQuoteRequest { instalment_count: 4, ..self.offer_request(&holder).await };
        let quote = self.policies(&holder).create_quote(asked).await.expect("a quote").into_inner().quote;
        let quote = quote.expect("a quote");
        let asked = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let bought = self.policies(&holder).purchase_policy(asked).await.expect("a policy").into_inner();
        self.pay(&quote, 0, self.clock.now()).await.expect("a receipt");
        (Family { holder, policy: bought.policy.expect("a policy") }, quote)
    }

    pub(crate) async fn pay(
        &self,
        quote: &Quote,
        instalment: usize,
        received: Timestamp,
    ) -> Result<Response<RecordPremiumPaymentResponse>, Status> {
        let premium = quote.premium.as_ref().expect("a premium");
        let asked = RecordPremiumPaymentRequest {
            amount: premium.instalments[instalment].amount.clone(),
            receive_time: Some(received.to_wire()),
            ..self.payment(quote)
        };
        self.policies(&staff("finance_officer")).record_premium_payment(asked).await
    }

    /// Waits until the worker of another replica has written down what time did.
    pub(crate) async fn aged(&self, family: &Family, kind: EndorsementKind) -> Policy {
        self.start_sweeping().await;
        for _ in 0..400 {
            let policy = self.policy(family).await;
            if policy.endorsements.iter().any(|change| change.kind() == kind) {
                return policy;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the worker never wrote {kind:?}");
    }
}

/// An event of a member on a day, with one line.
pub(crate) fn on(mut asked: PriceRequest, day: Date) -> PriceRequest {
    asked.event.as_mut().expect("an event").event_date = wire_date(day);
    asked
}

pub(crate) fn payable(price: &Price) -> i64 {
    price.total.as_ref().expect("a total").payable_minor
}

for_each_database! { with world;
    async fn hard_case_2_a_newborn_told_late_is_covered_from_birth_at_a_premium_from_birth(world: World) {
        let family = world.family().await;
        let birth = world.today().plus_days(1);
        world.clock.advance(41 * DAY);
        let (day, month) = (i32::try_from(birth.day()).expect("a day"), i32::try_from(birth.month()).expect("a month"));
        let child = world.enter(&family.holder, (birth.year(), month, day), true).await;
        let added = world.add(&family.holder, world.addition(&family, &child, Relation::Child, None)).await;
        let policy = added.expect("a member").into_inner().policy.expect("the policy");
        assert_even(&policy);
        let member = policy.members.last().expect("the child");
        let (_, end) = period(&policy);
        assert_eq!(cover(member), (birth, end));
        // Rate 38,500 less a tenth for a family of five or more, by days from birth: one multiplication, half-up.
        let days = period(&policy).0.days_until(end);
        let expected = share(38_500_00 * 9, birth.days_until(end), 10 * days);
        let change = policy.endorsements.last().expect("an endorsement");
        assert_eq!((change.kind(), change.net_change_minor), (EndorsementKind::AddMember, expected));
        assert_eq!(minor(policy.receivable.as_ref()), expected, "one payment more");
        // The claim of the birth week can be decided now, and no waiting period stands against it.
        let mut asked = on(admission(&world, &member.member_id, 90_000_00), birth.plus_days(2));
        asked.event.as_mut().expect("an event").accident = false;
        assert_eq!(payable(&world.price(&asked).await), 90_000_00);
        // The added premium is a payment of the same schedule.
        let quote = GetQuoteRequest { quote_id: policy.quote_id.clone() };
        let quote = world.policies(&family.holder).get_quote(quote).await.expect("the quote").into_inner().quote;
        let due = RecordPremiumPaymentRequest { amount: naira(expected), ..world.payment(&quote.expect("the quote")) };
        world.policies(&staff("finance_officer")).record_premium_payment(due).await.expect("a receipt");
        assert_eq!(minor(world.policy(&family).await.receivable.as_ref()), 0);
    }

    async fn a_member_who_leaves_gets_the_rest_back_and_frees_nothing_that_was_used(world: World) {
        let family = world.family().await;
        let today = world.today();
        let from = today.plus_days(10);
        let used = admission(&world, &family.member(1), 400_000_00);
        let price = world.price(&used).await;
        world.post(posting(&used, &price, PostingKind::Capture)).await;
        let later = on(admission(&world, &family.member(1), 100_000_00), today.plus_days(20));
        let price = world.price(&later).await;
        world.post(hold(&world, &later, &price, 40 * DAY)).await;
        let sooner = on(admission(&world, &family.member(1), 50_000_00), today.plus_days(5));
        let price = world.price(&sooner).await;
        world.post(hold(&world, &sooner, &price, 40 * DAY)).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (400_000_00, 150_000_00));

        let net = minor(family.policy.premium.as_ref().expect("a premium").members[1].net.as_ref());
        let asked = world.removal(&family, 1, RemoveReason::FamilyChange, from);
        let left = world.remove(&family.holder, asked.clone()).await.expect("removed").into_inner();
        let policy = left.policy.clone().expect("the policy");
        assert_even(&policy);
        let (start, end) = period(&policy);
        let earned = share(net, 10, start.days_until(end));
        assert_eq!(minor(policy.refunds[0].net.as_ref()), net - earned);
        assert_eq!(cover(&policy.members[1]).1, from);
        // inv_p10: what the member used stays used; only the hold for a day without cover came back.
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (400_000_00, 50_000_00));
        assert_eq!(payable(&world.price(&on(admission(&world, &family.member(1), 1_000_00), from.plus_days(-1))).await), 1_000_00);
        let gone = on(admission(&world, &family.member(1), 1_000_00), from);
        assert_eq!(refused(world.claims().price(gone).await), "NO_COVER_AT_EVENT_DATE");
        assert_eq!(world.remove(&family.holder, asked.clone()).await.expect("again").into_inner(), left, "once per request");
        let other = RemoveMemberRequest { member_id: family.member(2), ..asked };
        assert_eq!(refused(world.remove(&family.holder, other).await), "REQUEST_ID_REUSED");
        world.verify().await;
    }

    async fn hard_case_6_free_look_after_a_pharmacy_subsidy_nets_it(world: World) {
        let family = world.family().await;
        let asked = event(&world, &family.member(1), EventKind::PharmacyOrder, "PHARMACY", LineKind::Pharmacy, 20_000_00);
        let price = world.price(&asked).await;
        world.post(posting(&asked, &price, PostingKind::Capture)).await;
        let paid = minor(family.policy.premium.as_ref().expect("a premium").net.as_ref());
        let asked = world.cancellation(&family, CancelReason::FreeLook, None);
        let policy = world.cancel(&family.holder, asked).await.expect("cancelled").into_inner().policy.expect("the policy");
        assert_even(&policy);
        assert_eq!(policy.state(), PolicyState::Cancelled);
        // No day was covered; stamp duty of 500 stays, and the 18,000 that the plan paid of the medicines.
        assert_eq!(minor(policy.refunds[0].net.as_ref()), paid - 500_00 - 18_000_00);
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (18_000_00, 0), "the ledger keeps what was used");
        let next = admission(&world, &family.member(2), 1_000_00);
        assert_eq!(refused(world.claims().price(next).await), "NO_COVER_AT_EVENT_DATE");
        let late = world.addition(&family, &nobody_id("per"), Relation::Child, None);
        assert_eq!(refused(world.add(&family.holder, late).await), "RESOURCE_NOT_FOUND");
        let late = world.removal(&family, 2, RemoveReason::HolderRequest, world.today());
        assert_eq!(refused(world.remove(&family.holder, late).await), "POLICY_NOT_IN_FORCE");
        let late = world.cancellation(&family, CancelReason::HolderRequest, None);
        assert_eq!(refused(world.cancel(&family.holder, late).await), "POLICY_NOT_IN_FORCE");
        let child = world.enter(&family.holder, (2018, 1, 1), true).await;
        let late = world.addition(&family, &child, Relation::Child, None);
        assert_eq!(refused(world.add(&family.holder, late).await), "POLICY_NOT_IN_FORCE");
        world.verify().await;
    }

    async fn hard_case_7_a_death_told_late_ends_cover_after_its_day_and_earlier_claims_are_paid(world: World) {
        let family = world.family().await;
        world.clock.advance(20 * DAY);
        let died = world.today().plus_days(-5);
        let net = minor(family.policy.premium.as_ref().expect("a premium").members[1].net.as_ref());
        let asked = world.removal(&family, 1, RemoveReason::Death, died);
        let policy = world.remove(&family.holder, asked).await.expect("removed").into_inner().policy.expect("the policy");
        assert_even(&policy);
        assert_eq!(policy.members[1].state(), MemberState::Deceased);
        let (start, end) = period(&policy);
        // Fifteen days passed before the day of death, which is covered too: sixteen days are earned.
        assert_eq!(minor(policy.refunds[0].net.as_ref()), net - share(net, 16, start.days_until(end)));
        let late = on(admission(&world, &family.member(1), 70_000_00), died);
        assert_eq!(payable(&world.price(&late).await), 70_000_00);
        let after = on(admission(&world, &family.member(1), 70_000_00), died.plus_days(1));
        assert_eq!(refused(world.claims().price(after).await), "NO_COVER_AT_EVENT_DATE");
    }

    async fn a_cancellation_with_notice_nets_what_is_held_and_gives_later_holds_back(world: World) {
        let family = world.family().await;
        let before = world.clock.now();
        let (today, ends) = (world.today(), world.today().plus_days(30));
        let sooner = on(admission(&world, &family.member(1), 10_000_00), today.plus_days(3));
        let price = world.price(&sooner).await;
        world.post(hold(&world, &sooner, &price, 90 * DAY)).await;
        let later = on(admission(&world, &family.member(2), 25_000_00), ends);
        let price = world.price(&later).await;
        world.post(hold(&world, &later, &price, 90 * DAY)).await;
        world.clock.advance(Duration::from_secs(1));
        let paid = minor(family.policy.premium.as_ref().expect("a premium").net.as_ref());
        let asked = world.cancellation(&family, CancelReason::HolderRequest, None);
        let policy = world.cancel(&staff("support_agent"), asked).await.expect("cancelled").into_inner().policy;
        let policy = policy.expect("the policy");
        let (start, end) = period(&policy);
        let days = start.days_until(end);
        let members = &family.policy.premium.as_ref().expect("a premium").members;
        let earned: i64 = members.iter().map(|member| share(minor(member.net.as_ref()), 30, days)).sum();
        assert_eq!(minor(policy.refunds[0].net.as_ref()), paid - earned - 500_00 - 10_000_00);
        assert!(policy.members.iter().all(|member| cover(member).1 == ends));
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (0, 10_000_00));
        assert_eq!(payable(&world.price(&on(admission(&world, &family.member(3), 5_00), ends.plus_days(-1))).await), 5_00);

        // inv_p8: what was known before can be asked for, and is as it was.
        let then = GetPolicyRequest { policy_id: policy.policy_id.clone(), as_of: Some(before.to_wire()) };
        let then = world.policies(&family.holder).get_policy(then).await.expect("then").into_inner().policy.expect("then");
        assert_eq!((then.state(), then.endorsements.len()), (PolicyState::Active, 0));
        assert_eq!(cover(&then.members[0]).1, end);
        let never = Timestamp::from_micros(before.as_micros() - 3_600_000_000);
        let never = GetPolicyRequest { policy_id: policy.policy_id.clone(), as_of: Some(never.to_wire()) };
        assert_eq!(refused(world.policies(&family.holder).get_policy(never).await), "RESOURCE_NOT_FOUND");
        world.verify().await;
    }

    async fn what_a_change_may_not_do_is_refused_with_its_reason(world: World) {
        let family = world.family().await;
        let (holder, today) = (&family.holder, world.today());
        let child = world.enter(holder, (2018, 1, 1), true).await;
        let spouse = world.enter(holder, (1992, 1, 1), true).await;
        let past = world.addition(&family, &child, Relation::Child, Some(today.plus_days(-1)));
        assert_eq!(refused(world.add(holder, past).await), "EFFECTIVE_DATE_NOT_ALLOWED");
        let second = world.addition(&family, &spouse, Relation::Spouse, None);
        assert_eq!(refused(world.add(holder, second).await), "FAMILY_NOT_ALLOWED");
        let twice = world.addition(&family, &family.policy.members[1].person_id, Relation::Spouse, None);
        assert_eq!(refused(world.add(holder, twice).await), "MEMBER_ALREADY_COVERED");
        let stale = AddMemberRequest { etag: "0".to_owned(), ..world.addition(&family, &child, Relation::Child, None) };
        assert_eq!(refused(world.add(holder, stale).await), "STALE_VERSION");
        let past = world.removal(&family, 1, RemoveReason::HolderRequest, today.plus_days(-1));
        assert_eq!(refused(world.remove(holder, past).await), "EFFECTIVE_DATE_NOT_ALLOWED");
        let future = world.removal(&family, 1, RemoveReason::Death, today.plus_days(1));
        assert_eq!(refused(world.remove(holder, future).await), "EFFECTIVE_DATE_NOT_ALLOWED");
        let own = world.removal(&family, 0, RemoveReason::HolderRequest, today);
        assert_eq!(refused(world.remove(holder, own).await), "FIELD_INVALID");
        let tomorrow = world.removal(&family, 1, RemoveReason::HolderRequest, today.plus_days(1));
        world.remove(holder, tomorrow).await.expect("removed");
        let again = world.removal(&family, 1, RemoveReason::HolderRequest, today.plus_days(1));
        assert_eq!(refused(world.remove(holder, again).await), "MEMBER_NOT_COVERED");
        let soon = world.cancellation(&family, CancelReason::HolderRequest, Some(today.plus_days(29)));
        assert_eq!(refused(world.cancel(holder, soon).await), "EFFECTIVE_DATE_NOT_ALLOWED");
        world.clock.advance(14 * DAY);
        let over = world.cancellation(&family, CancelReason::FreeLook, None);
        assert_eq!(refused(world.cancel(holder, over).await), "FREE_LOOK_OVER");
        for member in [2, 3] {
            let leaves = world.removal(&family, member, RemoveReason::HolderRequest, world.today());
            world.remove(holder, leaves).await.expect("removed");
        }
        let died = world.removal(&family, 0, RemoveReason::Death, world.today());
        world.remove(holder, died).await.expect("a death is always told");
        // Only one child is left, and a contract without anybody is none.
        let last = world.removal(&family, 4, RemoveReason::HolderRequest, world.today().plus_days(1));
        assert_eq!(refused(world.remove(holder, last).await), "FAMILY_NOT_ALLOWED");
        world.policy(&family).await;
    }

    async fn nobody_else_changes_a_family_s_policy(world: World) {
        let family = world.family().await;
        let stranger = somebody();
        world.enter(&stranger, (1980, 1, 1), false).await;
        let leave = world.removal(&family, 1, RemoveReason::HolderRequest, world.today());
        assert_eq!(refused(world.remove(&stranger, leave).await), "RESOURCE_NOT_FOUND");
        let cancel = world.cancellation(&family, CancelReason::FreeLook, None);
        assert_eq!(refused(world.cancel(&stranger, cancel).await), "RESOURCE_NOT_FOUND");
        let child = world.enter(&stranger, (2018, 1, 1), true).await;
        let add = world.addition(&family, &child, Relation::Child, None);
        assert_eq!(refused(world.add(&stranger, add).await), "RESOURCE_NOT_FOUND");
        let theirs = world.enter(&stranger, (2019, 1, 1), true).await;
        let add = world.addition(&family, &theirs, Relation::Child, None);
        assert_eq!(refused(world.add(&family.holder, add).await), "RESOURCE_NOT_FOUND", "nor joins somebody else's child");
    }

    async fn changes_that_come_together_leave_one_outcome_and_even_books(world: World) {
        for _ in 0..3 {
            let family = world.family().await;
            let second = world.replica().await;
            let child = world.enter(&family.holder, (2018, 1, 1), true).await;
            let add = world.addition(&family, &child, Relation::Child, None);
            let leave = world.removal(&family, 1, RemoveReason::HolderRequest, world.today().plus_days(7));
            let cancel = world.cancellation(&family, CancelReason::FreeLook, None);
            let mut there = PolicyServiceClient::new(world.mesh.person(&second, &family.holder).expect("a caller"));
            let (added, left, cancelled) = tokio::join!(
                world.add(&family.holder, add),
                there.remove_member(leave),
                world.cancel(&family.holder, cancel)
            );
            cancelled.expect("a cancellation meets the others and wins in the end");
            for answer in [added.map(drop), left.map(drop)] {
                let refusal = answer.err().map(|status| reason(&status));
                assert!(refusal.is_none_or(|reason| reason == "POLICY_NOT_IN_FORCE"));
            }
            let policy = world.policy(&family).await;
            assert_eq!(policy.state(), PolicyState::Cancelled);
            let numbers = policy.endorsements.iter().map(|change| change.endorsement_id.as_str());
            let distinct: std::collections::BTreeSet<_> = numbers.collect();
            assert_eq!(distinct.len(), policy.endorsements.len());
            world.verify().await;
        }
    }

    async fn an_instalment_can_be_paid_in_grace_and_not_after_it(world: World) {
        let (family, quote) = world.paying_quarterly().await;
        let (start, _) = period(&world.policy(&family).await);
        let due = start.plus_months(3);
        let days = |until: Date| u32::try_from(world.today().days_until(until)).expect("days ahead");
        world.clock.advance(days(due) * DAY);
        assert_eq!(world.policy(&family).await.state(), PolicyState::Active, "the due day is in time");
        world.clock.advance(DAY);
        assert_eq!(world.policy(&family).await.state(), PolicyState::InGrace);
        // Nigeria: what is not paid is not covered; what is paid in grace leaves no gap.
        let asked = on(admission(&world, &family.member(1), 1_000_00), due);
        assert_eq!(refused(world.claims().price(asked.clone()).await), "NO_COVER_AT_EVENT_DATE");
        world.clock.advance(29 * DAY);
        assert_eq!(world.policy(&family).await.state(), PolicyState::InGrace, "the last day of grace");
        world.pay(&quote, 1, world.clock.now()).await.expect("a receipt");
        assert_eq!(world.policy(&family).await.state(), PolicyState::Active);
        assert_eq!(payable(&world.price(&asked).await), 1_000_00);
        let due = start.plus_months(6);
        world.clock.advance((days(due) + 31) * DAY);
        assert_eq!(world.policy(&family).await.state(), PolicyState::Lapsed, "by time alone, before any worker");
        assert_eq!(refused(world.pay(&quote, 2, world.clock.now()).await), "POLICY_LAPSED");
    }

    async fn a_lapse_is_written_down_once_and_a_payment_made_in_time_takes_it_back(world: World) {
        let (family, quote) = world.paying_quarterly().await;
        let (start, end) = period(&world.policy(&family).await);
        let due = start.plus_months(3);
        let late = u32::try_from(world.today().days_until(due)).expect("days ahead") + 31;
        world.clock.advance((late - 1) * DAY);
        let in_time = world.clock.now();
        world.clock.advance(DAY);
        let lapsed = world.aged(&family, EndorsementKind::Lapse).await;
        assert_eq!(lapsed.state(), PolicyState::Lapsed);
        assert!(lapsed.members.iter().all(|member| cover(member).1 == due), "cover ended with what was paid");
        assert_eq!(lapsed.endorsements.len(), 1, "once, however often the worker looks");
        world.pay(&quote, 1, in_time).await.expect("the money came in time");
        let back = world.policy(&family).await;
        assert_eq!(back.state(), PolicyState::Active);
        assert!(back.members.iter().all(|member| cover(member).1 == end), "no day is left uncovered");
        let kinds: Vec<_> = back.endorsements.iter().map(Endorsement::kind).collect();
        assert_eq!(kinds, [EndorsementKind::Lapse, EndorsementKind::Reinstate]);
        assert!(back.endorsements.len() == 2 && back.terms[0].state() == TermState::Open);
    }

    async fn a_policy_ends_with_its_term_and_claims_for_its_days_are_still_paid(world: World) {
        let family = world.family().await;
        let (_, end) = period(&family.policy);
        world.clock.advance(366 * DAY);
        assert_eq!(world.policy(&family).await.state(), PolicyState::Expired);
        let asked = on(admission(&world, &family.member(1), 30_000_00), end.plus_days(-3));
        let price = world.price(&asked).await;
        world.post(posting(&asked, &price, PostingKind::Capture)).await;
        let ended = world.aged(&family, EndorsementKind::Expire).await;
        assert_eq!((ended.state(), ended.terms[0].state()), (PolicyState::Expired, TermState::RunOff));
        assert_eq!(payable(&world.price(&on(admission(&world, &family.member(2), 7_00), end.plus_days(-1))).await), 7_00);
        world.verify().await;
    }
}
