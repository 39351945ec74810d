//! Two hundred clients on connections of their own: one pool, one deductible, one monthly cap. Whatever their order, the
//! sum is right to the kobo.

use std::time::Duration;

use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_testkit::for_each_database;
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
}
