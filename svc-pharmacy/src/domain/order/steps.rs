//! What people do to an order: pack, dispense, deliver, fail, take back, cancel. Each takes the order and gives it back
//! changed, or refuses and changes nothing. Knows neither stock nor money movements.

use caremesh_kernel::{DispenseId, ParcelId, Timestamp};

use super::{
    Capture, Event, Handover, MOST_PARCELS, Order, OrderState, Parcel, ParcelLine, ParcelState, PartLine,
    Priced, Record, Shares, StateForbids,
};

/// Why a step is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The order or the parcel is not in a state that allows it.
    #[error(transparent)]
    State(#[from] StateForbids),
    /// No such parcel.
    #[error("there is no such parcel")]
    NoParcel,
    /// More than is left to pack, no such line, or too many parcels.
    #[error("the parcel holds more than is left")]
    Parcel,
    /// More than was delivered and kept.
    #[error("more than was delivered")]
    Return,
}

impl Order {
    fn moved(mut self, event: Event) -> Result<Self, StateForbids> {
        self.state = self.state.after(event)?;
        Ok(self)
    }

    fn must_be_quiet(&self) -> Result<(), StateForbids> {
        let dispensing = self.parcels.iter().any(|parcel| parcel.state == ParcelState::Dispensing);
        if dispensing || self.closing { Err(StateForbids { state: "SETTLING" }) } else { Ok(()) }
    }

    /// Refuses when the reservations are over: that instant is already too late.
    ///
    /// # Errors
    /// [`Refusal::State`].
    pub fn must_be_reserved(&self, now: Timestamp) -> Result<(), Refusal> {
        if now < self.reserved_until { Ok(()) } else { Err(StateForbids { state: "EXPIRED" }.into()) }
    }

    /// The parcel of this id.
    ///
    /// # Errors
    /// [`Refusal::NoParcel`].
    pub fn parcel(&self, id: ParcelId) -> Result<&Parcel, Refusal> {
        self.parcels.iter().find(|parcel| parcel.id == id).ok_or(Refusal::NoParcel)
    }

    fn with_parcel(
        mut self,
        id: ParcelId,
        change: impl FnOnce(&mut Parcel) -> Result<(), Refusal>,
    ) -> Result<Self, Refusal> {
        let parcel = self.parcels.iter_mut().find(|parcel| parcel.id == id).ok_or(Refusal::NoParcel)?;
        change(parcel)?;
        Ok(self)
    }

    /// Adds to a count of each line that `lines` names.
    fn count(mut self, lines: &[ParcelLine], add: impl Fn(&mut super::OrderLine, i64)) -> Self {
        for line in lines {
            let named = self.lines.iter_mut().filter(|own| own.sequence == line.sequence);
            named.for_each(|own| add(own, line.quantity));
        }
        self
    }

    /// Packs a parcel: these lines, or all that is left when none is named.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn pack(self, id: ParcelId, lines: Vec<ParcelLine>) -> Result<Self, Refusal> {
        self.must_be_quiet()?;
        let mut order = self.moved(Event::Packed)?;
        let lines = if lines.is_empty() { order.left() } else { lines };
        if lines.is_empty() || order.parcels.len() >= MOST_PARCELS || !order.fits(&lines) {
            return Err(Refusal::Parcel);
        }
        order.parcels.push(Parcel {
            id,
            number: i32::try_from(order.parcels.len()).unwrap_or(i32::MAX),
            state: ParcelState::Packed,
            lines: lines.clone(),
            parts: Vec::new(),
            shares: Shares::default(),
            tries: 0,
            hold: None,
            handover: None,
            attempts: 0,
            proof_sealed: None,
            pharmacist: None,
        });
        Ok(order.count(&lines, |line, quantity| line.packed += quantity))
    }

    fn left(&self) -> Vec<ParcelLine> {
        let left = |line: &super::OrderLine| ParcelLine {
            sequence: line.sequence,
            quantity: line.quantity - line.packed,
        };
        self.lines.iter().map(left).filter(|line| line.quantity > 0).collect()
    }

    /// Each line once, and no more of it than is left.
    fn fits(&self, lines: &[ParcelLine]) -> bool {
        let left = self.left();
        lines.iter().enumerate().all(|(place, line)| {
            line.quantity > 0
                && !lines[..place].iter().any(|other| other.sequence == line.sequence)
                && left.iter().any(|own| own.sequence == line.sequence && line.quantity <= own.quantity)
        })
    }

    /// Begins to dispense a packed parcel; which part of each line goes with it is fixed here. One at a time.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn begin_dispense(self, id: ParcelId, handover: Handover, by: String) -> Result<Self, Refusal> {
        self.must_be_quiet()?;
        if !matches!(self.state, OrderState::Packing | OrderState::PartlyShipped) {
            return Err(StateForbids { state: self.state.name() }.into());
        }
        let lines = self.parcel(id)?.lines.clone();
        let parts: Vec<PartLine> = lines.iter().filter_map(|line| self.part_with(*line)).collect();
        let shares = self.shares_of(&parts);
        let order = self.with_parcel(id, |parcel| {
            parcel.state = parcel.state.to(ParcelState::Dispensing)?;
            parcel.tries += 1;
            (parcel.parts, parcel.shares) = (parts, shares);
            (parcel.handover, parcel.pharmacist) = (Some(handover), Some(by));
            Ok(())
        })?;
        Ok(order.count(&lines, |line, quantity| line.dispensed += quantity))
    }

    fn part_with(&self, line: ParcelLine) -> Option<PartLine> {
        let own = self.lines.iter().find(|own| own.sequence == line.sequence)?;
        let (before, so_far) = (own.dispensed, own.dispensed + line.quantity);
        Some(PartLine { sequence: line.sequence, quantity: own.quantity, before, so_far })
    }

    /// Who bears these parts.
    #[must_use]
    pub fn shares_of(&self, parts: &[PartLine]) -> Shares {
        let of = |part: &PartLine| {
            let line = self.lines.iter().find(|line| line.sequence == part.sequence)?;
            Some(line.whole.part(part.before, part.so_far, part.quantity))
        };
        parts.iter().filter_map(of).fold(Shares::default(), Shares::plus)
    }

    /// Takes a beginning back: nothing was dispensed.
    ///
    /// # Errors
    /// [`Refusal`] when the parcel is not being dispensed.
    pub fn undo_dispense(self, id: ParcelId) -> Result<Self, Refusal> {
        let lines = self.parcel(id)?.lines.clone();
        let order = self.with_parcel(id, |parcel| {
            parcel.state = parcel.state.to(ParcelState::Packed)?;
            (parcel.parts, parcel.shares) = (Vec::new(), Shares::default());
            (parcel.handover, parcel.pharmacist) = (None, None);
            Ok(())
        })?;
        Ok(order.count(&lines, |line, quantity| line.dispensed -= quantity))
    }

    /// Benefit and own share are captured: the parcel goes out, and there is a record to be claimed on.
    ///
    /// # Errors
    /// [`Refusal`] when the parcel is not being dispensed.
    pub fn finish_dispense(
        self,
        id: ParcelId,
        record: DispenseId,
        posting: Option<String>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let all = self.lines.iter().all(|line| line.dispensed == line.quantity);
        let event = if all { Event::DispensedAll } else { Event::DispensedPart };
        let mut order = self.moved(event)?.with_parcel(id, |parcel| {
            let to_counter = parcel.handover == Some(Handover::AtCounter);
            parcel.state =
                parcel.state.to(if to_counter { ParcelState::Delivered } else { ParcelState::Shipped })?;
            Ok(())
        })?;
        let (revision, shares) = (order.revision, order.parcel(id)?.shares);
        order.records.push(Record {
            id: record,
            parcels: vec![id],
            revision,
            withdrawn: false,
            shares,
            posting,
            at: now,
        });
        Ok(order.all_arrived())
    }

    /// Everything that was dispensed has reached the patient, once nothing more will come.
    fn all_arrived(mut self) -> Self {
        let mut sent = self.parcels.iter().filter(|parcel| {
            !matches!(parcel.state, ParcelState::Unpacked | ParcelState::NotDelivered | ParcelState::Packed)
        });
        if self.state == OrderState::Shipped && sent.all(|parcel| parcel.state == ParcelState::Delivered) {
            self.state = OrderState::Delivered;
        }
        self
    }

    /// A parcel reached the patient.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn deliver(self, id: ParcelId, proof_sealed: String) -> Result<Self, Refusal> {
        if self.closing {
            return Err(StateForbids { state: "SETTLING" }.into());
        }
        let order = self.with_parcel(id, |parcel| {
            parcel.state = parcel.state.to(ParcelState::Delivered)?;
            parcel.proof_sealed = Some(proof_sealed);
            Ok(())
        })?;
        Ok(order.all_arrived())
    }

    /// A delivery failed and will be tried again.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn try_again(self, id: ParcelId) -> Result<Self, Refusal> {
        self.with_parcel(id, |parcel| {
            parcel.state = parcel.state.to(ParcelState::Shipped)?;
            parcel.attempts += 1;
            Ok(())
        })
    }

    /// A delivery failed for good: nothing of the parcel is kept, and the order is priced anew. Only once nothing more is
    /// to be dispensed, so that there is one price for what is kept.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn fail_delivery(self, id: ParcelId) -> Result<Self, Refusal> {
        self.must_be_quiet()?;
        if self.state != OrderState::Shipped {
            return Err(StateForbids { state: self.state.name() }.into());
        }
        let lines = self.parcel(id)?.lines.clone();
        let mut order = self.with_parcel(id, |parcel| {
            parcel.state = parcel.state.to(ParcelState::NotDelivered)?;
            parcel.attempts += 1;
            Ok(())
        })?;
        order.closing = true;
        Ok(order.count(&lines, |line, quantity| line.returned += quantity))
    }

    /// Delivered goods come back; the order is priced anew.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn take_back(self, lines: &[ParcelLine]) -> Result<Self, Refusal> {
        self.must_be_quiet()?;
        if self.state != OrderState::Delivered {
            return Err(StateForbids { state: self.state.name() }.into());
        }
        let kept = |sequence| {
            self.lines.iter().find(|own| own.sequence == sequence).map_or(0, super::OrderLine::kept)
        };
        let asked = |sequence| -> i64 {
            lines.iter().filter(|line| line.sequence == sequence).map(|line| line.quantity).sum()
        };
        if lines.iter().any(|line| line.quantity <= 0 || asked(line.sequence) > kept(line.sequence)) {
            return Err(Refusal::Return);
        }
        let mut order = self.count(lines, |line, quantity| line.returned += quantity);
        order.closing = true;
        Ok(order)
    }

    /// Cancels what is not dispensed: all of it, or the rest, which is then priced anew.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn cancel(self, event: Event, reason: &str) -> Result<Self, Refusal> {
        self.must_be_quiet()?;
        let mut order = if self.state == OrderState::PartlyShipped && event == Event::Cancel {
            Self { closing: true, ..self }
        } else {
            self.moved(event)?
        };
        for parcel in order.parcels.iter_mut().filter(|parcel| parcel.state == ParcelState::Packed) {
            parcel.state = ParcelState::Unpacked;
        }
        order.lines.iter_mut().for_each(|line| line.packed = line.dispensed);
        order.reason = Some(reason.to_owned());
        Ok(order)
    }

    /// What is kept of each line, for pricing it anew.
    #[must_use]
    pub fn kept(&self) -> Vec<PartLine> {
        let kept = |line: &super::OrderLine| PartLine {
            sequence: line.sequence,
            quantity: line.quantity,
            before: 0,
            so_far: line.kept(),
        };
        self.lines.iter().map(kept).collect()
    }

    /// The price of what is kept is posted and paid: it replaces everything before it.
    ///
    /// # Errors
    /// [`Refusal`] when nothing is being priced anew.
    pub fn repriced(
        mut self,
        shares: &[(u32, Shares)],
        capture: Option<Capture>,
        record: DispenseId,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        if !self.closing {
            return Err(StateForbids { state: self.state.name() }.into());
        }
        for line in &mut self.lines {
            let found = shares.iter().find(|(sequence, _)| *sequence == line.sequence);
            line.shares = found.map_or(Shares::default(), |(_, shares)| *shares);
        }
        (self.closing, self.revision) = (false, self.revision + 1);
        self.records.iter_mut().for_each(|record| record.withdrawn = true);
        let posting = capture.as_ref().map(|capture| capture.posting.clone());
        self.benefit.hold = None;
        self.benefit.captures = capture.into_iter().collect();
        let nothing = self.lines.iter().all(|line| line.kept() == 0);
        if !nothing {
            self.records.push(self.record(record, posting, now));
        }
        self.settled(nothing)
    }

    fn record(&self, id: DispenseId, posting: Option<String>, now: Timestamp) -> Record {
        let sent = |parcel: &&Parcel| matches!(parcel.state, ParcelState::Shipped | ParcelState::Delivered);
        Record {
            id,
            parcels: self.parcels.iter().filter(sent).map(|parcel| parcel.id).collect(),
            revision: self.revision,
            withdrawn: false,
            shares: self.total(),
            posting,
            at: now,
        }
    }

    fn settled(self, nothing: bool) -> Result<Self, Refusal> {
        let order = match self.state {
            OrderState::PartlyShipped => self.moved(Event::DispensedAll)?,
            OrderState::Shipped if nothing => self.moved(Event::DeliveredNothing)?,
            OrderState::Delivered if nothing => self.moved(Event::ReturnedAll)?,
            _ => self,
        };
        Ok(order.all_arrived())
    }

    /// What a fresh price makes of the lines. False: the member would pay more than agreed.
    #[must_use]
    pub fn takes(&mut self, priced: Priced) -> bool {
        for line in &mut self.lines {
            let found = priced.lines.iter().find(|own| own.sequence == line.sequence);
            line.whole = found.map_or(Shares { plan: 0, discount: 0, ..line.whole }, |own| own.shares);
            line.shares = line.whole;
        }
        self.benefit.priced = priced;
        self.total().member() <= self.agreed_member_minor
    }
}
