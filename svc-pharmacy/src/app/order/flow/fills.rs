//! What a parcel counts on prescriptions when it goes, in the transaction that hands its stock out. One fill is one count,
//! however many parcels it takes: the item itself knows what its fill still owes.

use caremesh_db::Tx;
use caremesh_db::keys::PersonKey;
use caremesh_db::process::{StepCall, StepError};
use caremesh_kernel::Date;

use super::data_of;
use crate::app::prescription::fill::{Wish, fill_in};
use crate::app::{App, Error};
use crate::domain::order::{Order, Parcel};
use crate::domain::prescription::FillAsk;
use crate::domain::stock::Part;

/// The fills of a parcel, by line.
#[derive(Clone)]
pub(super) struct Fills {
    key: Option<PersonKey>,
    wishes: Vec<(u32, Wish)>,
}

impl Fills {
    /// Counts the fill of a line, whose stock came from these lots. What may not be filled any more stops the parcel.
    pub(super) async fn record(
        &self,
        tx: &Tx,
        sequence: u32,
        lots: Vec<Part>,
        today: Date,
    ) -> Result<(), Error> {
        let wish = self.wishes.iter().find(|(of, _)| *of == sequence);
        if let (Some((_, wish)), Some(key)) = (wish, &self.key) {
            fill_in(tx, key, wish, lots, today).await?;
        }
        Ok(())
    }
}

impl App {
    /// The fills that a parcel is. The key is the patient's, fetched before the transaction.
    pub(super) async fn fills(
        &self,
        call: &StepCall,
        order: &Order,
        parcel: &Parcel,
    ) -> Result<Fills, StepError> {
        let mut wishes = Vec::new();
        for packed in &parcel.lines {
            let line = order.lines.iter().find(|line| line.sequence == packed.sequence);
            let Some((line, script)) = line.and_then(|line| Some((line, line.script?))) else { continue };
            let item = script.item.ok_or(StepError::GiveUp("PRESCRIPTION_UNVERIFIED"))?;
            let pharmacist = data_of(call)?.pharmacist.ok_or(StepError::GiveUp("PHARMACIST_UNKNOWN"))?;
            let wish = Wish {
                item,
                patient: order.patient,
                ask: FillAsk { quantity: packed.quantity, unit: line.unit.clone(), early: None },
                branch: order.branch,
                product: line.product,
                substitution: script.substitution,
                pharmacist,
                holder: order.id.to_string(),
            };
            wishes.push((packed.sequence, wish));
        }
        let key = if wishes.is_empty() {
            None
        } else {
            let key = self.keys.key(&call.context, order.patient).await;
            Some(key.map_err(|_| StepError::Retry("STORE"))?)
        };
        Ok(Fills { key, wishes })
    }
}
