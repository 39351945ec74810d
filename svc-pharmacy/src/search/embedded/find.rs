//! Evaluates a query on one segment after the other: for each part the cheapest choice that a document has, for each choice of
//! the pivot the best documents. All numbers are whole: costs are hundredths of a nat.

use std::collections::HashMap;

use caremesh_kernel::Uuid;

use super::super::index::{Facet, Found, Hit, Query};
use super::super::understand::{Choice, Reach, Slot};
use super::lists::{Lists, NO_VALUE, Stand};
use super::schema::LONGEST_BEGINNING;

/// Words that one long beginning stands for at most.
const MOST_WORDS: usize = 64;
/// Facet values told at most.
const MOST_VALUES: usize = 20;
/// Choices are told apart in one byte.
const CHOICES: usize = 255;

/// Cost, rank and key: the order within a choice.
type Ranked = (u32, u16, Uuid);

/// The documents of a choice that stand alike.
#[derive(Clone, Copy)]
struct List<'s> {
    cost: u32,
    choice: usize,
    documents: &'s [u32],
}

/// A segment as a search sees it.
pub(super) struct View<'s> {
    pub(super) lists: &'s Lists,
    /// A bit for each document that is gone.
    pub(super) dead: Option<&'s [u64]>,
}

/// What is known of a document while several parts are put together.
#[derive(Clone, Copy, Default)]
struct Sum {
    cost: u32,
    /// The last part that found it, from 1; 0: none did.
    part: u8,
    group: u8,
}

/// Room for the sums of a segment's documents, used again by later searches; all of it is as at first between two uses.
#[derive(Default)]
pub(super) struct Scratch {
    sums: Vec<Sum>,
    found: Vec<u32>,
}

/// Finds over all segments.
pub(super) struct Finder<'q> {
    query: &'q Query,
    pivot: usize,
    best: Vec<Vec<Ranked>>,
    total: u64,
    counts: [HashMap<String, u64>; Facet::ALL.len()],
}

impl<'q> Finder<'q> {
    pub(super) fn new(query: &'q Query) -> Option<Self> {
        let pivot = query.pivot()?;
        let groups = query.slots[pivot].choices.len().min(CHOICES) + 1;
        Some(Self { query, pivot, best: vec![Vec::new(); groups], total: 0, counts: Default::default() })
    }

    /// Looks through one segment.
    pub(super) fn segment(&mut self, view: &View<'_>, scratch: &mut Scratch) {
        let query = self.query;
        let sieve = Sieve::new(view, query);
        let mut counts = Counts::new(view.lists, query.counting);
        if scratch.sums.len() < view.lists.len() {
            scratch.sums.resize(view.lists.len(), Sum::default());
        }
        if let [slot] = query.slots.as_slice() {
            self.one_part(view, &sieve, &lists(view.lists, slot), &mut counts, scratch);
        } else {
            self.several_parts(view, &sieve, &mut counts, scratch);
        }
        for document in scratch.found.drain(..) {
            scratch.sums[document as usize] = Sum::default();
        }
        counts.tell(view.lists, &mut self.counts);
    }

    /// The lists of one part come best first, so that what is beyond a full group need not be looked at.
    fn one_part(
        &mut self,
        view: &View<'_>,
        sieve: &Sieve<'_>,
        lists: &[List<'_>],
        counts: &mut Counts,
        scratch: &mut Scratch,
    ) {
        let mut room = vec![self.query.limit; self.best.len()];
        for list in lists {
            for (at, document) in list.documents.iter().copied().enumerate() {
                let full = room[list.choice] == 0;
                if full && !self.query.counting {
                    self.total += (list.documents.len() - at) as u64;
                    break;
                }
                let sum = &mut scratch.sums[document as usize];
                if sum.part != 0 || !sieve.lets_through(document) {
                    continue;
                }
                sum.part = 1;
                scratch.found.push(document);
                self.total += 1;
                counts.count(view.lists, document);
                if !full {
                    room[list.choice] -= 1;
                    self.best[list.choice].push(ranked(view.lists, list.cost, document));
                }
            }
        }
    }

    /// Every document that one of the finding parts has is weighed against all parts.
    fn several_parts(
        &mut self,
        view: &View<'_>,
        sieve: &Sieve<'_>,
        counts: &mut Counts,
        scratch: &mut Scratch,
    ) {
        let query = self.query;
        let slots = || (1_u8..).zip(&query.slots);
        let nothing: u32 = query.slots.iter().map(|slot| slot.missing).sum();
        let last = u8::try_from(self.best.len() - 1).unwrap_or(u8::MAX);
        for (part, slot) in slots().filter(|(_, slot)| slot.finds) {
            let is_pivot = usize::from(part) == self.pivot + 1;
            for list in lists(view.lists, slot) {
                let group = u8::try_from(list.choice).ok().filter(|_| is_pivot);
                for document in list.documents {
                    let sum = &mut scratch.sums[*document as usize];
                    if sum.part == 0 {
                        *sum = Sum { cost: nothing, part: 0, group: last };
                        scratch.found.push(*document);
                    }
                    if sum.part != part {
                        let group = group.unwrap_or(sum.group);
                        *sum = Sum { cost: sum.cost - slot.missing + list.cost, part, group };
                    }
                }
            }
        }
        scratch.found.sort_unstable();
        for (part, slot) in slots().filter(|(_, slot)| !slot.finds) {
            for list in lists(view.lists, slot) {
                meet(&scratch.found, list.documents, |document| {
                    let sum = &mut scratch.sums[document as usize];
                    if sum.part != part {
                        *sum = Sum { cost: sum.cost - slot.missing + list.cost, part, ..*sum };
                    }
                });
            }
        }
        let mut groups: Vec<Vec<(u32, u32)>> = vec![Vec::new(); self.best.len()];
        for document in scratch.found.iter().copied().filter(|document| sieve.lets_through(*document)) {
            let sum = scratch.sums[document as usize];
            self.total += 1;
            counts.count(view.lists, document);
            groups[usize::from(sum.group)].push((sum.cost, document));
        }
        for (best, mut group) in self.best.iter_mut().zip(groups) {
            if group.len() > self.query.limit {
                group.select_nth_unstable(self.query.limit);
                group.truncate(self.query.limit);
            }
            best.extend(group.into_iter().map(|(cost, document)| ranked(view.lists, cost, document)));
        }
    }

    /// What was found in all segments.
    pub(super) fn found(self) -> Found {
        let last = self.best.len() - 1;
        let mut hits = Vec::new();
        for (group, mut best) in self.best.into_iter().enumerate() {
            best.sort_unstable();
            let choice = (group < last).then_some(group);
            let hit = |(cost, _, key): Ranked| Hit { key, choice, cost };
            hits.extend(best.into_iter().take(self.query.limit).map(hit));
        }
        let facets = if self.query.counting { told(self.counts) } else { Vec::new() };
        Found { hits, total: self.total, facets }
    }
}

fn ranked(lists: &Lists, cost: u32, document: u32) -> Ranked {
    (cost, lists.rank(document), lists.key(document))
}

/// Where the choices of a part stand in the segment, the cheapest first.
fn lists<'s>(segment: &'s Lists, slot: &Slot) -> Vec<List<'s>> {
    let mut all = Vec::new();
    for (number, choice) in slot.choices.iter().enumerate().take(CHOICES) {
        stands(segment, choice, &mut |word, stand| {
            let documents = segment.standing(word, stand);
            if !documents.is_empty() {
                all.push(List { cost: choice.cost + stand.cost(), choice: number, documents });
            }
            !documents.is_empty()
        });
    }
    all.sort_by_key(|list| (list.cost, list.choice));
    all
}

/// Names the words that a choice means and where they may stand.
fn stands(segment: &Lists, choice: &Choice, name: &mut dyn FnMut(usize, Stand) -> bool) {
    if choice.reach == Reach::Beginning && choice.text.chars().count() > LONGEST_BEGINNING {
        let mut words = 0;
        for word in segment.words.beginning_with(&choice.text) {
            let named = [Stand::Lead, Stand::Generic, Stand::Name].map(|stand| name(word, stand));
            words += usize::from(named.contains(&true));
            if words == MOST_WORDS {
                break;
            }
        }
        return;
    }
    let Some(word) = segment.words.find(&choice.text) else { return };
    let all: &[Stand] =
        if choice.reach == Reach::Whole { &Stand::WHOLE } else { &[Stand::Begins, Stand::BeginsInside] };
    for stand in all {
        name(word, *stand);
    }
}

/// Calls `each` with what is in both lists, both of which are sorted.
fn meet(few: &[u32], many: &[u32], mut each: impl FnMut(u32)) {
    let mut rest = many;
    for wanted in few {
        // Steps that double, then halve: what lies far ahead is found in few looks.
        let mut step = 1;
        while rest.get(step).is_some_and(|document| document < wanted) {
            step *= 2;
        }
        let near = &rest[step / 2..rest.len().min(step + 1)];
        rest = &rest[step / 2 + near.partition_point(|document| document < wanted)..];
        match rest.first() {
            None => return,
            Some(document) if document == wanted => each(*wanted),
            Some(_) => {}
        }
    }
}

/// What a search may give at all.
struct Sieve<'s> {
    view: &'s View<'s>,
    /// Allowed numbers of values, by facet.
    allowed: Vec<(usize, Vec<u32>)>,
    query: &'s Query,
}

impl<'s> Sieve<'s> {
    fn new(view: &'s View<'s>, query: &'s Query) -> Self {
        let one = |(facet, values): &(Facet, Vec<String>)| {
            let place = Facet::ALL.iter().position(|other| other == facet).unwrap_or_default();
            let names = view.lists.values(place);
            let number = |value: &String| u32::try_from(names.binary_search(value).ok()?).ok();
            (place, values.iter().filter_map(number).collect())
        };
        Self { view, allowed: query.filters.iter().map(one).collect(), query }
    }

    fn lets_through(&self, document: u32) -> bool {
        let at = document as usize;
        let gone = self.view.dead.is_some_and(|dead| dead[at / 64] >> (at % 64) & 1 == 1);
        let has =
            |(facet, allowed): &(usize, Vec<u32>)| allowed.contains(&self.view.lists.value(*facet, document));
        let wanted =
            || self.query.only.as_ref().is_none_or(|only| only.contains(&self.view.lists.key(document)));
        !gone && self.allowed.iter().all(has) && wanted()
    }
}

/// How many documents of a segment have each value of each facet; nothing when it is not asked for.
struct Counts(Option<[Vec<u64>; Facet::ALL.len()]>);

impl Counts {
    fn new(lists: &Lists, counting: bool) -> Self {
        let none = |facet: usize| vec![0; lists.values(facet).len()];
        Self(counting.then(|| [none(0), none(1), none(2)]))
    }

    fn count(&mut self, lists: &Lists, document: u32) {
        for (facet, counts) in self.0.iter_mut().flatten().enumerate() {
            let value = lists.value(facet, document);
            if value != NO_VALUE {
                counts[value as usize] += 1;
            }
        }
    }

    fn tell(self, lists: &Lists, into: &mut [HashMap<String, u64>; Facet::ALL.len()]) {
        for (facet, counts) in self.0.into_iter().flatten().enumerate() {
            for (name, count) in lists.values(facet).iter().zip(counts).filter(|(_, count)| *count > 0) {
                *into[facet].entry(name.clone()).or_default() += count;
            }
        }
    }
}

fn told(counts: [HashMap<String, u64>; Facet::ALL.len()]) -> Vec<(Facet, Vec<(String, u64)>)> {
    let most = |counts: HashMap<String, u64>| {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
        counts.truncate(MOST_VALUES);
        counts
    };
    Facet::ALL.into_iter().zip(counts.map(most)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_lists_meet_in_what_both_have(
            one in prop::collection::btree_set(0_u32..300, 0..80), other in prop::collection::btree_set(0_u32..300, 0..200),
        ) {
            let (few, many): (Vec<u32>, Vec<u32>) = (one.iter().copied().collect(), other.iter().copied().collect());
            let mut met = BTreeSet::new();
            meet(&few, &many, |document| assert!(met.insert(document)));
            prop_assert_eq!(met, one.intersection(&other).copied().collect::<BTreeSet<u32>>());
        }
    }
}
