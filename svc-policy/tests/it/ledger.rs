//! Price, hold, capture, release, reverse: what a family spends from its cover, and what the ledger refuses.

use std::time::Duration;

use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use prost::Message as _;

use crate::common::*;

const HOUR: Duration = Duration::from_secs(3_600);

for_each_database! { with world;
    async fn a_family_prices_holds_captures_in_parts_and_takes_back(world: World) {
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), 40_000_00);
        let price = world.price(&asked).await;
        assert_eq!(price.total.as_ref().expect("a total").payable_minor, 40_000_00);
        let held = world.post(hold(&world, &asked, &price, HOUR)).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (0, 40_000_00));
        let hold_id = held.posting.clone().expect("a posting").instructions[0].hold_id.clone();

        let mut part = posting(&asked, &price, PostingKind::Capture);
        part.instructions[0].legs[0].amount = 15_000_00;
        part.instructions[0].hold_id.clone_from(&hold_id);
        part.expected_versions = Vec::new();
        let captured = world.post(part.clone()).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (15_000_00, 25_000_00));
        part.request_id = request_id();
        part.source.as_mut().expect("a source").revision = 1;
        part.instructions[0].r#final = true;
        part.instructions[0].legs[0].amount = 5_000_00;
        world.post(part).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (20_000_00, 0));

        let captured = captured.posting.expect("a posting");
        let mut back = posting(&asked, &price, PostingKind::Reverse);
        back.source.clone_from(&captured.source);
        back.instructions[0].reverses_posting_id.clone_from(&captured.posting_id);
        back.instructions[0].legs[0].amount = 15_000_00;
        back.expected_versions = Vec::new();
        world.post(back.clone()).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (5_000_00, 0));
        back.request_id = request_id();
        back.instructions[0].part = 1;
        back.instructions[0].legs[0].amount = 1;
        assert_eq!(refused(world.claims().post(back).await), "REVERSAL_EXCEEDS_CAPTURE");
        world.verify().await;
    }

    async fn a_snapshot_gives_the_same_price_for_ever_and_a_changed_one_none(world: World) {
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), 40_000_00);
        let first = world.price(&asked).await;
        world.post(posting(&asked, &first, PostingKind::Capture)).await;
        let again = PriceRequest { snapshot: first.snapshot.clone(), ..asked.clone() };
        assert_eq!(world.price(&again).await.encode_to_vec(), first.encode_to_vec());
        let mut forged = first.snapshot.clone().expect("a snapshot");
        forged.accounts[0].layers[0].granted += 1;
        let forged = PriceRequest { snapshot: Some(forged), ..asked.clone() };
        assert_eq!(refused(world.claims().price(forged).await), "SNAPSHOT_INVALID");
        let mut of_another = admission(&world, &family.member(2), 40_000_00);
        of_another.snapshot.clone_from(&first.snapshot);
        assert_eq!(refused(world.claims().price(of_another).await), "SNAPSHOT_INVALID");
        let mut another = admission(&world, &family.member(1), 40_000_00);
        another.snapshot.clone_from(&first.snapshot);
        assert_eq!(refused(world.claims().price(another).await), "SNAPSHOT_INVALID", "who drew before was read for the first");
    }

    async fn a_price_does_not_grow_with_the_visits_before_it(world: World) {
        let family = world.family().await;
        let mut sizes = Vec::new();
        for _ in 0..12 {
            let asked = admission(&world, &family.member(1), 1_000_00);
            let price = world.price(&asked).await;
            sizes.push(price.encoded_len());
            world.post(posting(&asked, &price, PostingKind::Capture)).await;
        }
        // Amounts and versions take more digits; ten draws would be more than a thousand bytes.
        assert!(sizes[11] < sizes[1] + 100, "{sizes:?}");
    }

    async fn as_of_answers_what_was_known_then(world: World) {
        use caremesh_kernel::Clock as _;
        use caremesh_mesh::wire::ToWire as _;
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), 2_900_000_00);
        let then = world.clock.now();
        world.clock.advance(Duration::from_secs(1));
        let price = world.price(&asked).await;
        world.post(posting(&asked, &price, PostingKind::Capture)).await;
        let later = admission(&world, &family.member(2), 2_900_000_00);
        assert_eq!(world.price(&later).await.total.expect("a total").payable_minor, 100_000_00);
        let before = PriceRequest { as_of: Some(then.to_wire()), ..later };
        assert_eq!(world.price(&before).await.total.expect("a total").payable_minor, 2_900_000_00);
        let balances = ListBalancesRequest {
            policy_id: family.policy.policy_id.clone(),
            as_of: Some(world.clock.now().to_wire()),
            ..ListBalancesRequest::default()
        };
        let now = world.claims().list_balances(balances.clone()).await.expect("balances").into_inner().balances;
        let plain = ListBalancesRequest { as_of: None, ..balances.clone() };
        let stored = world.claims().list_balances(plain).await.expect("balances").into_inner().balances;
        assert_eq!(now, stored, "the folded journal is what is stored");
        let past = ListBalancesRequest { as_of: Some(then.to_wire()), ..balances };
        let none = world.claims().list_balances(past).await.expect("balances").into_inner().balances;
        assert!(none.is_empty(), "nothing had been posted");
    }

    async fn a_stale_version_answers_with_fresh_balances_and_pricing_again_works(world: World) {
        let family = world.family().await;
        let (one, two) = (admission(&world, &family.member(1), 2_000_000_00), admission(&world, &family.member(2), 2_000_000_00));
        let (first, second) = (world.price(&one).await, world.price(&two).await);
        world.post(posting(&one, &first, PostingKind::Capture)).await;
        let status = world.claims().post(posting(&two, &second, PostingKind::Capture)).await.expect_err("stale");
        assert_eq!((status.code(), reason(&status).as_str()), (tonic::Code::Aborted, "BALANCE_CHANGED"));
        let details = tonic_types::pb::Status::decode(status.details()).expect("details").details;
        let conflict = details.iter().find(|any| any.type_url.ends_with("BalanceConflict")).expect("fresh balances");
        let conflict = BalanceConflict::decode(conflict.value.as_slice()).expect("balances");
        assert_eq!(conflict.balances[0].layers[0].used, 2_000_000_00);
        let again = world.price(&two).await;
        assert_eq!(again.total.as_ref().expect("a total").payable_minor, 1_000_000_00);
        world.post(posting(&two, &again, PostingKind::Capture)).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await.0, SUM_INSURED);
        world.verify().await;
    }

    async fn a_capture_meets_its_expired_hold_and_draws_afresh_while_there_is_room(world: World) {
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), 2_000_000_00);
        let price = world.price(&asked).await;
        let hold_of = |held: &PostResponse| held.posting.as_ref().expect("a posting").instructions[0].hold_id.clone();
        let held = world.post(hold(&world, &asked, &price, HOUR)).await;
        let mut capture = posting(&asked, &price, PostingKind::Capture);
        capture.instructions[0].hold_id = hold_of(&held);
        capture.instructions[0].r#final = true;
        capture.expected_versions = Vec::new();
        world.clock.advance(HOUR);
        world.post(capture.clone()).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (2_000_000_00, 0));
        capture.request_id = request_id();
        capture.source.as_mut().expect("a source").revision = 1;
        assert_eq!(refused(world.claims().post(capture).await), "HOLD_CLOSED");

        let small = admission(&world, &family.member(2), 900_000_00);
        let price = world.price(&small).await;
        let held = world.post(hold(&world, &small, &price, HOUR)).await;
        world.clock.advance(HOUR);
        let taken = admission(&world, &family.member(3), 900_000_00);
        let other = world.price(&taken).await;
        assert_eq!(other.total.as_ref().expect("a total").payable_minor, 900_000_00, "an expired hold keeps nothing");
        world.post(posting(&taken, &other, PostingKind::Capture)).await;
        let mut late = posting(&small, &price, PostingKind::Capture);
        late.instructions[0].hold_id = hold_of(&held);
        late.expected_versions = Vec::new();
        assert_eq!(refused(world.claims().post(late).await), "HOLD_EXPIRED");
        world.verify().await;
    }

    async fn what_a_posting_may_not_do_is_refused_with_its_reason(world: World) {
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), 40_000_00);
        let price = world.price(&asked).await;
        let capture = || posting(&asked, &price, PostingKind::Capture);
        let refuse = async |change: &dyn Fn(&mut PostRequest)| {
            let mut post = capture();
            change(&mut post);
            refused(world.claims().post(post).await)
        };
        assert_eq!(refuse(&|p| p.instructions[0].legs[0].amount = SUM_INSURED + 1).await, "BENEFIT_EXHAUSTED");
        assert_eq!(refuse(&|p| p.expected_versions.clear()).await, "LEGS_INVALID");
        assert_eq!(refuse(&|p| p.instructions[0].legs[0].account.as_mut().expect("a key").code = "NONE".into()).await, "ACCOUNT_UNKNOWN");
        assert_eq!(refuse(&|p| p.instructions[0].legs[0].layer.as_mut().expect("a key").ordinal = 7).await, "LAYER_UNKNOWN");
        assert_eq!(refuse(&|p| p.instructions[0].hold_id = nobody_id("hld")).await, "HOLD_NOT_FOUND");
        let never = wire_date(world.today().plus_days(-400));
        assert_eq!(refuse(&|p| p.event.as_mut().expect("an event").event_date = never).await, "NO_COVER_AT_EVENT_DATE");
        let reverse = |p: &mut PostRequest| {
            p.instructions[0].kind = PostingKind::Reverse.into();
            p.instructions[0].reverses_posting_id = nobody_id("pst");
        };
        assert_eq!(refuse(&reverse).await, "POSTING_NOT_FOUND");
        assert_eq!(refuse(&|p| p.instructions[0].legs[0].amount = 0).await, "FIELD_INVALID");
        let grant = |p: &mut PostRequest| {
            let leg = p.instructions[0].legs.remove(0);
            p.instructions[0].kind = PostingKind::Restore.into();
            p.instructions[0].grants = vec![LayerGrant {
                account: leg.account,
                layer: Some(LayerKey { kind: LayerKind::Restored.into(), ordinal: 0 }),
                amount: SUM_INSURED,
                rule_id: "RESTORE_ONCE".to_owned(),
                ..LayerGrant::default()
            }];
        };
        assert_eq!(refuse(&grant).await, "GRANT_NOT_ALLOWED");
        let raise = |p: &mut PostRequest| {
            grant(p);
            p.instructions[0].kind = PostingKind::Grant.into();
            p.instructions[0].grants[0].layer = Some(LayerKey { kind: LayerKind::Bonus.into(), ordinal: 0 });
        };
        assert_eq!(refuse(&raise).await, "GRANT_NOT_ALLOWED");
        let anothers = |p: &mut PostRequest| p.source.as_mut().expect("a source").service = "svc-pharmacy".into();
        assert_eq!(refuse(&anothers).await, "FIELD_INVALID");
        let held = world.post(hold(&world, &asked, &price, HOUR)).await;
        let hold_id = held.posting.expect("a posting").instructions[0].hold_id.clone();
        let more = |p: &mut PostRequest| {
            p.instructions[0].hold_id.clone_from(&hold_id);
            p.instructions[0].legs[0].amount += 1;
            p.expected_versions.clear();
        };
        assert_eq!(refuse(&more).await, "CAPTURE_EXCEEDS_HOLD");
        let fresh = world.price(&asked).await;
        // No call closes a term yet.
        world.execute("UPDATE policy_term SET state = 'CLOSED'").await;
        let late = posting(&asked, &fresh, PostingKind::Capture);
        assert_eq!(refused(world.claims().post(late).await), "TERM_CLOSED");
        world.verify().await;
    }

    async fn inv_p2_the_same_request_posts_once_and_the_same_part_never_twice(world: World) {
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), 40_000_00);
        let price = world.price(&asked).await;
        let post = posting(&asked, &price, PostingKind::Capture);
        let first = world.post(post.clone()).await;
        assert_eq!(world.post(post.clone()).await, first, "the first answer again");
        let mut other = post.clone();
        other.instructions[0].legs[0].amount = 1;
        assert_eq!(refused(world.claims().post(other).await), "REQUEST_ID_REUSED");
        let mut anew = PostRequest { request_id: request_id(), ..post };
        anew.expected_versions = world.price(&asked).await.expected_versions;
        assert_eq!(refused(world.claims().post(anew).await), "POSTING_ALREADY_MADE");
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (40_000_00, 0));
        world.verify().await;
    }

    async fn an_exhausted_pool_is_restored_once_for_an_unrelated_event(world: World) {
        let family = world.family().await;
        let all = admission(&world, &family.member(1), SUM_INSURED);
        let price = world.price(&all).await;
        world.post(posting(&all, &price, PostingKind::Capture)).await;
        let next = admission(&world, &family.member(2), 100_000_00);
        let restored = world.price(&next).await;
        assert_eq!(restored.grants.len(), 1, "the plan refills once");
        assert_eq!(restored.total.as_ref().expect("a total").payable_minor, 100_000_00);
        world.post(posting(&next, &restored, PostingKind::Capture)).await;
        assert_eq!(world.balance(&family, "SUM_INSURED").await.0, SUM_INSURED + 100_000_00);
        let third = admission(&world, &family.member(3), 100_000_00);
        assert!(world.price(&third).await.grants.is_empty(), "never twice");
        world.verify().await;
    }

    async fn a_restoration_is_judged_by_who_drew_before_and_keeps_its_rule(world: World) {
        let family = world.family().await;
        let cause = |n: u8| format!("{n:02x}").repeat(32);
        let mut all = admission(&world, &family.member(1), SUM_INSURED);
        all.event.as_mut().expect("an event").cause_id = cause(1);
        let price = world.price(&all).await;
        world.post(posting(&all, &price, PostingKind::Capture)).await;
        let next = admission(&world, &family.member(1), 100_000_00);
        let restored = world.price(&next).await;
        assert_eq!(restored.grants.len(), 1, "no cause is related to none");

        let mut related = posting(&next, &restored, PostingKind::Capture);
        related.event.as_mut().expect("an event").cause_id = cause(1);
        assert_eq!(refused(world.claims().post(related).await), "GRANT_NOT_ALLOWED");
        let mut same = posting(&next, &restored, PostingKind::Capture);
        same.event = Some(caremesh_testkit::insured::event_ref(all.event.clone().expect("an event")));
        same.event.as_mut().expect("an event").cause_id = String::new();
        assert_eq!(refused(world.claims().post(same).await), "GRANT_NOT_ALLOWED");

        let booked = world.post(posting(&next, &restored, PostingKind::Capture)).await.posting.expect("a posting");
        assert_eq!(booked.instructions[0].grants[0].rule_id, "RESTORE_ONCE");
        let listed = ListPostingsRequest { policy_id: family.policy.policy_id.clone(), ..ListPostingsRequest::default() };
        let listed = world.claims().list_postings(listed).await.expect("postings").into_inner().postings;
        assert_eq!(listed[0], booked, "the journal keeps the rule");
        world.verify().await;
    }

    async fn two_claims_together_end_in_one_of_two_orders_and_in_no_third(world: World) {
        for _ in 0..3 {
            let family = world.family().await;
            let claims = [(1, 2_000_000_00), (2, 1_500_000_00)];
            let mut calls = Vec::new();
            for (member, billed) in claims {
                let asked = admission(&world, &family.member(member), billed);
                calls.push(async { spend(&world, asked).await });
            }
            let paid = futures::future::join_all(calls).await;
            let total: i64 = paid.iter().sum();
            assert_eq!(total, SUM_INSURED);
            let orders = [vec![2_000_000_00, 1_000_000_00], vec![1_500_000_00, 1_500_000_00]];
            assert!(orders.contains(&paid), "{paid:?}");
            world.verify().await;
        }
    }

    async fn hard_case_1_two_claims_and_a_pharmacy_order_drain_one_floater_at_the_same_millisecond(world: World) {
        for _ in 0..3 {
            let family = world.family().await;
            let mut calls = Vec::new();
            for member in [1, 2] {
                calls.push(admission(&world, &family.member(member), 1_490_000_00));
            }
            calls.push(event(&world, &family.member(0), EventKind::PharmacyOrder, "PHARMACY", LineKind::Pharmacy, 60_000_00));
            let paid = futures::future::join_all(calls.into_iter().map(|asked| spend(&world, asked))).await;
            let used = world.balance(&family, "SUM_INSURED").await.0;
            assert_eq!(paid.iter().sum::<i64>(), used, "what was decided is what was used");
            assert_eq!(used, SUM_INSURED, "the pool is drained and never overdrawn");
            world.verify().await;
        }
    }
}

/// Prices and posts until it is booked, as a deciding service does; answers what the plan pays.
pub(crate) async fn spend(world: &World, asked: PriceRequest) -> i64 {
    for _ in 0..100 {
        let price = world.price(&asked).await;
        let payable = price.total.as_ref().expect("a total").payable_minor;
        if price.legs.is_empty() {
            return payable;
        }
        match world.claims().post(posting(&asked, &price, PostingKind::Capture)).await {
            Ok(_) => return payable,
            Err(status) if reason(&status) == "BALANCE_CHANGED" => {}
            Err(status) => panic!("{status:?}"),
        }
    }
    panic!("never booked");
}
