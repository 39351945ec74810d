//! A maker's lot at a branch. Knows no reservation by name, only how much of the lot is put aside.

use caremesh_kernel::{Date, LotId};

/// A lot of the shelf's product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Its id.
    pub id: LotId,
    /// The maker's lot number.
    pub number: String,
    /// The first day, in the branch's zone, on which it must not be handed out.
    pub expiry: Date,
    /// Units there.
    pub on_hand: i64,
    /// Units of those that are put aside.
    pub reserved: i64,
    /// Whether it was recalled: for good.
    pub recalled: bool,
    /// Version of its row.
    pub version: i64,
}

/// Where a lot stands on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LotState {
    /// Can be reserved and handed out.
    Good,
    /// Its expiry date has come.
    Expired,
    /// Recalled by its maker or an authority, whatever its date.
    Recalled,
}

impl Lot {
    /// Where it stands on a day.
    #[must_use]
    pub fn state(&self, today: Date) -> LotState {
        if self.recalled {
            return LotState::Recalled;
        }
        if today >= self.expiry { LotState::Expired } else { LotState::Good }
    }

    /// Units that can still be put aside on a day: none of a lot that is not good.
    #[must_use]
    pub fn free(&self, today: Date) -> i64 {
        if self.state(today) == LotState::Good { self.on_hand - self.reserved } else { 0 }
    }
}
