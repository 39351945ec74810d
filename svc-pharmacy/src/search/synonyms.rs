//! Names of the same substance in different countries (INN, BAN, USAN, JAN): data, looked up by any of them.

use std::collections::HashMap;

/// Groups of names.
pub(crate) struct Synonyms {
    groups: Vec<Vec<&'static str>>,
    by_name: HashMap<&'static str, usize>,
}

const BUILT_IN: &str = include_str!("data/synonyms.txt");

impl Synonyms {
    /// Those that ship with the product.
    pub(crate) fn built_in() -> Self {
        let lines = BUILT_IN.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let groups: Vec<Vec<&str>> = lines.map(|line| line.split('|').collect()).collect();
        let of = |(group, names): (usize, &Vec<&'static str>)| {
            names.iter().map(move |name| (*name, group)).collect::<Vec<_>>()
        };
        let by_name = groups.iter().enumerate().flat_map(of).collect();
        Self { groups, by_name }
    }

    /// Every name that has a synonym.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.by_name.keys().copied()
    }

    /// The first of the names of what `name` names; a name without synonyms itself.
    pub(crate) fn first<'n>(&self, name: &'n str) -> &'n str {
        let group = self.by_name.get(name).map(|group| &self.groups[*group]);
        group.and_then(|group| group.first().copied()).unwrap_or(name)
    }

    /// The other names of what `name` names.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = &'static str> {
        let found = self.by_name.get_key_value(name);
        let group = found.map(|(_, group)| self.groups[*group].as_slice()).unwrap_or_default();
        let own = found.map(|(own, _)| *own);
        group.iter().copied().filter(move |other| Some(*other) != own)
    }
}
