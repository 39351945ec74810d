//! The processes of an order, rehearsed in the running service: every step is repeated, broken off and failed, every
//! compensation failed and repeated. Whatever happens, stock, benefit and money agree with the orders afterwards.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use caremesh_db::Db;
use caremesh_db::process::{Flow, StepCall, StepDone, StepError};
use caremesh_kernel::ProcessId;
use caremesh_proto::pharmacy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::context_of_service;

use crate::common::*;
use crate::insured::Family;
use crate::shop::*;

const STRIP: i64 = 10_000;
const TABLETS: i64 = 2_000;

/// What goes wrong with one process.
#[derive(Clone, Copy, Debug, Default)]
struct Play {
    /// Every step and compensation is done twice, as after a lost answer.
    repeat: bool,
    /// This step is given up, before or after (`true`) it had its effect.
    fail: Option<(usize, bool)>,
    /// This step breaks off once, before or after it had its effect, and is gone on with.
    stumble: Option<(usize, bool)>,
    /// The compensation of this step breaks off once after it had its effect.
    fail_undo: Option<usize>,
    /// What happens once has happened.
    spent: bool,
}

impl Play {
    /// What may happen to a process of so many steps that is never given up.
    fn forward(steps: usize) -> Vec<Self> {
        let stumbles = (0..steps).flat_map(|step| [(step, false), (step, true)]);
        let stumbles = stumbles.map(|at| Self { stumble: Some(at), ..Self::default() });
        [Self::default(), Self { repeat: true, ..Self::default() }].into_iter().chain(stumbles).collect()
    }

    /// And to one that may be given up.
    fn all(steps: usize) -> Vec<Self> {
        let mut plays = Self::forward(steps);
        for step in 0..steps {
            for after in [false, true] {
                let failed = Self { fail: Some((step, after)), ..Self::default() };
                plays.extend([failed, Self { repeat: true, ..failed }]);
                plays.extend((0..=step).map(|undo| Self { fail_undo: Some(undo), ..failed }));
            }
        }
        plays
    }
}

#[derive(Debug, Default)]
struct Cast {
    kind: &'static str,
    waiting: VecDeque<Play>,
    playing: BTreeMap<ProcessId, Play>,
    /// By order, what was played.
    played: BTreeMap<String, Play>,
}

/// Hands what goes wrong to processes of one kind, each the next that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage(Arc<Mutex<Cast>>);

impl Stage {
    pub(crate) fn wrap(&self, inner: Arc<dyn Flow>) -> Arc<dyn Flow> {
        Arc::new(Staged { inner, stage: self.clone() })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Cast) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, kind: &'static str, plays: Vec<Play>) {
        self.with(|cast| *cast = Cast { kind, waiting: plays.into(), ..Cast::default() });
    }

    fn clear(&self) {
        self.set("", Vec::new());
    }

    fn play(&self, kind: &str, call: &StepCall) -> Play {
        self.with(|cast| {
            if cast.kind != kind {
                return Play::default();
            }
            if let Some(play) = cast.playing.get(&call.process) {
                return *play;
            }
            let play = cast.waiting.pop_front().unwrap_or_default();
            let data: serde_json::Value = serde_json::from_slice(&call.data).expect("data of a process");
            cast.played.insert(data["order"].as_str().expect("an order").to_owned(), play);
            cast.playing.insert(call.process, play);
            play
        })
    }

    /// Whether what happens once happens now.
    fn once(&self, call: &StepCall) -> bool {
        self.with(|cast| {
            let play = cast.playing.entry(call.process).or_default();
            !std::mem::replace(&mut play.spent, true)
        })
    }

    fn played(&self) -> BTreeMap<String, Play> {
        self.with(|cast| cast.played.clone())
    }
}

struct Staged {
    inner: Arc<dyn Flow>,
    stage: Stage,
}

#[async_trait]
impl Flow for Staged {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn steps(&self) -> &'static [&'static str] {
        self.inner.steps()
    }

    async fn run(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let play = self.stage.play(self.kind(), call);
        if play.fail == Some((call.step, false)) {
            return Err(StepError::GiveUp("REHEARSED_BEFORE"));
        }
        if play.stumble == Some((call.step, false)) && self.stage.once(call) {
            return Err(StepError::Retry("REHEARSED_BEFORE"));
        }
        if play.repeat {
            self.inner.run(call).await?;
        }
        let done = self.inner.run(call).await?;
        if play.stumble == Some((call.step, true)) && self.stage.once(call) {
            return Err(StepError::Retry("REHEARSED_AFTER"));
        }
        if play.fail == Some((call.step, true)) {
            return Err(StepError::GiveUp("REHEARSED_AFTER"));
        }
        Ok(done)
    }

    async fn undo(&self, call: &StepCall) -> Result<StepDone, StepError> {
        let play = self.stage.play(self.kind(), call);
        if play.repeat {
            self.inner.undo(call).await?;
        }
        let done = self.inner.undo(call).await?;
        if play.fail_undo == Some(call.step) && self.stage.once(call) {
            return Err(StepError::Retry("REHEARSED_UNDO"));
        }
        Ok(done)
    }
}

/// A shop with a medicine, and everything that was ordered there.
struct House {
    world: World,
    family: Family,
    shop: Shop,
    product: String,
    store: Db,
}

impl House {
    async fn of(world: World) -> Self {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, TABLETS).await;
        let store = Db::connect(world.config.stores().database).await.expect("the store");
        Self { world, family, shop, product, store }
    }

    async fn processes(&self, states: &str) -> i64 {
        use sea_orm::{ConnectionTrait as _, Statement};
        let reader = self.store.read(&context_of_service("svc-pharmacy"));
        let sql = format!("SELECT COUNT(*) FROM process WHERE state IN ({states})");
        let statement = Statement::from_string(reader.get_database_backend(), sql);
        let row = reader.query_one_raw(statement).await.expect("a count").expect("a row");
        row.try_get_by_index(0).expect("a number")
    }

    /// Waits until no process is under way; none may be stuck.
    async fn quiet(&self) {
        for _ in 0..2_400 {
            if self.processes("'RUNNING', 'COMPENSATING'").await == 0 {
                assert_eq!(self.processes("'STUCK'").await, 0, "a process is stuck");
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the processes never ended: {:?}", self.world.stage);
    }

    async fn place(&self) -> Order {
        let asked = place(&self.shop, self.family.person(0), vec![item(&self.product, 10)], STRIP * 2);
        self.world.placed(&self.family, asked).await
    }

    async fn order(&self, id: &str) -> Order {
        self.world.order(&self.family.holder, id).await
    }

    /// So many orders, confirmed, with nothing going wrong.
    async fn confirmed(&self, many: usize) -> Vec<Order> {
        let mut orders = Vec::with_capacity(many);
        for _ in 0..many {
            orders.push(self.place().await);
        }
        self.quiet().await;
        orders
    }

    /// The same, packed.
    async fn packed(&self, many: usize) -> Vec<Order> {
        let mut packed = Vec::with_capacity(many);
        for order in self.confirmed(many).await {
            packed.push(self.world.pack(&self.shop, &order.order_id, &[]).await);
        }
        packed
    }

    async fn dispense(&self, order: &Order) {
        let asked = dispensing(order, Handover::AtCounter);
        self.world.orders(&self.shop.pharmacist).dispense_parcel(asked).await.expect("it begins");
    }

    async fn cancel(&self, id: &str) {
        let asked = CancelOrderRequest { request_id: request_id(), order_id: id.to_owned() };
        self.world.orders(&self.family.holder).cancel_order(asked).await.expect("cancelled");
    }

    /// Stock, benefit and money are what the orders say: nothing is set aside for one that is over, nobody paid for what
    /// was not kept.
    async fn adds_up(&self, orders: &[Order]) {
        let (mut kept, mut reserved, mut used, mut held) = (0, 0, 0, 0);
        for order in orders {
            let order = self.order(&order.order_id).await;
            let (line, total) = (&order.lines[0], order.total.expect("a total"));
            let open = matches!(order.state(), OrderState::Confirmed | OrderState::Packing);
            let sold = line.dispensed > line.returned;
            kept += line.dispensed;
            reserved += if open { line.quantity } else { 0 };
            used += if sold { total.plan_minor } else { 0 };
            held += if open { total.plan_minor } else { 0 };
            let paid = self.world.bank.find(&order.order_id).map_or(0, |paid| paid.kept_minor());
            assert_eq!(paid, if sold { total.member_minor } else { 0 }, "{order:?}");
            self.world.settlement(&order).await;
        }
        assert_eq!(self.world.shelf(&self.shop, &self.product).await, (TABLETS - kept, reserved));
        assert_eq!(self.world.balance(&self.family, "SUM_INSURED").await, (used, held));
        self.world.stock_adds_up().await;
        self.world.verify_ledger().await;
    }
}

for_each_database! { with world;
    async fn placing_survives_every_fault_of_every_step_and_compensation(world: World) {
        let house = House::of(world).await;
        let plays = Play::all(3);
        house.world.stage.set("order_reserve", plays.clone());
        let orders = house.confirmed(plays.len()).await;
        let played = house.world.stage.played();
        assert_eq!(played.len(), plays.len());
        house.world.stage.clear();
        for order in &orders {
            let (play, order) = (played[&order.order_id], house.order(&order.order_id).await);
            let expected = if play.fail.is_some() { OrderState::Cancelled } else { OrderState::Confirmed };
            assert_eq!(order.state(), expected, "{play:?}");
        }
        house.adds_up(&orders).await;
    }

    async fn dispensing_survives_every_fault_of_every_step_and_compensation(world: World) {
        let house = House::of(world).await;
        let plays = Play::all(3);
        let orders = house.packed(plays.len()).await;
        house.world.stage.set("order_dispense", plays.clone());
        for order in &orders {
            house.dispense(order).await;
        }
        house.quiet().await;
        let played = house.world.stage.played();
        house.world.stage.clear();
        for order in &orders {
            let (play, order) = (played[&order.order_id], house.order(&order.order_id).await);
            // What has left the branch is not called back by a process that fails after it.
            let left = play.fail.is_none_or(|at| at == (2, true));
            let expected = if left { OrderState::Delivered } else { OrderState::Packing };
            assert_eq!(order.state(), expected, "{play:?}");
        }
        house.adds_up(&orders).await;
    }

    async fn cancelling_and_taking_back_survive_every_fault_and_are_never_given_up(world: World) {
        let house = House::of(world).await;
        let orders = house.confirmed(Play::forward(2).len()).await;
        house.world.stage.set("order_close", Play::forward(2));
        for order in &orders {
            house.cancel(&order.order_id).await;
        }
        house.quiet().await;
        house.adds_up(&orders).await;
        house.world.stage.clear();

        let plays = Play::forward(3);
        let mut sold = house.packed(plays.len()).await;
        for order in &sold {
            house.dispense(order).await;
        }
        house.quiet().await;
        house.world.stage.set("order_reprice", plays);
        for (place, order) in sold.iter().enumerate() {
            // Some come back whole, of others a part is kept.
            let quantity = if place % 2 == 0 { 10 } else { 4 };
            let asked = ReturnGoodsRequest {
                request_id: request_id(),
                order_id: order.order_id.clone(),
                lines: vec![ParcelLine { sequence: 1, quantity }],
            };
            house.world.orders(&house.shop.pharmacist).return_goods(asked).await.expect("taken back");
        }
        house.quiet().await;
        for (place, order) in sold.iter().enumerate() {
            let order = house.order(&order.order_id).await;
            let expected = if place % 2 == 0 { OrderState::Returned } else { OrderState::Delivered };
            assert_eq!((order.state(), order.closing), (expected, false));
        }
        sold.extend(orders);
        house.adds_up(&sold).await;
    }
}
