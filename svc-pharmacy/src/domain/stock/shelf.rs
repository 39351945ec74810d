//! The shelf: all lots of one product at one branch with the reservations that a change may touch. A change is made
//! here and written by the store; the database has the last word with its own CHECK. Knows no clock and no rows.

use std::collections::BTreeMap;

use caremesh_kernel::{Date, LotId, ReservationId, Timestamp};

use super::{
    Ask, Change, Closed, Counted, Lot, LotState, Movement, MovementKind, Part, Refusal, Reservation,
    ReservationState,
};

/// All lots of one product at one branch, and the reservations of them that were loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    unit: String,
    lots: BTreeMap<LotId, Lot>,
    reservations: BTreeMap<ReservationId, Reservation>,
    was_lots: BTreeMap<LotId, Lot>,
    was_reservations: BTreeMap<ReservationId, Reservation>,
    movements: Vec<Movement>,
}

impl Shelf {
    /// A shelf as it was loaded.
    #[must_use]
    pub fn new(unit: &str, lots: Vec<Lot>, reservations: Vec<Reservation>) -> Self {
        let lots: BTreeMap<_, _> = lots.into_iter().map(|lot| (lot.id, lot)).collect();
        let reservations: BTreeMap<_, _> = reservations.into_iter().map(|held| (held.id, held)).collect();
        Self {
            unit: unit.to_owned(),
            was_lots: lots.clone(),
            was_reservations: reservations.clone(),
            lots,
            reservations,
            movements: Vec::new(),
        }
    }

    /// The unit in which the product is counted here.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// A lot.
    #[must_use]
    pub fn lot(&self, id: LotId) -> Option<&Lot> {
        self.lots.get(&id)
    }

    /// The lots, in the order of their ids.
    pub fn lots(&self) -> impl Iterator<Item = &Lot> {
        self.lots.values()
    }

    /// A reservation.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> Option<&Reservation> {
        self.reservations.get(&id)
    }

    /// Units that can be put aside on a day.
    #[must_use]
    pub fn free(&self, today: Date) -> i64 {
        self.lots.values().map(|lot| lot.free(today)).sum()
    }

    /// Ends every reservation whose time is over. Before anything else: neither a CHECK nor a lot can see the clock.
    pub fn expire(&mut self, now: Timestamp) {
        let due: Vec<_> =
            self.reservations.values().filter(|held| held.is_due(now)).map(|held| held.id).collect();
        for id in due {
            self.end(id, ReservationState::Expired);
        }
    }

    /// Takes in a delivery: the same lot grows.
    ///
    /// # Errors
    /// [`Refusal::Unit`], [`Refusal::Expired`], [`Refusal::Recalled`], [`Refusal::OtherExpiry`].
    pub fn receive(
        &mut self,
        fresh: LotId,
        number: &str,
        expiry: Date,
        quantity: i64,
        unit: &str,
        today: Date,
    ) -> Result<LotId, Refusal> {
        self.take_in(MovementKind::Received, fresh, number, expiry, quantity, unit, today)
    }

    /// Takes in what another branch sent.
    ///
    /// # Errors
    /// As [`Shelf::receive`].
    pub fn arrive(
        &mut self,
        fresh: LotId,
        from: &Lot,
        quantity: i64,
        unit: &str,
        today: Date,
    ) -> Result<LotId, Refusal> {
        self.take_in(MovementKind::Arrived, fresh, &from.number, from.expiry, quantity, unit, today)
    }

    #[expect(clippy::too_many_arguments, reason = "what a delivery note says, and the day")]
    fn take_in(
        &mut self,
        kind: MovementKind,
        fresh: LotId,
        number: &str,
        expiry: Date,
        quantity: i64,
        unit: &str,
        today: Date,
    ) -> Result<LotId, Refusal> {
        if unit != self.unit {
            return Err(Refusal::Unit);
        }
        if today >= expiry {
            return Err(Refusal::Expired);
        }
        let known = self.lots.values().find(|lot| lot.number == number);
        let id = match known {
            Some(lot) if lot.recalled => return Err(Refusal::Recalled),
            Some(lot) if lot.expiry != expiry => return Err(Refusal::OtherExpiry),
            Some(lot) => lot.id,
            None => fresh,
        };
        let number = number.to_owned();
        let new = || Lot { id, number, expiry, on_hand: 0, reserved: 0, recalled: false, version: 0 };
        self.lots.entry(id).or_insert_with(new);
        self.change(id, kind, quantity, 0, None);
        Ok(id)
    }

    /// Puts stock aside: the lot that expires first goes first, several lots if need be, all or nothing.
    ///
    /// # Errors
    /// [`Refusal::Unit`], [`Refusal::Shortage`].
    pub fn reserve(&mut self, ask: &Ask, today: Date, now: Timestamp) -> Result<&Reservation, Refusal> {
        if ask.unit != self.unit {
            return Err(Refusal::Unit);
        }
        let parts = self.first_to_expire_first(ask.quantity, today)?;
        for part in &parts {
            self.change(part.lot, MovementKind::Reserved, 0, part.quantity, Some(ask.id));
        }
        let held = Reservation {
            id: ask.id,
            holder: ask.holder.clone(),
            parts,
            state: ReservationState::Held,
            expires: ask.expires,
            created: now,
        };
        Ok(self.reservations.entry(ask.id).or_insert(held))
    }

    fn first_to_expire_first(&self, quantity: i64, today: Date) -> Result<Vec<Part>, Refusal> {
        let mut good: Vec<&Lot> = self.lots.values().filter(|lot| lot.free(today) > 0).collect();
        good.sort_by_key(|lot| (lot.expiry, lot.id));
        let (mut parts, mut wanted) = (Vec::new(), quantity);
        for lot in good {
            let taken = lot.free(today).min(wanted);
            if taken > 0 {
                parts.push(Part { lot: lot.id, quantity: taken, consumed: 0 });
                wanted -= taken;
            }
        }
        if wanted > 0 { Err(Refusal::Shortage { free: quantity - wanted }) } else { Ok(parts) }
    }

    /// Gives a reservation back. Says whether this did it: asking again, or after its time, is no error.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]; [`Refusal::Closed`] when it was handed out or broken.
    pub fn release(&mut self, id: ReservationId) -> Result<bool, Refusal> {
        let state = self.reservations.get(&id).ok_or(Refusal::Unknown)?.state;
        match state {
            ReservationState::Held => {
                self.end(id, ReservationState::Released);
                Ok(true)
            }
            ReservationState::Released | ReservationState::Expired => Ok(false),
            ReservationState::Consumed | ReservationState::Broken => Err(Closed { state }.into()),
        }
    }

    /// Hands out a quantity of a reservation; what is left stays put aside. Gives what came from which lot.
    ///
    /// # Errors
    /// [`Refusal::Unknown`]; [`Refusal::Closed`] when it is no longer held; [`Refusal::Expired`] or
    /// [`Refusal::Recalled`] when a lot is not good any more; [`Refusal::Shortage`] for more than is left.
    pub fn consume(&mut self, id: ReservationId, quantity: i64, today: Date) -> Result<Vec<Part>, Refusal> {
        let held = self.reservations.get(&id).ok_or(Refusal::Unknown)?.clone();
        if held.state != ReservationState::Held {
            return Err(Closed { state: held.state }.into());
        }
        if quantity > held.left() || quantity < 1 {
            return Err(Refusal::Shortage { free: held.left() });
        }
        let (mut taken, mut wanted) = (Vec::new(), quantity);
        for part in held.parts.iter().filter(|part| part.left() > 0) {
            let units = part.left().min(wanted);
            if units == 0 {
                break;
            }
            self.must_be_good(part.lot, today)?;
            taken.push(Part { lot: part.lot, quantity: units, consumed: units });
            wanted -= units;
        }
        for part in &taken {
            self.change(part.lot, MovementKind::Consumed, -part.quantity, -part.quantity, Some(id));
        }
        self.note_consumed(id, &taken);
        Ok(taken)
    }

    fn note_consumed(&mut self, id: ReservationId, taken: &[Part]) {
        let Some(held) = self.reservations.get_mut(&id) else { return };
        for part in &mut held.parts {
            part.consumed +=
                taken.iter().filter(|one| one.lot == part.lot).map(|one| one.quantity).sum::<i64>();
        }
        if held.left() == 0 {
            held.state = ReservationState::Consumed;
        }
    }

    fn must_be_good(&self, lot: LotId, today: Date) -> Result<(), Refusal> {
        match self.lots.get(&lot).ok_or(Refusal::Unknown)?.state(today) {
            LotState::Good => Ok(()),
            LotState::Expired => Err(Refusal::Expired),
            LotState::Recalled => Err(Refusal::Recalled),
        }
    }

    /// Records what a stock-take found. Where less is there than is put aside, the newest reservations are broken.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn count(&mut self, lot: LotId, counted: i64) -> Result<Counted, Refusal> {
        let before = self.lots.get(&lot).ok_or(Refusal::Unknown)?.on_hand;
        let mut broken = Vec::new();
        while self.lots.get(&lot).is_some_and(|lot| lot.reserved > counted) {
            let Some(newest) = self.newest_holding(lot) else { return Err(Refusal::Unknown) };
            self.end(newest, ReservationState::Broken);
            broken.push(newest);
        }
        self.change(lot, MovementKind::Counted, counted - before, 0, None);
        Ok(Counted { broken })
    }

    fn newest_holding(&self, lot: LotId) -> Option<ReservationId> {
        let holding = self.reservations.values().filter(|held| held.holds(lot));
        holding.max_by_key(|held| (held.created, held.id)).map(|held| held.id)
    }

    /// Recalls a lot: for good, and every reservation of it is broken.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn recall(&mut self, lot: LotId) -> Result<Counted, Refusal> {
        let mut broken = Vec::new();
        while let Some(held) = self.newest_holding(lot) {
            self.end(held, ReservationState::Broken);
            broken.push(held);
        }
        self.lots.get_mut(&lot).ok_or(Refusal::Unknown)?.recalled = true;
        self.change(lot, MovementKind::Recalled, 0, 0, None);
        Ok(Counted { broken })
    }

    /// Takes unreserved stock of a good lot away for another branch; gives the lot as it was.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Expired`], [`Refusal::Recalled`], [`Refusal::Shortage`].
    pub fn send_away(&mut self, lot: LotId, quantity: i64, today: Date) -> Result<Lot, Refusal> {
        self.must_be_good(lot, today)?;
        let from = self.lots.get(&lot).cloned().ok_or(Refusal::Unknown)?;
        if from.free(today) < quantity {
            return Err(Refusal::Shortage { free: from.free(today) });
        }
        self.change(lot, MovementKind::SentAway, -quantity, 0, None);
        Ok(from)
    }

    /// Ends a held reservation and gives back what it still puts aside.
    fn end(&mut self, id: ReservationId, state: ReservationState) {
        let Some(held) = self.reservations.get_mut(&id) else { return };
        let Ok(next) = held.state.to(state) else { return };
        held.state = next;
        let parts = held.parts.clone();
        for part in parts.iter().filter(|part| part.left() > 0) {
            self.change(part.lot, MovementKind::Freed, 0, -part.left(), Some(id));
        }
    }

    fn change(
        &mut self,
        id: LotId,
        kind: MovementKind,
        on_hand: i64,
        reserved: i64,
        of: Option<ReservationId>,
    ) {
        let Some(lot) = self.lots.get_mut(&id) else { return };
        lot.on_hand += on_hand;
        lot.reserved += reserved;
        self.movements.push(Movement { lot: id, kind, on_hand, reserved, reservation: of });
    }

    /// What has changed since the shelf was loaded; every changed lot and reservation once.
    #[must_use]
    pub fn into_change(self) -> Change {
        let changed = |lot: &&Lot| self.was_lots.get(&lot.id).is_some_and(|was| was != *lot);
        let moved = |held: &&Reservation| self.was_reservations.get(&held.id).is_some_and(|was| was != *held);
        Change {
            new_lots: self
                .lots
                .values()
                .filter(|lot| !self.was_lots.contains_key(&lot.id))
                .cloned()
                .collect(),
            lots: self.lots.values().filter(changed).cloned().collect(),
            new_reservations: self
                .reservations
                .values()
                .filter(|held| !self.was_reservations.contains_key(&held.id))
                .cloned()
                .collect(),
            reservations: self.reservations.values().filter(moved).cloned().collect(),
            movements: self.movements.clone(),
        }
    }
}
