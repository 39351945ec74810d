//! What prescriptions say of an order: from which item each line is filled, and whether it may be today. Asked at the placing,
//! when a paper was verified, and again before a parcel goes.

use caremesh_kernel::{Date, PersonId, PrescriptionId, PrescriptionItemId};
use caremesh_mesh::{CallContext, Touched};

use super::quote::Item;
use crate::app::prescription::Opened;
use crate::app::{App, Error};
use crate::domain::order::{Order, OrderLine, Script};
use crate::domain::prescription::{
    FillAsk, Medicine, PaperState, StateForbids, SubstitutionRefusal, may_replace,
};
use crate::domain::safety::Checked;
use crate::store::branch::Row as Branch;
use crate::store::prescription;

/// What a line names as its prescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A verified item.
    Item(PrescriptionItemId),
    /// A paper, verified or not.
    Paper(PrescriptionId),
}

/// A line that is about to be judged, and those judged before it.
struct Candidate<'l> {
    line: &'l OrderLine,
    script: Script,
    given: &'l Medicine,
    before: &'l [OrderLine],
}

impl Candidate<'_> {
    /// Whether an item is the one of the line: the one that was named, or any that no line before is filled from.
    fn may_be(&self, id: PrescriptionItemId) -> bool {
        match self.script.item {
            Some(named) => named == id,
            None => !self.before.iter().any(|other| of_item(other) == Some(id)),
        }
    }
}

fn of_item(line: &OrderLine) -> Option<PrescriptionItemId> {
    line.script.and_then(|script| script.item)
}

impl App {
    /// The prescriptions that items name, all of this patient: anybody else's is not found (INV-R3).
    pub(super) async fn scripts(
        &self,
        context: &CallContext,
        patient: PersonId,
        items: &[Item],
    ) -> Result<Vec<Option<Script>>, Error> {
        let mut scripts: Vec<Option<Script>> = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            let script = match item.named {
                Some(named) => Some(self.script(context, patient, named, item).await?),
                None => None,
            };
            let named = script.and_then(|script| script.item);
            if named.is_some() && scripts.iter().flatten().any(|other| other.item == named) {
                let field = format!("items[{place}].prescription_item_id");
                return Err(Error::Field { field, rule: "order.item_once" });
            }
            scripts.push(script);
        }
        Ok(scripts)
    }

    async fn script(
        &self,
        context: &CallContext,
        patient: PersonId,
        named: Named,
        item: &Item,
    ) -> Result<Script, Error> {
        let reader = self.db.read(context);
        let (row, of) = match named {
            Named::Item(id) => (prescription::find_by_item(&reader, id).await?, Some(id)),
            Named::Paper(id) => (prescription::find(&reader, id).await?, None),
        };
        let row = row.filter(|row| row.patient == patient).ok_or(Error::NotFound)?;
        let (substitution, consent) = (item.substitution, item.consent);
        Ok(Script { prescription: row.id, item: of, substitution, consent })
    }

    /// Lines as they may be sold online today, each with the item that it is filled from: not of a class that forbids it
    /// (INV-R4), not beyond what is prescribed and due (INV-R1, R9), no other medicine than was prescribed (INV-R7), and
    /// nothing that does severe harm together, or with what the patient takes (INV-R8). Lines of a paper that nobody has
    /// verified stay without an item.
    pub(super) async fn may_order(
        &self,
        context: &CallContext,
        order: &Order,
        lines: &[OrderLine],
        branch: &Branch,
    ) -> Result<Vec<OrderLine>, Error> {
        let today = branch.today(self.clock.now());
        let papers = self.papers(context, lines).await?;
        let (mut judged, mut new) = (Vec::with_capacity(lines.len()), Vec::with_capacity(lines.len()));
        for line in lines {
            let given = self.medicine(context, line.product).await?.ok_or(Error::NotFound)?;
            self.control.may_sell_online(&branch.jurisdiction, &given.generic, given.atc.as_deref())?;
            let mut judged_line = line.clone();
            if let Some(script) = line.script {
                let candidate = Candidate { line, script, given: &given, before: &judged };
                judged_line.script = Some(self.judge(context, &papers, candidate, today).await?);
            }
            judged.push(judged_line);
            new.push(Checked { generic: given.generic, atc: given.atc, is_new: true });
        }
        let ids: Vec<PrescriptionId> = papers.iter().map(|paper| paper.row.id).collect();
        self.assess(context, order.patient, new, &ids, today).await?.must_pass()?;
        Ok(judged)
    }

    /// The prescriptions of lines, opened, each once.
    async fn papers(&self, context: &CallContext, lines: &[OrderLine]) -> Result<Vec<Opened>, Error> {
        let mut papers: Vec<Opened> = Vec::new();
        for script in lines.iter().filter_map(|line| line.script) {
            if papers.iter().all(|paper| paper.row.id != script.prescription) {
                let row = prescription::find(&self.db.read(context), script.prescription).await?;
                papers.push(self.opened(context, row.ok_or(Error::NotFound)?).await?);
            }
        }
        Ok(papers)
    }

    async fn judge(
        &self,
        context: &CallContext,
        papers: &[Opened],
        candidate: Candidate<'_>,
        today: Date,
    ) -> Result<Script, Error> {
        let (line, script) = (candidate.line, candidate.script);
        let paper = papers.iter().find(|paper| paper.row.id == script.prescription);
        let paper = paper.ok_or(Error::NotFound)?;
        let state = paper.row.state.at(paper.row.expires, self.clock.now());
        if is_waiting(state) && script.item.is_none() {
            return Ok(script);
        }
        if state != PaperState::Verified {
            return Err(StateForbids { state: state.name() }.into());
        }
        let mut refusal = SubstitutionRefusal::OtherMedicine;
        for (_, item) in paper.items.iter().filter(|(_, item)| candidate.may_be(item.id)) {
            let brand = match item.prescribed.product {
                Some(product) => self.medicine(context, product).await?,
                None => None,
            };
            let (why, consent) = (script.substitution, script.consent);
            match may_replace(&item.prescribed, brand.as_ref(), candidate.given, why, consent) {
                Ok(substituted) => {
                    let ask = FillAsk { quantity: line.quantity, unit: line.unit.clone(), early: None };
                    item.fill(&ask, today)?;
                    let substitution = why.filter(|_| substituted);
                    return Ok(Script { item: Some(item.id), substitution, ..script });
                }
                Err(SubstitutionRefusal::OtherMedicine) => {}
                Err(nearer) => refusal = nearer,
            }
        }
        Err(refusal.into())
    }

    /// The lines of an order once every paper is verified; none while one waits.
    pub(super) async fn verified_lines(
        &self,
        context: &CallContext,
        order: &Order,
    ) -> Result<Option<Vec<OrderLine>>, Error> {
        for script in order.lines.iter().filter_map(|line| line.script) {
            let row = prescription::find(&self.db.read(context), script.prescription).await?;
            let row = row.ok_or(Error::NotFound)?;
            if script.item.is_none() && is_waiting(row.state.at(row.expires, self.clock.now())) {
                return Ok(None);
            }
        }
        let branch = crate::app::branch::get(self, context, order.branch).await?;
        let lines = self.may_order(context, order, &order.lines, &branch).await?;
        Ok(lines.iter().all(|line| !line.needs_verification()).then_some(lines))
    }

    /// Tells the trail whose prescriptions were looked at.
    pub(super) fn touch_scripts(&self, context: &CallContext, order: &Order) {
        for script in order.lines.iter().filter_map(|line| line.script) {
            context.touched(Touched::read(order.patient, script.prescription));
        }
    }
}

fn is_waiting(state: PaperState) -> bool {
    matches!(state, PaperState::AwaitingDocument | PaperState::Uploaded | PaperState::InVerification)
}
