//! Faults that were found in another insurer core, each as the test that it would fail. Those of the arithmetic alone are
//! in the engine's own tests of the same name.

use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;

use crate::common::*;
use crate::ledger::spend;

fn medicines(world: &World, member: &str, billed: i64) -> PriceRequest {
    event(world, member, EventKind::PharmacyOrder, "PHARMACY", LineKind::Pharmacy, billed)
}

fn payable(price: &Price) -> i64 {
    price.total.as_ref().expect("a total").payable_minor
}

for_each_database! { with world;
    // Fault: no lock anywhere, so that two claims use the same room.
    async fn claims_that_arrive_together_never_use_the_same_room(world: World) {
        // Eight of 1,000,000 on a pool of 3,000,000 that is restored once: 6,000,000, however they interleave.
        let family = world.family().await;
        let calls = (0..8).map(|n| spend(&world, admission(&world, &family.member(n % 5), 1_000_000_00)));
        let paid: i64 = futures::future::join_all(calls).await.iter().sum();
        assert_eq!((paid, world.balance(&family, "SUM_INSURED").await.0), (2 * SUM_INSURED, 2 * SUM_INSURED));
        world.verify().await;
    }

    // Fault: usage of archived rows is summed, so that a withdrawn claim keeps its room.
    async fn a_claim_that_was_taken_back_is_no_usage(world: World) {
        let family = world.family().await;
        let asked = admission(&world, &family.member(1), SUM_INSURED);
        let price = world.price(&asked).await;
        let booked = world.post(posting(&asked, &price, PostingKind::Capture)).await.posting.expect("a posting");
        let mut back = posting(&asked, &price, PostingKind::Reverse);
        back.source.clone_from(&booked.source);
        back.instructions[0].reverses_posting_id.clone_from(&booked.posting_id);
        back.expected_versions = Vec::new();
        world.post(back).await;
        let next = world.price(&admission(&world, &family.member(2), SUM_INSURED)).await;
        assert_eq!((payable(&next), next.grants.len()), (SUM_INSURED, 0), "the base is there again, nothing is restored");
    }

    // Fault: what was paid before is set to 0 and never loaded, so that a ceiling never fills.
    async fn what_was_paid_before_counts_against_a_ceiling(world: World) {
        // 60,000 of medicines a month. 50,000 first; of the next 50,000 only 10,000 are allowed, a tenth is co-pay.
        let family = world.family().await;
        assert_eq!(spend(&world, medicines(&world, &family.member(1), 50_000_00)).await, 45_000_00);
        let next = world.price(&medicines(&world, &family.member(1), 50_000_00)).await;
        let total = next.total.expect("a total");
        let found = (total.sublimit_cut_minor, total.copay_minor, total.payable_minor);
        assert_eq!(found, (40_000_00, 1_000_00, 9_000_00));
    }

    // Fault: `or` on numbers, so that an approved price of zero falls back to what was asked.
    async fn an_agreed_price_of_zero_is_a_price(world: World) {
        let family = world.family().await;
        let mut asked = admission(&world, &family.member(1), 40_000_00);
        asked.lines[0].agreed = naira(0);
        let total = world.price(&asked).await.total.expect("a total");
        assert_eq!((total.provider_writeoff_minor, total.payable_minor), (40_000_00, 0));
    }

    // Fault: the out-patient ceiling shows the in-patient usage.
    async fn out_patient_room_is_shown_from_out_patient_use_alone(world: World) {
        let family = world.family().await;
        spend(&world, admission(&world, &family.member(1), 500_000_00)).await;
        assert_eq!(world.balance(&family, "OUTPATIENT").await, (0, 0), "a stay uses no out-patient room");
        spend(&world, medicines(&world, &family.member(2), 20_000_00)).await;
        assert_eq!(world.balance(&family, "OUTPATIENT").await, (18_000_00, 0));
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (518_000_00, 0), "the parent pool counts both");
        let asked = GetCoverRequest { member_id: family.member(1), service_date: None };
        let cover = world.eligibility(&family.holder).get_cover(asked).await.expect("the cover").into_inner().cover;
        let balances = cover.expect("the cover").balances;
        let left = |code: &str| {
            let of_code = |b: &&AccountBalance| b.key.as_ref().is_some_and(|key| key.code == code);
            balances.iter().find(of_code).expect("the account").layers[0].clone()
        };
        assert_eq!((left("OUTPATIENT").granted, left("OUTPATIENT").used), (600_000_00, 18_000_00));
        assert_eq!((left("SUM_INSURED").granted, left("SUM_INSURED").used), (SUM_INSURED, 518_000_00));
    }
}
