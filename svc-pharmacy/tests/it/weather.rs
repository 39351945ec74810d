//! Network weather between svc-pharmacy and svc-policy, by seed: orders are placed, handed over, taken back and cancelled
//! while the link between the two delays, cuts, swallows and halves. When it is calm again, ledger, money, stock and both
//! audit trails add up, and everything took effect once.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use caremesh_proto::pharmacy::v1::*;
use caremesh_svc_policy as policy;
use caremesh_testkit::database::DatabaseKind;
use caremesh_testkit::weather::{Weather, again, seeds};
use futures::FutureExt as _;
use tokio::time::sleep;
use tonic::{Code, Response, Status};

use crate::common::*;
use crate::insured::Family;
use crate::shop::*;

/// Worlds side by side; each lives through every so many-th seed.
const WORLDS: u64 = 4;
/// A strip of ten tablets, minor units: little, so that the month's room for medicines lasts for every seed.
const STRIP: i64 = 10_000;
/// Tablets of one order.
const ORDERED: i64 = 30;
const TURNS: usize = 10;
/// Looks at an order before it counts as lost; the world's clock goes five times as fast meanwhile.
const LOOKS: usize = 1_500;
const LOOK: Duration = Duration::from_millis(20);

/// Calls that had to be made again: weather that nobody felt would prove nothing.
static REPEATED: AtomicUsize = AtomicUsize::new(0);

struct Stage {
    world: World,
    family: Family,
    shop: Shop,
    product: String,
}

/// What an order comes to.
#[derive(Clone, Copy, Debug)]
enum Way {
    Cancelled,
    HandedOver,
    TakenBackInPart,
    RestCancelled,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn seeds_of_network_faults_between_both_services_leave_ledger_money_stock_and_trails_clean() {
    let seeds = seeds();
    let lanes = (0..WORLDS).map(|lane| {
        let own: Vec<u64> = seeds.clone().filter(|seed| seed % WORLDS == lane).collect();
        tokio::spawn(live_through(own))
    });
    for lane in futures::future::join_all(lanes).await {
        lane.expect("every seed left everything clean");
    }
    let felt = REPEATED.load(Ordering::Relaxed);
    println!("{} seeds, {felt} calls repeated", seeds.end - seeds.start);
    assert!(felt > 0 || seeds.end - seeds.start < 50, "weather that nobody felt proves nothing");
}

async fn live_through(seeds: Vec<u64>) {
    let Some(_) = seeds.first() else { return };
    let stage = Stage::set(seeds.len()).await;
    for seed in seeds {
        let lived = AssertUnwindSafe(stage.live_through(seed)).catch_unwind().await;
        assert!(lived.is_ok(), "{}", again(seed));
    }
    stage.everything_adds_up().await;
}

impl Stage {
    async fn set(orders: usize) -> Self {
        let world = world(DatabaseKind::Sqlite).await.expect("SQLite is everywhere");
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, ORDERED * i64::try_from(orders).expect("few")).await;
        Self { world, family, shop, product }
    }

    async fn live_through(&self, seed: u64) {
        let mut weather = Weather::of(seed);
        let way = [Way::Cancelled, Way::HandedOver, Way::TakenBackInPart, Way::RestCancelled]
            [usize::try_from(weather.draw(4)).expect("four")];
        let before = self.books().await;
        let (order, ()) = tokio::join!(self.go(way), weather.passes_over(&self.world.link, TURNS));
        self.order_adds_up(way, &self.settled(way, &order).await, before).await;
    }

    /// The whole way of an order, as far as those who stand at the counter drive it.
    async fn go(&self, way: Way) -> String {
        let (holder, pharmacist) = (&self.family.holder, &self.shop.pharmacist);
        let items = vec![item(&self.product, ORDERED)];
        let asked = place(&self.shop, self.family.person(1), items, STRIP * 3);
        let placed = patiently(|| async { self.world.orders(holder).place_order(asked.clone()).await }).await;
        let id = placed.order.expect("an order").order_id;
        if matches!(way, Way::Cancelled) {
            self.cancel(&id).await;
            return id;
        }
        self.until(&id, |order| order.state() == OrderState::Confirmed).await;
        let quantity = if matches!(way, Way::RestCancelled) { 10 } else { ORDERED };
        self.hand_over(&id, quantity).await;
        match way {
            Way::RestCancelled => self.cancel(&id).await,
            Way::TakenBackInPart => {
                let lines = vec![ParcelLine { sequence: 1, quantity: 10 }];
                let asked = ReturnGoodsRequest { request_id: request_id(), order_id: id.clone(), lines };
                let orders = || self.world.orders(pharmacist);
                patiently(|| async { orders().return_goods(asked.clone()).await }).await;
            }
            Way::Cancelled | Way::HandedOver => {}
        }
        id
    }

    async fn hand_over(&self, id: &str, quantity: i64) {
        let orders = || self.world.orders(&self.shop.pharmacist);
        let lines = vec![ParcelLine { sequence: 1, quantity }];
        let asked = PackParcelRequest { request_id: request_id(), order_id: id.to_owned(), lines };
        let packed = patiently(|| async { orders().pack_parcel(asked.clone()).await }).await;
        let asked = dispensing(&packed.order.expect("an order"), Handover::AtCounter);
        patiently(|| async { orders().dispense_parcel(asked.clone()).await }).await;
        self.until(id, |order| order.parcels.iter().all(|it| it.state() == ParcelState::Delivered)).await;
    }

    async fn cancel(&self, id: &str) {
        let asked = CancelOrderRequest { request_id: request_id(), order_id: id.to_owned() };
        let orders = || self.world.orders(&self.family.holder);
        patiently(|| async { orders().cancel_order(asked.clone()).await }).await;
    }

    /// The order once it is as wanted. Time goes faster for the processes that bring it there: their pauses after a
    /// failure are not what is tested.
    async fn until(&self, id: &str, wanted: impl Fn(&Order) -> bool) -> Order {
        let mut seen = None;
        for _ in 0..LOOKS {
            let order = self.world.order(&self.shop.pharmacist, id).await;
            if wanted(&order) {
                return order;
            }
            seen = Some(order);
            self.world.clock.advance(LOOK * 4);
            sleep(LOOK).await;
        }
        panic!("the order never came there: {seen:?}");
    }

    async fn settled(&self, way: Way, id: &str) -> Order {
        let kept = way.kept();
        let as_wanted = |order: &Order| {
            let total = order.total.as_ref().map_or(0, |total| total.list_minor);
            let whole = matches!(way, Way::Cancelled) || total == kept / 10 * STRIP;
            order.state() == way.state() && !order.closing && whole
        };
        self.until(id, as_wanted).await
    }

    /// Used and reserved of the cover, on hand and reserved on the shelf.
    async fn books(&self) -> [i64; 4] {
        let (used, held) = self.world.balance(&self.family, "SUM_INSURED").await;
        let (on_hand, reserved) = self.world.shelf(&self.shop, &self.product).await;
        [used, held, on_hand, reserved]
    }

    async fn order_adds_up(&self, way: Way, order: &Order, before: [i64; 4]) {
        let handed = way.handed_over();
        let total = order.total.expect("a total");
        let borne = |minor| if handed == 0 { 0 } else { minor };
        // What an order before this one still held when it was looked at is given back by now, too.
        let [used, _, on_hand, _] = before;
        let expected = [used + borne(total.plan_minor), 0, on_hand - handed, 0];
        // A hold that was under way when its order was cancelled is given back by its own process, later.
        for _ in 0..LOOKS {
            if self.books().await == expected {
                break;
            }
            self.world.clock.advance(LOOK * 4);
            sleep(LOOK).await;
        }
        assert_eq!(self.books().await, expected, "{way:?}: {order:?}");
        let paid = self.world.bank.find(&order.order_id).map_or(0, |payment| payment.kept_minor());
        assert_eq!(paid, borne(total.member_minor), "{way:?}");
        assert_eq!(order.captured_minor - order.refunded_minor, borne(total.member_minor), "{way:?}");
        assert!(self.world.settlement(order).await.settled, "{way:?}");
    }

    async fn everything_adds_up(&self) {
        self.world.verify_ledger().await;
        self.world.stock_adds_up().await;
        let ledger = policy::verify_audit(&self.world.policy_config, &|_, _| ()).await.expect("it runs");
        assert!(ledger.broken.is_none() && ledger.sealed > 0, "{ledger:?}");
        let shop =
            caremesh_svc_pharmacy::verify_audit(&self.world.config, &|_, _| ()).await.expect("it runs");
        assert!(shop.broken.is_none() && shop.sealed > 0, "{shop:?}");
    }
}

impl Way {
    fn state(self) -> OrderState {
        if matches!(self, Self::Cancelled) { OrderState::Cancelled } else { OrderState::Delivered }
    }

    /// Tablets that left the shelf: what is taken back is never sold again.
    fn handed_over(self) -> i64 {
        match self {
            Self::Cancelled => 0,
            Self::HandedOver | Self::TakenBackInPart => ORDERED,
            Self::RestCancelled => 10,
        }
    }

    /// Tablets that the patient kept.
    fn kept(self) -> i64 {
        if matches!(self, Self::TakenBackInPart) { ORDERED - 10 } else { self.handed_over() }
    }
}

/// The same request until it is answered: nobody knows whether one without an answer took effect.
async fn patiently<T, F>(call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    for _ in 0..LOOKS {
        match call().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) if may_come_later(status.code()) => {
                REPEATED.fetch_add(1, Ordering::Relaxed);
                sleep(LOOK).await;
            }
            Err(status) => panic!("a refusal that no weather explains: {status:?}"),
        }
    }
    panic!("never answered");
}

fn may_come_later(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled)
}
