//! The sum insured raised and lowered in mid-term, from outside: what waits, what a claim draws from which layer, what it
//! costs, and what is recovered.

use caremesh_kernel::{Clock as _, Date};
use caremesh_mesh::wire::{ToWire as _, date};
use caremesh_proto::policy::v1::endorsement_service_client::EndorsementServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::insured::{Wanted, money};
use caremesh_testkit::mesh::CallerChannel;
use tonic::{Response, Status};

use crate::common::*;
use crate::life::{DAY, assert_even, minor, on, payable, period, share};

/// What a family of the floater of Nigeria pays for a term, net, by sum insured: holder 36, spouse 35 and three children (see
/// `plans/ng-family-floater.toml`); read from offers, so that the tests compute differences only.
async fn net_of(world: &World, holder: &TestPerson, sum: i64) -> i64 {
    let asked = CreateQuoteRequest {
        sum_insured: naira(sum),
        validate_only: true,
        ..world.offer_request(holder).await
    };
    let quote = world.policies(holder).create_quote(asked).await.expect("a quote").into_inner().quote;
    minor(quote.expect("a quote").premium.expect("a premium").net.as_ref())
}

impl World {
    pub(crate) fn endorsements(&self, person: &TestPerson) -> EndorsementServiceClient<CallerChannel> {
        EndorsementServiceClient::new(self.person(person))
    }

    pub(crate) fn other_sum(&self, family: &Family, sum: i64, from: Option<Date>) -> ChangeSumInsuredRequest {
        ChangeSumInsuredRequest {
            request_id: request_id(),
            policy_id: family.policy.policy_id.clone(),
            sum_insured: naira(sum),
            effective_date: from.and_then(wire_date),
            etag: String::new(),
        }
    }

    pub(crate) async fn change_sum(
        &self,
        who: &TestPerson,
        asked: ChangeSumInsuredRequest,
    ) -> Result<Response<ChangeSumInsuredResponse>, Status> {
        self.endorsements(who).change_sum_insured(asked).await
    }

    pub(crate) async fn sum_changed(&self, family: &Family, sum: i64, from: Option<Date>) -> Policy {
        let asked = self.other_sum(family, sum, from);
        let changed = self.change_sum(&family.holder, asked).await.expect("another sum").into_inner();
        let policy = changed.policy.expect("the policy");
        assert_even(&policy);
        policy
    }

    /// Pays what is due of a policy by now.
    pub(crate) async fn settle(&self, policy: &Policy) {
        let asked = RecordPremiumPaymentRequest {
            request_id: request_id(),
            quote_id: policy.quote_id.clone(),
            payment_reference: format!("psp-{}", request_id()),
            amount: policy.receivable.clone(),
            receive_time: Some(self.clock.now().to_wire()),
        };
        self.policies(&staff("finance_officer")).record_premium_payment(asked).await.expect("a receipt");
    }

    /// Posts a price of an illness's admission on a day and answers what was drawn of each layer.
    pub(crate) async fn spend(
        &self,
        member: &str,
        day: Date,
        billed: i64,
        accident: bool,
    ) -> Vec<(LayerKind, i64)> {
        let mut asked = on(admission(self, member, billed), day);
        asked.event.as_mut().expect("an event").accident = accident;
        let price = self.price(&asked).await;
        self.post(posting(&asked, &price, PostingKind::Capture)).await;
        let layer = |leg: &Leg| leg.layer.as_ref().map(|layer| layer.kind()).unwrap_or_default();
        let pool =
            price.legs.iter().filter(|leg| leg.account.as_ref().is_some_and(|key| key.code == "SUM_INSURED"));
        pool.map(|leg| (layer(leg), leg.amount)).collect()
    }
}

fn layers(policy: &Policy) -> Vec<(LayerKind, i64, Date)> {
    let day =
        |layer: &SumInsuredLayer| date("start", layer.valid.as_ref().expect("days").start).expect("a day");
    let all = policy.terms.last().expect("a term").layers.iter();
    all.map(|layer| (layer.kind(), minor(layer.amount.as_ref()), day(layer))).collect()
}

for_each_database! { with world;
    async fn hard_case_3_an_increase_waits_anew_and_one_claim_is_split_over_two_layers(world: World) {
        let family = world.family().await;
        let (start, end) = period(&family.policy);
        // The initial waiting of thirty days is served for what was bought at first.
        world.clock.advance(60 * DAY);
        let from = world.today();
        let asked = world.other_sum(&family, 500_000_000, None);
        let answer = world.change_sum(&family.holder, asked.clone()).await.expect("more").into_inner();
        let again = world.change_sum(&family.holder, asked).await.expect("again").into_inner();
        assert_eq!(answer, again, "once per request");
        let policy = answer.policy.expect("the policy");
        let more = [(LayerKind::Base, 300_000_000, start), (LayerKind::Increase, 200_000_000, from)];
        assert_eq!(layers(&policy), more);
        let clock = policy.terms[0].layers[1].clocks[0].waiting_start;
        assert_eq!(clock, wire_date(from), "the increase waits from its own day");
        // Premium: the difference of two offers for the days that are left, due today.
        let (less, dear) = (net_of(&world, &somebody(), 300_000_000).await, net_of(&world, &somebody(), 500_000_000).await);
        let change = policy.endorsements.last().expect("the change");
        let left = from.days_until(end);
        assert_eq!(change.net_change_minor, share(dear - less, left, start.days_until(end)));
        assert_eq!((change.kind(), change.effective_date), (EndorsementKind::SumInsured, wire_date(from)));
        assert!(minor(policy.receivable.as_ref()) > 0);
        world.settle(&policy).await;
        // Within the waiting of the increase an illness draws the base alone; an accident waits for nothing.
        let ill = world.spend(&family.member(1), from, 280_000_000, false).await;
        assert_eq!(ill, vec![(LayerKind::Base, 280_000_000)]);
        let asked = on(admission(&world, &family.member(1), 50_000_000), from);
        let mut ill = asked.clone();
        ill.event.as_mut().expect("an event").accident = false;
        assert_eq!(payable(&world.price(&ill).await), 20_000_000, "what is left of the base");
        assert_eq!(payable(&world.price(&asked).await), 50_000_000);
        // An event before the change does not know of the increase.
        let mut before = on(admission(&world, &family.member(1), 50_000_000), from.plus_days(-1));
        before.event.as_mut().expect("an event").accident = true;
        assert_eq!(payable(&world.price(&before).await), 20_000_000);
        // Thirty days later one claim is split over two layers.
        world.clock.advance(31 * DAY);
        let split = world.spend(&family.member(2), world.today(), 60_000_000, false).await;
        assert_eq!(split, vec![(LayerKind::Base, 20_000_000), (LayerKind::Increase, 40_000_000)]);
        world.verify().await;
    }

    async fn an_account_that_was_opened_before_gets_what_one_opened_after_would_have(world: World) {
        let (early, late) = (world.family().await, world.family().await);
        let spent = world.spend(&early.member(0), world.today(), 1_000_00, true).await;
        assert_eq!(spent, vec![(LayerKind::Base, 1_000_00)]);
        for family in [&early, &late] {
            world.sum_changed(family, 1_000_000_000, None).await;
        }
        world.spend(&late.member(0), world.today(), 1_000_00, true).await;
        let mut granted = Vec::new();
        for family in [&early, &late] {
            let asked = ListBalancesRequest { policy_id: family.policy.policy_id.clone(), ..ListBalancesRequest::default() };
            let balances = world.claims().list_balances(asked).await.expect("balances").into_inner().balances;
            let mut of_family: Vec<(String, i32, i64, i64)> = balances
                .iter()
                .flat_map(|one| one.layers.iter().map(move |layer| {
                    let key = one.key.as_ref().expect("a key");
                    (key.code.clone(), layer.key.as_ref().expect("a layer").kind, layer.granted, layer.used)
                }))
                .collect();
            of_family.sort();
            granted.push(of_family);
        }
        assert_eq!(granted[0], granted[1]);
        world.verify().await;
    }

    async fn what_is_used_beyond_a_lowered_limit_is_overdrawn_and_recovered(world: World) {
        let family = world.insured(&Wanted {
            plan: "NG-FAMILY-FLOATER",
            sum_insured: money("NGN", 1_000_000_000),
            starts: world.today(),
            holder: (1990, 5, 17),
            others: &[((1991, 2, 3), Relation::Spouse)],
        }).await;
        let used = world.spend(&family.member(1), world.today(), 700_000_000, true).await;
        assert_eq!(used, vec![(LayerKind::Base, 700_000_000)]);
        let tomorrow = world.today().plus_days(1);
        let policy = world.sum_changed(&family, 500_000_000, Some(tomorrow)).await;
        let start = period(&policy).0;
        let less = [(LayerKind::Base, 500_000_000, start), (LayerKind::Base, 500_000_000, start)];
        assert_eq!(layers(&policy), less, "the second is good until tomorrow");
        let refund = policy.refunds.last().expect("a refund");
        assert!(minor(refund.net.as_ref()) > 0, "everything was paid: the difference goes back");
        assert_eq!(-policy.endorsements.last().expect("the change").net_change_minor, minor(refund.net.as_ref()));
        let recovery = policy.recoveries.first().expect("a recovery");
        assert_eq!((recovery.amount, recovery.measure()), (200_000_000, Measure::PlanPaid));
        let report = caremesh_svc_policy::verify_ledger(&world.config, &|_, _| ()).await.expect("verification runs");
        assert!(report.is_clean(), "{report:?}");
        let listed: Vec<(i64, &str)> = report.overdrawn.iter().map(|o| (o.amount, o.recovery.as_str())).collect();
        assert_eq!(listed, vec![(200_000_000, recovery.recovery_id.as_str())]);
        // Events before the change have the room they had; later ones have none.
        let early = admission(&world, &family.member(0), 900_000_000);
        assert_eq!(payable(&world.price(&early).await), 300_000_000);
        let later = on(admission(&world, &family.member(0), 900_000_000), tomorrow);
        let price = world.price(&later).await;
        let kinds = price.legs.iter().filter_map(|leg| leg.layer.as_ref()).map(LayerKey::kind);
        assert!(kinds.into_iter().all(|kind| kind == LayerKind::Restored), "nothing but what the plan restores");
        assert_eq!(payable(&price), 500_000_000, "the lowered sum once more");
        // Raised again: what comes back waits anew (INV-P9), and the overdraft stays until it is given back.
        world.clock.advance(2 * DAY);
        let again = world.sum_changed(&family, 1_000_000_000, None).await;
        assert_eq!(again.terms[0].layers.last().expect("a layer").clocks[0].waiting_start, wire_date(world.today()));
        let after = admission(&world, &family.member(0), 900_000_000);
        assert_eq!(payable(&world.price(&after).await), 500_000_000);
        world.verify().await;
    }

    async fn a_lowered_sum_takes_the_next_payments_down(world: World) {
        let (family, _) = world.paying_quarterly().await;
        let before = world.sum_changed(&family, 500_000_000, None).await;
        let tomorrow = world.today().plus_days(1);
        let policy = world.sum_changed(&family, SUM_INSURED, Some(tomorrow)).await;
        let change = policy.endorsements.last().expect("the change");
        assert!(change.net_change_minor < 0 && policy.refunds.is_empty());
        let owed = |policy: &Policy| minor(policy.receivable.as_ref());
        assert_eq!(owed(&before) - owed(&policy), -change.net_change_minor - change.tax_change_minor);
    }

    async fn what_a_sum_insured_may_not_become_is_refused(world: World) {
        let family = world.family().await;
        let holder = &family.holder;
        let ask = |sum, from| world.change_sum(holder, world.other_sum(&family, sum, from));
        assert_eq!(refused(ask(123_456_789, None).await), "SUM_INSURED_NOT_OFFERED");
        assert_eq!(refused(ask(SUM_INSURED, None).await), "FIELD_INVALID", "it is that already");
        let day = |n| Some(world.today().plus_days(n));
        for on in [day(-1), day(91), day(400)] {
            assert_eq!(refused(ask(500_000_000, on).await), "EFFECTIVE_DATE_NOT_ALLOWED");
        }
        let rupees = ChangeSumInsuredRequest {
            sum_insured: Some(money("INR", 500_000_000)),
            ..world.other_sum(&family, 500_000_000, None)
        };
        assert_eq!(refused(world.change_sum(holder, rupees).await), "CURRENCY_MISMATCH");
        let stale = ChangeSumInsuredRequest { etag: "0".to_owned(), ..world.other_sum(&family, 500_000_000, None) };
        assert_eq!(refused(world.change_sum(holder, stale).await), "STALE_VERSION");
        let other = world.family().await;
        let foreign = world.change_sum(&other.holder, world.other_sum(&family, 500_000_000, None)).await;
        assert_eq!(refused(foreign), "RESOURCE_NOT_FOUND");
        world.sum_changed(&family, 500_000_000, day(40)).await;
        assert_eq!(refused(ask(1_000_000_000, day(39)).await), "EFFECTIVE_DATE_NOT_ALLOWED", "before the last change");
        world.cancel(holder, world.cancellation(&family, CancelReason::FreeLook, None)).await.expect("cancelled");
        assert_eq!(refused(ask(1_000_000_000, None).await), "POLICY_NOT_IN_FORCE");
    }

    async fn two_endorsements_at_once_are_made_one_after_the_other(world: World) {
        let family = world.family().await;
        let second = world.replica().await;
        let mut there = EndorsementServiceClient::new(
            world.mesh.person(&second, &family.holder).expect("a caller"),
        );
        let (one, other) = tokio::join!(
            world.change_sum(&family.holder, world.other_sum(&family, 500_000_000, None)),
            there.change_sum_insured(world.other_sum(&family, 1_000_000_000, None)),
        );
        one.expect("the one");
        other.expect("the other");
        let policy = world.policy(&family).await;
        assert_eq!(policy.endorsements.len(), 2);
        let sum: i64 = policy.terms[0].layers.iter()
            .filter(|layer| layer.valid.as_ref().is_some_and(|days| days.end == policy.terms[0].period.expect("days").end))
            .map(|layer| minor(layer.amount.as_ref()))
            .sum();
        let last = policy.terms[0].segments.last().expect("a segment").sum_insured.as_ref().map(|m| m.minor_units);
        assert_eq!(Some(sum), last, "the second saw the first");
        let at = policy.etag.clone();
        let [a, b] = [500_000_000, 300_000_000].map(|sum| ChangeSumInsuredRequest {
            etag: at.clone(),
            ..world.other_sum(&family, if Some(sum) == last { 1_000_000_000 } else { sum }, None)
        });
        let (one, other) = tokio::join!(world.change_sum(&family.holder, a), there.change_sum_insured(b));
        let lost = [one, other].into_iter().filter_map(Result::err).map(|status| reason(&status)).collect::<Vec<_>>();
        assert_eq!(lost, vec!["STALE_VERSION"], "of two that read the same version one is made");
        world.verify().await;
    }
}
