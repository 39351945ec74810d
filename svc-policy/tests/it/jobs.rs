//! What time alone does to a policy: whoever looks first, a caller or the worker, late, twice or two at once, the outcome is
//! the same.

use std::collections::BTreeMap;
use std::time::Duration;

use caremesh_kernel::Clock as _;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::insured::{self, Wanted};

use crate::common::*;
use crate::life::*;

/// Age at which children leave the plan of these families, at the end of the term.
const AGES_OUT_AT: i32 = 25;

fn days(world: &World, until: caremesh_kernel::Date) -> u32 {
    u32::try_from(world.today().days_until(until)).expect("days ahead")
}

impl World {
    /// Which kinds of events the feed has for a policy, and how many of each.
    async fn told(&self, policy: &str) -> BTreeMap<&'static str, usize> {
        let asked = ListEventsRequest { limit: 1_000, ..ListEventsRequest::default() };
        let events = self.feed().list_events(asked).await.expect("the feed").into_inner().events;
        let mut told = BTreeMap::new();
        for event in events.iter().filter(|event| event.key == policy) {
            *told.entry(event.r#type().as_str_name()).or_default() += 1;
        }
        told
    }

    /// Waits until the feed tells of something.
    async fn until_told(&self, policy: &str, kind: EventType) -> BTreeMap<&'static str, usize> {
        for _ in 0..400 {
            let told = self.told(policy).await;
            if told.contains_key(kind.as_str_name()) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("nobody was told of {kind:?}");
    }
}

for_each_database! { with world;
    async fn a_posting_between_a_lapse_and_the_worker_s_round_is_judged_like_after_it(world: World) {
        let (family, quote) = world.paying_quarterly().await;
        let due = period(&world.policy(&family).await).0.plus_months(3);
        world.clock.advance((days(&world, due) - 1) * DAY);
        // Priced while everything is paid: one event before the due day, two after it.
        let before = on(admission(&world, &family.member(1), 1_000_00), due.plus_days(-1));
        let after = on(admission(&world, &family.member(2), 2_000_00), due.plus_days(5));
        let (price_before, price_after) = (world.price(&before).await, world.price(&after).await);
        let capture = |asked, price| posting(asked, price, PostingKind::Capture);
        world.clock.advance(7 * DAY);
        let early = world.claims().post(capture(&after, &price_after)).await;
        assert_eq!(refused(early), "NO_COVER_AT_EVENT_DATE", "in grace what is not paid is not covered");
        world.pay(&quote, 1, world.clock.now()).await.expect("a receipt");
        world.post(capture(&after, &price_after)).await;
        let next = due.plus_months(3);
        let unpaid = on(admission(&world, &family.member(3), 3_000_00), next.plus_days(1));
        let price_unpaid = world.price(&unpaid).await;
        world.clock.advance((days(&world, next) + 31) * DAY);
        let stale = PostRequest { expected_versions: Vec::new(), ..capture(&unpaid, &price_unpaid) };
        assert_eq!(refused(world.claims().post(stale).await), "NO_COVER_AT_EVENT_DATE", "lapsed, and no worker has run");
        let again = world.price(&before).await;
        assert_eq!(payable(&again), payable(&price_before));
        world.post(capture(&before, &again)).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await.0, 3_000_00);
        world.verify().await;
    }

    async fn a_lapsed_policy_asks_for_nothing_any_longer_whoever_looks_first(world: World) {
        let (family, quote) = world.paying_quarterly().await;
        let whole = world.policy(&family).await;
        let owed = minor(whole.receivable.as_ref());
        let due = period(&whole).0.plus_months(3);
        world.clock.advance((days(&world, due) + 30) * DAY);
        let in_time = world.clock.now();
        assert_eq!(minor(world.policy(&family).await.receivable.as_ref()), owed, "it can still be paid");
        world.clock.advance(DAY);
        let seen = world.policy(&family).await;
        assert_eq!((seen.state(), minor(seen.receivable.as_ref())), (PolicyState::Lapsed, 0), "before any worker");
        let written = world.aged(&family, EndorsementKind::Lapse).await;
        assert_eq!(written.premium, seen.premium, "the worker writes down what everybody saw");
        let lapse = written.endorsements.last().expect("the lapse");
        let total = |policy: &Policy| minor(policy.premium.as_ref().expect("a premium").total.as_ref());
        assert_eq!(lapse.net_change_minor + lapse.tax_change_minor, total(&written) - total(&whole));
        world.pay(&quote, 1, in_time).await.expect("the money came in time");
        let back = world.policy(&family).await;
        assert_eq!((total(&back), back.state()), (total(&whole), PolicyState::Active), "and what was written off is back");
    }

    async fn a_payment_in_time_meets_the_worker_that_lapses_and_one_outcome_is_left(world: World) {
        for _ in 0..3 {
            let (family, quote) = world.paying_quarterly().await;
            let due = period(&world.policy(&family).await).0.plus_months(3);
            world.clock.advance((days(&world, due) + 30) * DAY);
            let in_time = world.clock.now();
            world.clock.advance(DAY);
            let (_, paid) = tokio::join!(world.start_sweeping(), world.pay(&quote, 1, in_time));
            paid.expect("the money came in time");
            tokio::time::sleep(Duration::from_millis(300)).await;
            let policy = world.policy(&family).await;
            assert_eq!((policy.state(), policy.receipts.len()), (PolicyState::Active, 2));
            let kinds: Vec<_> = policy.endorsements.iter().map(Endorsement::kind).collect();
            assert!(kinds.is_empty() || kinds == [EndorsementKind::Lapse, EndorsementKind::Reinstate], "{kinds:?}");
        }
    }

    async fn each_reminder_is_sent_once_however_late_and_by_however_many_workers(world: World) {
        let (family, _) = world.paying_quarterly().await;
        let due = period(&world.policy(&family).await).0.plus_months(3);
        let id = &family.policy.policy_id;
        for _ in 0..3 {
            world.start_sweeping().await;
        }
        world.clock.advance((days(&world, due) - 10) * DAY);
        let told = world.until_told(id, EventType::PremiumDueSoon).await;
        assert_eq!(told["EVENT_TYPE_PREMIUM_DUE_SOON"], 1);
        // The reminder of three days before was missed: it is too late for it, and the overdue one is sent.
        world.clock.advance(13 * DAY);
        let told = world.until_told(id, EventType::PremiumOverdue).await;
        assert_eq!(told["EVENT_TYPE_PREMIUM_DUE_SOON"], 1);
        world.clock.advance(22 * DAY);
        world.until_told(id, EventType::GraceEndsSoon).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let told = world.told(id).await;
        for kind in ["PREMIUM_DUE_SOON", "PREMIUM_OVERDUE", "GRACE_ENDS_SOON"] {
            assert_eq!(told[format!("EVENT_TYPE_{kind}").as_str()], 1, "{kind}");
        }
        let policy = world.policy(&family).await;
        assert_eq!((policy.state(), policy.endorsements.len()), (PolicyState::InGrace, 0), "nothing of it changes the policy");
    }

    async fn hard_case_5_who_has_grown_out_of_the_plan_is_covered_to_the_end_of_the_term_and_named_then(world: World) {
        let born = (world.today().year() - AGES_OUT_AT + 1, 1, 1);
        let wanted = Wanted {
            plan: "NG-FAMILY-FLOATER",
            sum_insured: insured::money("NGN", SUM_INSURED),
            starts: world.today(),
            holder: (1975, 5, 17),
            others: &[((1976, 2, 3), Relation::Spouse), (born, Relation::Child)],
        };
        let family = world.insured(&wanted).await;
        let end = period(&family.policy).1;
        world.clock.advance(300 * DAY);
        let late = on(admission(&world, &family.member(2), 5_000_00), end.plus_days(-1));
        assert_eq!(payable(&world.price(&late).await), 5_000_00, "covered to the last day, grown up or not");
        world.clock.advance(66 * DAY);
        let ended = world.aged(&family, EndorsementKind::Expire).await;
        let states: Vec<_> = ended.members.iter().map(Member::state).collect();
        assert_eq!(states[2], MemberState::AgedOut, "{states:?}");
        assert!(states[..2].iter().all(|state| *state != MemberState::AgedOut));
    }
}
