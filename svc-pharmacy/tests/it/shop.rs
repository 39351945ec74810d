//! A branch with its licences, a pharmacist, products and stock, and orders placed there: what the tests of orders share.

use std::time::Duration;

use caremesh_kernel::{Date, ProductId, Uuid};
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::pharmacy::v1::branch_service_client::BranchServiceClient;
use caremesh_proto::pharmacy::v1::order_service_client::OrderServiceClient;
use caremesh_proto::pharmacy::v1::stock_service_client::StockServiceClient;
use caremesh_proto::pharmacy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::CallerChannel;
use tonic::{Response, Status};

use crate::common::*;
use crate::insured::Family;

/// A branch that may dispense, and who works there.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) branch: String,
    pub(crate) pharmacist: TestPerson,
    pub(crate) courier: TestPerson,
}

fn valid() -> Option<types::DateRange> {
    let day = |text: &str| text.parse::<Date>().expect("a day").to_wire();
    Some(types::DateRange { start: Some(day("2020-01-01")), end: Some(day("2031-01-01")) })
}

impl World {
    pub(crate) fn orders(&self, person: &TestPerson) -> OrderServiceClient<CallerChannel> {
        OrderServiceClient::new(self.person(person))
    }

    pub(crate) fn stock_of_shop(&self, person: &TestPerson) -> StockServiceClient<CallerChannel> {
        StockServiceClient::new(self.person(person))
    }

    /// A licensed branch near Lagos, with a pharmacist and a courier.
    pub(crate) async fn order_shop(&self) -> Shop {
        let organisation = fresh_id("org");
        let branch = self.bare_branch(&organisation).await;
        let operator = staff("operator");
        let mut branches = BranchServiceClient::new(self.person(&operator));
        for kind in [LicenceKind::Premises, LicenceKind::Superintendent] {
            let licence = Licence { kind: kind.into(), number: "L-1".to_owned(), valid: valid() };
            let asked = RecordLicenceRequest {
                request_id: request_id(),
                branch_id: branch.clone(),
                licence: Some(licence),
            };
            branches.record_licence(asked).await.expect("a licence");
        }
        let pharmacist = staff("pharmacist");
        self.register(&pharmacist, &branch).await;
        let courier = staff("courier").of(&organisation);
        Shop { branch, pharmacist, courier }
    }

    async fn bare_branch(&self, organisation: &str) -> String {
        let operator = staff("operator");
        let mut branches = BranchServiceClient::new(self.person(&operator));
        let asked = CreateBranchRequest {
            request_id: request_id(),
            organisation_id: organisation.to_owned(),
            display_name: "Ikeja".to_owned(),
            jurisdiction_code: "NG".to_owned(),
            time_zone: "Africa/Lagos".to_owned(),
            location: Some(GeoPoint { latitude_e6: 6_600_000, longitude_e6: 3_350_000 }),
        };
        let made =
            branches.create_branch(asked).await.expect("a branch").into_inner().branch.expect("a branch");
        made.branch_id
    }

    async fn register(&self, pharmacist: &TestPerson, branch: &str) {
        let operator = staff("operator");
        let asked = RegisterPharmacistRequest {
            request_id: request_id(),
            branch_id: branch.to_owned(),
            issuer: self.mesh.issuer.url(),
            subject: pharmacist.subject.clone(),
            registration_number: "P-1".to_owned(),
            valid: valid(),
        };
        let mut branches = BranchServiceClient::new(self.person(&operator));
        branches.register_pharmacist(asked).await.expect("a registration");
    }

    /// A product in strips of ten tablets, whose strip costs so much.
    pub(crate) async fn product(&self, strip_minor: i64, class: &str) -> String {
        use sea_orm::ConnectionTrait as _;
        let id = ProductId::from_uuid(Uuid::parse_str(&request_id()).expect("a uuid")).to_string();
        let sql = format!(
            "INSERT INTO product (id, code, country, name, sort_name, generic, strength, form, route, pack, manufacturer, \
             atc, dispensing_class, schedule, price, currency, registration, discontinued, same_as, digest, batch_id, \
             version, created_at, updated_at) VALUES ('{id}', '{id}', 'NG', 'Test 500', 'test 500', 'test', '500 mg', \
             'Tablet', 'Oral', 'strip of 10 tablets', 'Maker', '', '{class}', '', {strip_minor}, 'NGN', '', 0, NULL, '', '', \
             1, 0, 0)"
        );
        let db = caremesh_db::Db::connect(self.config.stores().database).await.expect("the store");
        let context = caremesh_testkit::identity::context_of_service("svc-pharmacy");
        let written = db.write(&context, move |tx| {
            let sql = sql.clone();
            Box::pin(async move { Ok::<_, caremesh_db::Error>(tx.execute_unprepared(&sql).await.map(drop)?) })
        });
        written.await.expect("a product");
        id
    }

    /// Puts tablets of a lot on the shelf.
    pub(crate) async fn receive(&self, shop: &Shop, product: &str, quantity: i64) {
        let asked = ReceiveStockRequest {
            request_id: request_id(),
            branch_id: shop.branch.clone(),
            product_id: product.to_owned(),
            lot_number: "A1".to_owned(),
            expiry_date: Some("2030-01-01".parse::<Date>().expect("a day").to_wire()),
            quantity,
            unit_code: "{tablet}".to_owned(),
        };
        self.stock_of_shop(&shop.pharmacist).receive_stock(asked).await.expect("stock");
    }

    /// On hand and reserved of a product at a branch.
    pub(crate) async fn shelf(&self, shop: &Shop, product: &str) -> (i64, i64) {
        let asked =
            ListLotsRequest { branch_id: shop.branch.clone(), product_id: product.to_owned(), page: None };
        let lots =
            self.stock_of_shop(&shop.pharmacist).list_lots(asked).await.expect("lots").into_inner().lots;
        (lots.iter().map(|lot| lot.on_hand).sum(), lots.iter().map(|lot| lot.reserved).sum())
    }
}

/// Tablets of a product.
pub(crate) fn item(product: &str, quantity: i64) -> OrderItem {
    OrderItem {
        product_id: product.to_owned(),
        quantity,
        unit_code: "{tablet}".to_owned(),
        ..OrderItem::default()
    }
}

/// What a holder orders for the first member of the family.
pub(crate) fn place(shop: &Shop, patient: String, items: Vec<OrderItem>, agreed: i64) -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: request_id(),
        patient_person_id: patient,
        branch_id: shop.branch.clone(),
        items,
        agreed_member_minor: agreed,
        payment_method: PaymentMethod::Card.into(),
        payment_source: "card-4711".to_owned(),
        delivery_address: None,
    }
}

pub(crate) fn order_of<T>(answer: Result<Response<T>, Status>, pick: fn(T) -> Option<Order>) -> Order {
    pick(answer.expect("an answer").into_inner()).expect("an order")
}

impl World {
    pub(crate) async fn placed(&self, family: &Family, request: PlaceOrderRequest) -> Order {
        let answer = self.orders(&family.holder).place_order(request).await;
        order_of(answer, |answer| answer.order)
    }

    pub(crate) async fn order(&self, who: &TestPerson, id: &str) -> Order {
        let asked = GetOrderRequest { order_id: id.to_owned() };
        order_of(self.orders(who).get_order(asked).await, |answer| answer.order)
    }

    /// The order once it is as wanted; the processes that bring it there run beside the test.
    pub(crate) async fn until(&self, who: &TestPerson, id: &str, wanted: impl Fn(&Order) -> bool) -> Order {
        let mut seen = None;
        for _ in 0..400 {
            let order = self.order(who, id).await;
            if wanted(&order) {
                return order;
            }
            seen = Some(order);
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the order never came there: {seen:?}");
    }

    pub(crate) async fn until_state(&self, who: &TestPerson, id: &str, state: OrderState) -> Order {
        self.until(who, id, |order| order.state() == state && !order.closing).await
    }

    pub(crate) async fn pack(&self, shop: &Shop, id: &str, lines: &[(i32, i64)]) -> Order {
        let line =
            |(sequence, quantity): &(i32, i64)| ParcelLine { sequence: *sequence, quantity: *quantity };
        let asked = PackParcelRequest {
            request_id: request_id(),
            order_id: id.to_owned(),
            lines: lines.iter().map(line).collect(),
        };
        order_of(self.orders(&shop.pharmacist).pack_parcel(asked).await, |answer| answer.order)
    }

    /// Dispenses the last parcel and waits until it has left.
    pub(crate) async fn dispense(&self, shop: &Shop, order: &Order, handover: Handover) -> Order {
        let asked = dispensing(order, handover);
        let parcel = asked.parcel_id.clone();
        self.orders(&shop.pharmacist).dispense_parcel(asked).await.expect("it begins");
        let left = |order: &Order| {
            let state = order.parcels.iter().find(|own| own.parcel_id == parcel).map(Parcel::state);
            matches!(state, Some(ParcelState::Shipped | ParcelState::Delivered))
        };
        self.until(&shop.pharmacist, &order.order_id, left).await
    }

    pub(crate) async fn deliver(&self, shop: &Shop, order: &Order) -> Order {
        let asked = DeliverParcelRequest {
            request_id: request_id(),
            order_id: order.order_id.clone(),
            parcel_id: order.parcels.last().expect("a parcel").parcel_id.clone(),
            proof: "Ada Obi, code 4711".to_owned(),
        };
        order_of(self.orders(&shop.courier).deliver_parcel(asked).await, |answer| answer.order)
    }

    /// The journal: every entry sums to zero.
    pub(crate) async fn settlement(&self, order: &Order) -> GetSettlementResponse {
        let asked = GetSettlementRequest { order_id: order.order_id.clone() };
        let finance = staff("finance_officer");
        let settled = self.orders(&finance).get_settlement(asked).await.expect("a journal").into_inner();
        let mut entries = std::collections::BTreeMap::<&str, i64>::new();
        for line in &settled.lines {
            *entries.entry(&line.entry).or_default() += line.amount_minor;
        }
        assert!(entries.values().all(|sum| *sum == 0), "{settled:?}");
        settled
    }
}

pub(crate) fn dispensing(order: &Order, handover: Handover) -> DispenseParcelRequest {
    DispenseParcelRequest {
        request_id: request_id(),
        order_id: order.order_id.clone(),
        parcel_id: order.parcels.last().expect("a parcel").parcel_id.clone(),
        handover: handover.into(),
    }
}

pub(crate) fn open(settled: &GetSettlementResponse, party: Party) -> i64 {
    let found = settled.balances.iter().find(|balance| balance.party() == party);
    found.map_or(0, |balance| balance.amount_minor)
}

impl World {
    /// A branch that nobody has licensed yet.
    pub(crate) async fn unlicensed(&self) -> Shop {
        let organisation = fresh_id("org");
        let made = self.bare_branch(&organisation).await;
        Shop { branch: made, pharmacist: staff("pharmacist"), courier: staff("courier") }
    }

    /// The premises' licence of the branch was over yesterday.
    pub(crate) async fn licence_ends(&self, shop: &Shop) {
        let day = |text: &str| text.parse::<Date>().expect("a day").to_wire();
        let valid = types::DateRange { start: Some(day("2020-01-01")), end: Some(day("2021-01-01")) };
        let licence =
            Licence { kind: LicenceKind::Premises.into(), number: "L-1".to_owned(), valid: Some(valid) };
        let asked = RecordLicenceRequest {
            request_id: request_id(),
            branch_id: shop.branch.clone(),
            licence: Some(licence),
        };
        let operator = staff("operator");
        BranchServiceClient::new(self.person(&operator)).record_licence(asked).await.expect("a licence");
    }

    /// The maker calls the lot back.
    pub(crate) async fn recall(&self, product: &str) {
        let asked = RecallLotRequest {
            request_id: request_id(),
            product_id: product.to_owned(),
            lot_number: "A1".to_owned(),
            reason: "impurity".to_owned(),
        };
        self.stock_of_shop(&staff("operator")).recall_lot(asked).await.expect("a recall");
    }

    /// What the sweeper does, without waiting for it.
    pub(crate) async fn sweep(&self) {
        self.replica_that_sweeps().await;
    }
}

/// Asks until it is so.
pub(crate) async fn eventually(so: impl AsyncFn() -> bool) {
    for _ in 0..400 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it never came to be");
}
