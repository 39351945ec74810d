//! Stock through the contract: deliveries, holds, counts, transfers, recalls, and the last pack.

use std::time::Duration;

use caremesh_proto::pharmacy::v1::stock_service_client::StockServiceClient;
use caremesh_proto::pharmacy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::CallerChannel;
use tonic_types::StatusExt as _;

use crate::branches::{DAY, PLACES, Shop, on};
use crate::common::*;

pub(crate) const TABLET: &str = "{tablet}";

impl World {
    pub(crate) fn stock(&self, person: &TestPerson) -> StockServiceClient<CallerChannel> {
        StockServiceClient::new(self.person(person))
    }

    pub(crate) fn delivery(
        &self,
        shop: &Shop,
        product: &str,
        lot: &str,
        days: i64,
        quantity: i64,
    ) -> ReceiveStockRequest {
        ReceiveStockRequest {
            request_id: request_id(),
            branch_id: shop.id.clone(),
            product_id: product.to_owned(),
            lot_number: lot.to_owned(),
            expiry_date: on(self.today().plus_days(days)),
            quantity,
            unit_code: TABLET.to_owned(),
        }
    }

    pub(crate) async fn stocked(
        &self,
        shop: &Shop,
        product: &str,
        lot: &str,
        days: i64,
        quantity: i64,
    ) -> StockLot {
        let asked = self.delivery(shop, product, lot, days, quantity);
        let answer = self.stock(&shop.pharmacist).receive_stock(asked).await.expect("a delivery");
        answer.into_inner().lot.expect("a lot")
    }

    pub(crate) fn wish(&self, shop: &Shop, product: &str, quantity: i64) -> ReserveStockRequest {
        ReserveStockRequest {
            request_id: request_id(),
            branch_id: shop.id.clone(),
            product_id: product.to_owned(),
            quantity,
            unit_code: TABLET.to_owned(),
            ttl_seconds: 600,
        }
    }

    async fn held(&self, shop: &Shop, product: &str, quantity: i64) -> StockReservation {
        let asked = self.wish(shop, product, quantity);
        let answer = self.stock(&shop.pharmacist).reserve_stock(asked).await.expect("a reservation");
        answer.into_inner().reservation.expect("a reservation")
    }

    async fn released(&self, shop: &Shop, reservation: &StockReservation) -> ReservationState {
        let asked = ReleaseReservationRequest {
            request_id: request_id(),
            reservation_id: reservation.reservation_id.clone(),
        };
        let answer = self.stock(&shop.pharmacist).release_reservation(asked).await.expect("a release");
        answer.into_inner().reservation.expect("a reservation").state()
    }

    pub(crate) async fn lots(&self, shop: &Shop, product: &str) -> Vec<StockLot> {
        let asked =
            ListLotsRequest { branch_id: shop.id.clone(), product_id: product.to_owned(), page: None };
        self.stock(&shop.pharmacist).list_lots(asked).await.expect("lots").into_inner().lots
    }

    fn count(&self, lot: &StockLot, counted: i64) -> CountStockRequest {
        CountStockRequest {
            request_id: request_id(),
            lot_id: lot.lot_id.clone(),
            counted,
            reason: "yearly stock-take".to_owned(),
            etag: lot.etag.clone(),
        }
    }
}

for_each_database! { with world;
    async fn inv_r2_the_lot_that_expires_first_goes_first_and_an_expired_one_never(world: World) {
        let (shop, product) = (world.shop(PLACES[0]).await, fresh_id("prd"));
        world.stocked(&shop, &product, "LATE", 90, 5).await;
        let soon = world.stocked(&shop, &product, "SOON", 2, 5).await;
        let held = world.held(&shop, &product, 7).await;
        assert_eq!((held.lots[0].lot_id.clone(), held.lots[0].quantity, held.lots[1].quantity), (soon.lot_id, 5, 2));
        assert_eq!(world.released(&shop, &held).await, ReservationState::Released);
        assert_eq!(world.released(&shop, &held).await, ReservationState::Released, "again changes nothing");
        world.clock.advance(2 * DAY);
        let held = world.held(&shop, &product, 5).await;
        assert_eq!(held.lots.len(), 1, "the expired lot is not touched");
        let lots = world.lots(&shop, &product).await;
        assert_eq!((lots[0].state(), lots[1].reserved), (StockLotState::Expired, 5));
        world.stock_adds_up().await;
    }

    async fn a_hold_ends_in_the_transaction_that_meets_it(world: World) {
        let (shop, product) = (world.shop(PLACES[0]).await, fresh_id("prd"));
        world.stocked(&shop, &product, "L", 90, 1).await;
        let first = world.held(&shop, &product, 1).await;
        let wish = world.wish(&shop, &product, 1);
        let mut client = world.stock(&shop.pharmacist);
        assert_eq!(refused(client.reserve_stock(wish.clone()).await), "STOCK_INSUFFICIENT");
        world.clock.advance(Duration::from_secs(600));
        let second = client.reserve_stock(wish.clone()).await.expect("the hold is over").into_inner();
        assert_eq!(client.reserve_stock(wish.clone()).await.expect("again").into_inner(), second);
        let other = ReserveStockRequest { quantity: 2, ..wish };
        assert_eq!(refused(client.reserve_stock(other).await), "REQUEST_ID_REUSED");
        assert_eq!(world.released(&shop, &first).await, ReservationState::Expired);
        assert_eq!(world.lots(&shop, &product).await[0].reserved, 1, "given back exactly once");
        world.stock_adds_up().await;
    }

    async fn what_is_not_there_is_refused_with_the_nearest_branch_that_has_it(world: World) {
        let organisation = fresh_id("org");
        let mut shops = Vec::new();
        for place in PLACES {
            shops.push(world.shop_of(&organisation, place).await);
        }
        let product = fresh_id("prd");
        for shop in &shops[1..] {
            world.stocked(shop, &product, "L", 90, 10).await;
        }
        let refusal = world.stock(&shops[0].pharmacist).reserve_stock(world.wish(&shops[0], &product, 3)).await;
        let info = refusal.expect_err("nothing is there").get_details_error_info().expect("a reason");
        assert_eq!((info.reason.as_str(), info.metadata["next_branch_id"].as_str()), ("STOCK_INSUFFICIENT", shops[1].id.as_str()));
        let near = Some(GeoPoint { latitude_e6: PLACES[2].0, longitude_e6: PLACES[2].1 });
        let find = FindStockRequest { product_id: product.clone(), quantity: 10, near, limit: 0 };
        let mut anyone = StockServiceClient::new(world.mesh.nobody(&world.server).expect("a caller"));
        let found = anyone.find_stock(find.clone()).await.expect("branches").into_inner().branches;
        let order: Vec<_> = found.iter().map(|found| found.branch.clone().expect("a branch").branch_id).collect();
        assert_eq!(order, [shops[2].id.clone(), shops[1].id.clone()]);
        assert!(found[0].distance_metres == 0 && found[1].distance_metres > 400_000);
        let more = FindStockRequest { quantity: 11, ..find };
        assert!(anyone.find_stock(more).await.expect("none").into_inner().branches.is_empty());
        let nowhere = world.wish(&shops[0], &fresh_id("prd"), 1);
        let refusal = world.stock(&shops[0].pharmacist).reserve_stock(nowhere).await.expect_err("nobody has it");
        assert!(refusal.get_details_error_info().expect("a reason").metadata.is_empty());
    }

    async fn inv_r10_an_unlicensed_branch_puts_nothing_aside(world: World) {
        let (shop, product) = (world.shop(PLACES[0]).await, fresh_id("prd"));
        world.stocked(&shop, &product, "L", 900, 5).await;
        world.license(&shop.id, LicenceKind::Superintendent, 1).await;
        world.clock.advance(DAY);
        let refusal = world.stock(&shop.pharmacist).reserve_stock(world.wish(&shop, &product, 1)).await;
        assert_eq!(refused(refusal), "BRANCH_NOT_LICENSED");
    }

    async fn hard_case_7_a_recall_takes_reserved_stock_away_and_says_whose_it_was(world: World) {
        let organisation = fresh_id("org");
        let (one, two) = (world.shop_of(&organisation, PLACES[0]).await, world.shop_of(&organisation, PLACES[1]).await);
        let stranger = world.shop(PLACES[2]).await;
        let product = fresh_id("prd");
        for shop in [&one, &two, &stranger] {
            world.stocked(shop, &product, "BAD", 90, 10).await;
        }
        let (first, second) = (world.held(&one, &product, 4).await, world.held(&two, &product, 3).await);
        let recall = RecallLotRequest {
            request_id: request_id(),
            product_id: product.clone(),
            lot_number: "BAD".to_owned(),
            reason: "particles".to_owned(),
        };
        let mut client = world.stock(&one.pharmacist);
        let hit = client.recall_lot(recall.clone()).await.expect("a recall").into_inner();
        assert_eq!((hit.lots.len(), hit.broken_reservations), (2, 2), "the own chain, not the stranger's");
        assert!(hit.lots.iter().all(|lot| lot.reserved == 0 && lot.state() == StockLotState::Recalled));
        assert_eq!(client.recall_lot(recall.clone()).await.expect("again").into_inner(), hit);
        let other = RecallLotRequest { reason: "other".to_owned(), ..recall.clone() };
        assert_eq!(refused(client.recall_lot(other).await), "REQUEST_ID_REUSED");
        assert_eq!(refused(client.reserve_stock(world.wish(&one, &product, 1)).await), "STOCK_INSUFFICIENT");
        let release = ReleaseReservationRequest { request_id: request_id(), reservation_id: first.reservation_id };
        assert_eq!(refused(client.release_reservation(release).await), "RESERVATION_CLOSED");
        let events = world.events(2).await;
        let told: Vec<_> = events.iter().filter(|e| e.r#type() == EventType::StockReservationBroken).collect();
        assert_eq!(told.len(), 2);
        assert!(told.iter().any(|event| event.resource_id == second.reservation_id && event.key == "counter"));
        let again = world.delivery(&one, &product, "BAD", 90, 1);
        assert_eq!(refused(client.receive_stock(again).await), "LOT_RECALLED");
        let lots = world.lots(&one, &product).await;
        let away = TransferStockRequest {
            request_id: request_id(),
            lot_id: lots[0].lot_id.clone(),
            to_branch_id: two.id.clone(),
            quantity: 1,
        };
        assert_eq!(refused(client.transfer_stock(away).await), "LOT_RECALLED");
        assert_eq!(world.held(&stranger, &product, 1).await.quantity, 1);
        let everywhere = RecallLotRequest { request_id: request_id(), ..recall };
        let hit = world.stock(&staff("operator")).recall_lot(everywhere).await.expect("a recall").into_inner();
        assert_eq!((hit.lots.len(), hit.broken_reservations), (3, 1));
        world.stock_adds_up().await;
    }

    async fn a_stock_take_breaks_the_newest_holds_that_are_no_longer_covered(world: World) {
        let (shop, product) = (world.shop(PLACES[0]).await, fresh_id("prd"));
        let lot = world.stocked(&shop, &product, "L", 90, 10).await;
        let first = world.held(&shop, &product, 4).await;
        let second = world.held(&shop, &product, 4).await;
        let mut client = world.stock(&shop.pharmacist);
        assert_eq!(refused(client.count_stock(world.count(&lot, 5)).await), "STALE_VERSION");
        let lot = world.lots(&shop, &product).await.remove(0);
        let asked = world.count(&lot, 5);
        let found = client.count_stock(asked.clone()).await.expect("a count").into_inner();
        let after = found.lot.clone().expect("a lot");
        assert_eq!((after.on_hand, after.reserved, found.broken_reservations), (5, 4, 1));
        assert_eq!(client.count_stock(asked.clone()).await.expect("again").into_inner(), found);
        let other = CountStockRequest { counted: 6, ..asked };
        assert_eq!(refused(client.count_stock(other).await), "REQUEST_ID_REUSED");
        assert_eq!(world.released(&shop, &first).await, ReservationState::Released);
        let release = ReleaseReservationRequest { request_id: request_id(), reservation_id: second.reservation_id };
        assert_eq!(refused(client.release_reservation(release.clone()).await), "RESERVATION_CLOSED");
        let unknown = CountStockRequest { lot_id: fresh_id("lot"), ..world.count(&lot, 1) };
        assert_eq!(refused(client.count_stock(unknown).await), "RESOURCE_NOT_FOUND");
        world.stock_adds_up().await;
    }

    async fn a_transfer_is_booked_on_both_sides(world: World) {
        let (one, two) = (world.shop(PLACES[0]).await, world.shop(PLACES[1]).await);
        let product = fresh_id("prd");
        let lot = world.stocked(&one, &product, "L", 2, 10).await;
        world.held(&one, &product, 4).await;
        let asked = |quantity| TransferStockRequest {
            request_id: request_id(),
            lot_id: lot.lot_id.clone(),
            to_branch_id: two.id.clone(),
            quantity,
        };
        let mut client = world.stock(&one.pharmacist);
        assert_eq!(refused(client.transfer_stock(asked(7)).await), "STOCK_INSUFFICIENT", "what is put aside stays");
        let (dated, strips) = (world.shop(PLACES[2]).await, world.shop(PLACES[2]).await);
        world.stocked(&dated, &product, "L", 9, 1).await;
        let otherwise = TransferStockRequest { to_branch_id: dated.id.clone(), ..asked(1) };
        assert_eq!(refused(client.transfer_stock(otherwise).await), "LOT_MISMATCH");
        let delivery = ReceiveStockRequest { unit_code: "{strip}".to_owned(), ..world.delivery(&strips, &product, "S", 9, 1) };
        world.stock(&strips.pharmacist).receive_stock(delivery).await.expect("strips");
        let otherwise = TransferStockRequest { to_branch_id: strips.id.clone(), ..asked(1) };
        assert_eq!(refused(client.transfer_stock(otherwise).await), "UNIT_MISMATCH");
        let request = asked(6);
        let moved = client.transfer_stock(request.clone()).await.expect("a transfer").into_inner();
        let (from, to) = (moved.from.clone().expect("a lot"), moved.to.clone().expect("a lot"));
        assert_eq!((from.on_hand, to.on_hand, to.branch_id == two.id, to.lot_number.as_str()), (4, 6, true, "L"));
        assert_eq!(client.transfer_stock(request.clone()).await.expect("again").into_inner(), moved);
        let other = TransferStockRequest { quantity: 1, ..request };
        assert_eq!(refused(client.transfer_stock(other).await), "REQUEST_ID_REUSED");
        let home = TransferStockRequest { to_branch_id: one.id.clone(), ..asked(1) };
        assert_eq!(refused(client.transfer_stock(home).await), "FIELD_INVALID");
        let back = TransferStockRequest { lot_id: to.lot_id, to_branch_id: one.id.clone(), ..asked(6) };
        let back = world.stock(&two.pharmacist).transfer_stock(back).await.expect("and back").into_inner();
        assert_eq!(back.to.expect("a lot").on_hand, 10);
        world.clock.advance(2 * DAY);
        assert_eq!(refused(client.transfer_stock(asked(1)).await), "LOT_EXPIRED");
        world.stock_adds_up().await;
    }

    async fn a_delivery_that_contradicts_what_is_known_is_refused(world: World) {
        let (shop, product) = (world.shop(PLACES[0]).await, fresh_id("prd"));
        let asked = world.delivery(&shop, &product, "L", 90, 10);
        let mut client = world.stock(&shop.pharmacist);
        let first = client.receive_stock(asked.clone()).await.expect("a delivery").into_inner();
        assert_eq!(client.receive_stock(asked.clone()).await.expect("again").into_inner(), first);
        let other = ReceiveStockRequest { quantity: 11, ..asked.clone() };
        assert_eq!(refused(client.receive_stock(other).await), "REQUEST_ID_REUSED");
        let more = ReceiveStockRequest { request_id: request_id(), ..asked.clone() };
        let grown = client.receive_stock(more).await.expect("more").into_inner().lot.expect("a lot");
        assert_eq!((grown.on_hand, grown.lot_id), (20, first.lot.expect("a lot").lot_id));
        let dated = world.delivery(&shop, &product, "L", 91, 1);
        assert_eq!(refused(client.receive_stock(dated).await), "LOT_MISMATCH");
        let old = world.delivery(&shop, &product, "OLD", 0, 1);
        assert_eq!(refused(client.receive_stock(old).await), "LOT_EXPIRED");
        let strips = ReceiveStockRequest { unit_code: "{strip}".to_owned(), ..world.delivery(&shop, &product, "S", 90, 1) };
        assert_eq!(refused(client.receive_stock(strips).await), "UNIT_MISMATCH");
        let strips = ReserveStockRequest { unit_code: "{strip}".to_owned(), ..world.wish(&shop, &product, 3) };
        assert_eq!(refused(client.reserve_stock(strips).await), "UNIT_MISMATCH", "hard case 10: never by guess");
    }

    async fn another_branch_s_stock_is_not_for_a_pharmacist_to_know(world: World) {
        let (shop, other, product) = (world.shop(PLACES[0]).await, world.shop(PLACES[1]).await, fresh_id("prd"));
        let lot = world.stocked(&shop, &product, "L", 90, 10).await;
        let held = world.held(&shop, &product, 1).await;
        for stranger in [&other.pharmacist, &staff("pharmacist")] {
            let mut client = world.stock(stranger);
            let not_found = "RESOURCE_NOT_FOUND";
            assert_eq!(refused(client.receive_stock(world.delivery(&shop, &product, "M", 9, 1)).await), not_found);
            assert_eq!(refused(client.count_stock(world.count(&lot, 1)).await), not_found);
            assert_eq!(refused(client.reserve_stock(world.wish(&shop, &product, 1)).await), not_found);
            let list = ListLotsRequest { branch_id: shop.id.clone(), ..ListLotsRequest::default() };
            assert_eq!(refused(client.list_lots(list).await), not_found);
            let reservation_id = held.reservation_id.clone();
            let release = ReleaseReservationRequest { request_id: request_id(), reservation_id };
            assert_eq!(refused(client.release_reservation(release).await), not_found);
            let away = TransferStockRequest {
                request_id: request_id(),
                lot_id: lot.lot_id.clone(),
                to_branch_id: other.id.clone(),
                quantity: 1,
            };
            assert_eq!(refused(client.transfer_stock(away).await), not_found);
        }
        let recall = RecallLotRequest {
            request_id: request_id(),
            product_id: product.clone(),
            lot_number: "L".to_owned(),
            reason: "none".to_owned(),
        };
        assert_eq!(refused(world.stock(&staff("pharmacist")).recall_lot(recall).await), "RESOURCE_NOT_FOUND");
        let operator = ListLotsRequest { branch_id: shop.id.clone(), ..ListLotsRequest::default() };
        assert_eq!(world.stock(&staff("operator")).list_lots(operator).await.expect("lots").into_inner().lots.len(), 1);
    }

    async fn inv_r2_the_database_refuses_what_no_rule_allows(world: World) {
        let (shop, product) = (world.shop(PLACES[0]).await, fresh_id("prd"));
        world.stocked(&shop, &product, "L", 90, 1).await;
        for sql in ["UPDATE stock_lot SET reserved = on_hand + 1", "UPDATE stock_lot SET on_hand = -1"] {
            assert!(world.run(sql.to_owned()).await.is_err(), "{sql}");
        }
    }

    async fn hard_case_2_two_hundred_clients_race_for_the_last_pack(world: World) {
        let (shop, product) = (world.shop(PLACES[0]).await, fresh_id("prd"));
        world.stocked(&shop, &product, "L", 90, 1).await;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..200 {
            // A connection of its own each.
            let mut client = world.stock(&shop.pharmacist);
            let wish = world.wish(&shop, &product, 1);
            clients.spawn(async move {
                loop {
                    match client.reserve_stock(wish.clone()).await {
                        Ok(_) => return "won".to_owned(),
                        Err(status) if reason(&status) == "STOCK_INSUFFICIENT" => return reason(&status),
                        Err(status) => {
                            let later = matches!(
                                status.code(),
                                tonic::Code::ResourceExhausted | tonic::Code::Unavailable | tonic::Code::DeadlineExceeded
                                    | tonic::Code::Aborted | tonic::Code::Cancelled
                            );
                            assert!(later, "{status:?}");
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                }
            });
        }
        let ended = clients.join_all().await;
        assert_eq!(ended.iter().filter(|end| *end == "won").count(), 1);
        assert_eq!(ended.iter().filter(|end| *end == "STOCK_INSUFFICIENT").count(), 199);
        assert_eq!(world.lots(&shop, &product).await[0].reserved, 1);
        world.stock_adds_up().await;
    }
}
