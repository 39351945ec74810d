//! Two hundred clients on connections of their own: one pool, one deductible, one monthly cap. Whatever their order, the
//! sum is right to the kobo or paisa. And two that each rely on what the other is about to change.

use std::time::Duration;

use caremesh_kernel::{Clock as _, Date, Zone};
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::insured::{self, Happened, Wanted};
use tonic::Code;

use crate::common::*;

const CLIENTS: usize = 200;

/// What each client wants: an event of its own, priced and captured until it is booked or nothing is left.
async fn race(world: &World, asked: Vec<PriceRequest>) -> Vec<Breakdown> {
    let mut clients = tokio::task::JoinSet::new();
    for request in asked {
        let client = BenefitServiceClient::new(world.service("svc-claims"));
        clients.spawn(one(client, request));
    }
    clients.join_all().await
}

async fn one(
    mut client: BenefitServiceClient<caremesh_testkit::mesh::CallerChannel>,
    asked: PriceRequest,
) -> Breakdown {
    for tried in 0..200 {
        let price = match client.price(asked.clone()).await {
            Ok(answer) => answer.into_inner().price.expect("a price"),
            Err(status) => {
                wait(tried, &status).await;
                continue;
            }
        };
        let total = price.total.expect("a total");
        if price.legs.is_empty() {
            return total;
        }
        match client.post(posting(&asked, &price, PostingKind::Capture)).await {
            Ok(_) => return total,
            Err(status) => wait(tried, &status).await,
        }
    }
    panic!("never booked");
}

/// Aborted means price again, anything about load or a connection means later; whatever else is a defect. As a client
/// should, it waits longer each time, and not as long as its neighbours.
async fn wait(tried: u32, status: &tonic::Status) {
    use Code::{Aborted, Cancelled, DeadlineExceeded, ResourceExhausted, Unavailable};
    let later =
        [Aborted, Cancelled, DeadlineExceeded, ResourceExhausted, Unavailable].contains(&status.code());
    assert!(later, "{status:?}");
    let jitter = u64::from(request_id().as_bytes()[35]) % 16 + 8;
    tokio::time::sleep(Duration::from_millis(jitter << tried.min(7))).await;
}

/// What the family of the super top-up, or others for them, pays before the plan begins: ₹5,00,000 in paise.
const DEDUCTIBLE: i64 = 5_00_000_00;

fn today_in_india(world: &World) -> Date {
    "Asia/Kolkata".parse::<Zone>().expect("a zone").day_of(world.clock.now())
}

/// A couple whose plan begins above a deductible that they share.
async fn couple_above_a_deductible(world: &World) -> Family {
    let wanted = Wanted {
        plan: "IN-SUPER-TOP-UP",
        sum_insured: insured::money("INR", 20_00_000_00),
        starts: today_in_india(world),
        holder: (1990, 5, 17),
        others: &[((1991, 2, 3), Relation::Spouse)],
    };
    world.insured(&wanted).await
}

fn hospital(world: &World, member: &str, billed: i64) -> PriceRequest {
    insured::price_request(Happened {
        member,
        day: today_in_india(world),
        kind: EventKind::Admission,
        benefit: "SURGERY",
        line: LineKind::Associated,
        billed: insured::money("INR", billed),
    })
}

/// A capture of one minor unit on one account of a price, which relies on all that the price relied on.
fn capture_of(asked: &PriceRequest, price: &Price, code: &str) -> PostRequest {
    let mut capture = posting(asked, price, PostingKind::Capture);
    let legs = &mut capture.instructions[0].legs;
    legs.retain(|leg| leg.account.as_ref().is_some_and(|key| key.code == code));
    legs[0].amount = 1;
    capture
}

for_each_database! { with world;
    async fn two_hundred_clients_drain_one_pool_to_the_kobo(world: World) {
        let family = world.family().await;
        let each = 2 * SUM_INSURED / 100 / i64::try_from(CLIENTS).expect("a small number") * 100;
        let asked = (0..CLIENTS).map(|n| admission(&world, &family.member(n % 5), each)).collect();
        let paid = race(&world, asked).await;
        let total: i64 = paid.iter().map(|part| part.payable_minor).sum();
        let used = world.balance(&family, "SUM_INSURED").await.0;
        assert_eq!(total, used, "what was decided is what was used");
        assert!(used >= SUM_INSURED, "the pool was drained");
        world.verify().await;
    }

    async fn two_hundred_clients_meet_one_monthly_cap(world: World) {
        let family = world.family().await;
        let member = family.member(1);
        let order = |_| event(&world, &member, EventKind::PharmacyOrder, "PHARMACY", LineKind::Pharmacy, 1_000_00);
        let paid = race(&world, (0..CLIENTS).map(order).collect()).await;
        let allowed: i64 = paid.iter().map(|part| part.allowed_minor).sum();
        assert_eq!(allowed, 60_000_00, "the cap of the month and not a kobo more");
        assert_eq!(world.balance(&family, "PHARMACY_MONTH").await.0, 60_000_00);
        world.verify().await;
    }

    async fn two_hundred_clients_meet_one_deductible(world: World) {
        let family = couple_above_a_deductible(&world).await;
        let each = 2 * DEDUCTIBLE / i64::try_from(CLIENTS).expect("a small number");
        let asked = (0..CLIENTS).map(|n| hospital(&world, &family.member(n % 2), each)).collect();
        let decided = race(&world, asked).await;
        let taken: i64 = decided.iter().map(|part| part.deductible_minor).sum();
        assert_eq!(taken, DEDUCTIBLE, "the deductible and not a paisa more");
        assert_eq!(world.balance(&family, "DEDUCTIBLE").await, (DEDUCTIBLE, 0));
        let paid: i64 = decided.iter().map(|part| part.payable_minor).sum();
        assert_eq!(paid, DEDUCTIBLE, "the plan pays what is above it");
        assert_eq!(world.balance(&family, "SUM_INSURED").await, (paid, 0));
        world.verify().await;
    }

    async fn two_that_rely_on_what_the_other_opens_are_not_both_booked(world: World) {
        for _ in 0..20 {
            let family = couple_above_a_deductible(&world).await;
            let asked = hospital(&world, &family.member(0), 2 * DEDUCTIBLE);
            let price = world.price(&asked).await;
            assert!(price.expected_versions.iter().all(|read| read.version == 0), "neither account has a row");
            let captures = ["DEDUCTIBLE", "SUM_INSURED"].map(|code| {
                let (mut client, capture) = (world.claims(), capture_of(&asked, &price, code));
                async move { client.post(capture).await }
            });
            let ended = futures::future::join_all(captures).await;
            let refusals: Vec<String> = ended.iter().filter_map(|one| one.as_ref().err().map(reason)).collect();
            assert_eq!(refusals, ["BALANCE_CHANGED"], "the second relied on what is no longer so");
            world.verify().await;
        }
    }
}
