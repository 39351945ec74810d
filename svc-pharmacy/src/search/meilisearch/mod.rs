//! Meilisearch, the engine beyond one machine, through its SDK. Indexes carry the version of their settings; a rebuild fills
//! another one and swaps; every task is awaited with a deadline. Browsers never get a key: the service asks for them.

mod documents;
mod http;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use caremesh_kernel::Uuid;
use meilisearch_sdk::client::{Client, SwapIndexes};
use meilisearch_sdk::errors::{Error, ErrorCode};
use meilisearch_sdk::indexes::Index;
use meilisearch_sdk::request::{HttpClient as _, Method};
use meilisearch_sdk::search::{MatchingStrategies, SearchQuery, SearchResults, Selectors};
use meilisearch_sdk::task_info::TaskInfo;
use meilisearch_sdk::tasks::Task;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::index::{
    Change, Document, Facet, Found, Hit, IndexError, IndexStatus, MedicationIndex, Query, Rebuild, newest,
};
use super::understand::{Reach, Slot};
use documents::{Key, Row, VERSION, filter, settings, words};
use http::{Away, Http};

/// How long a search may take before the engine counts as away.
const SEARCH: Duration = Duration::from_millis(1_500);
/// How long one request that writes may take to be taken in.
const WRITE: Duration = Duration::from_secs(30);
/// How long a task may take: a swap waits for everything that was enqueued before it.
const TASK: Duration = Duration::from_secs(120);
/// Between two looks at a task: often at first, then less.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(250);
/// Keys of each choice when a word may mean several.
const OF_EACH: usize = 40;
/// Documents whose versions are asked for at once.
const VERSIONS: usize = 1_000;

/// Where Meilisearch is and with which keys it is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeilisearchConfig {
    /// Its address, `http://host:7700`, without a slash at the end.
    pub url: String,
    /// Key for searching: actions `search`, indexes `<index>*`. None: the engine runs without keys.
    #[serde(default)]
    pub search_key: Option<SecretString>,
    /// Key for writing: actions on documents, indexes, settings, tasks, stats; indexes `<index>*`, so that it opens no index of
    /// another tenant of the engine.
    #[serde(default)]
    pub write_key: Option<SecretString>,
    /// What the names of this deployment's indexes begin with: letters, digits, `-` and `_`.
    #[serde(default = "default_index")]
    pub index: String,
}

fn default_index() -> String {
    "caremesh".to_owned()
}

/// An index of Meilisearch.
pub struct Meilisearch {
    searching: Client<Http>,
    writing: Client<Http>,
    /// For what the SDK has no method for: documents by their ids.
    http: Http,
    name: String,
    state: String,
}

/// Place in the feed, kept beside the index under the index's name.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    id: String,
    position: i64,
}

#[derive(Debug, Deserialize)]
struct Versioned {
    id: String,
    version: i64,
}

#[derive(Debug, Serialize)]
struct Fetch<'k> {
    ids: &'k [String],
    fields: [&'static str; 2],
    limit: usize,
}

#[derive(Debug, Deserialize)]
struct Fetched {
    results: Vec<Versioned>,
}

impl From<Error> for IndexError {
    fn from(error: Error) -> Self {
        match error {
            Error::Other(cause) => match cause.downcast_ref::<Away>() {
                Some(away) => Self::Down(away.to_string()),
                None => Self::Failed(cause.to_string()),
            },
            Error::Timeout => Self::OutOfTime,
            other => Self::Failed(other.to_string()),
        }
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Meilisearch(told) if matches!(told.error_code, ErrorCode::IndexNotFound | ErrorCode::DocumentNotFound))
}

impl Meilisearch {
    /// An index at `config`; the engine is asked when it is first needed, so that a service starts without it.
    ///
    /// # Errors
    /// [`IndexError::Failed`] when a key cannot stand in a header.
    pub fn new(config: &MeilisearchConfig) -> Result<Self, IndexError> {
        let http = |key: Option<&SecretString>, limit| {
            Http::new(key, limit).ok_or_else(|| IndexError::Failed("a key is no header value".to_owned()))
        };
        let client = |http: Http| Client::new_with_client(config.url.clone(), None::<String>, http);
        let writing = http(config.write_key.as_ref(), WRITE)?;
        Ok(Self {
            searching: client(http(config.search_key.as_ref(), SEARCH)?),
            writing: client(writing.clone()),
            http: writing,
            name: format!("{}-medicines-v{VERSION}", config.index),
            state: format!("{}-state", config.index),
        })
    }

    fn index(&self) -> Index<Http> {
        self.writing.index(&self.name)
    }

    /// Makes an index with our settings, if it is not there.
    async fn ensure(&self, name: &str) -> Result<(), IndexError> {
        match self.writing.get_raw_index(name).await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        finish(&self.writing, self.writing.create_index(name, Some("id")).await?).await?;
        finish(&self.writing, self.writing.index(name).set_settings(&settings()).await?).await
    }

    async fn remember(&self, position: i64) -> Result<(), IndexError> {
        let row = Position { id: self.name.clone(), position };
        let task = self.writing.index(&self.state).add_or_replace(&[row], Some("id")).await?;
        finish(&self.writing, task).await
    }

    /// The versions that documents have in the index.
    async fn versions(&self, keys: &[String]) -> Result<HashMap<String, i64>, IndexError> {
        let mut all = HashMap::new();
        for ids in keys.chunks(VERSIONS) {
            let url = format!("{}/indexes/{}/documents/fetch", self.writing.get_host(), self.name);
            let body = Fetch { ids, fields: ["id", "version"], limit: ids.len() };
            let fetched: Fetched = self.http.request(&url, Method::Post { query: (), body }, 200).await?;
            all.extend(fetched.results.into_iter().map(|row| (row.id, row.version)));
        }
        Ok(all)
    }
}

/// Waits for a task, by the clock: the SDK's own waiting counts only its sleeps and knows no cancelled task.
async fn finish(client: &Client<Http>, task: TaskInfo) -> Result<(), IndexError> {
    let end = Instant::now() + TASK;
    let mut pause = FIRST_LOOK;
    while Instant::now() < end {
        match client.get_task(&task).await? {
            Task::Succeeded { .. } => return Ok(()),
            Task::Failed { content } => return Err(IndexError::Failed(content.error.to_string())),
            Task::Enqueued { .. } | Task::Processing { .. } => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LAST_LOOK);
    }
    Err(IndexError::OutOfTime)
}

fn is_unfinished(slot: &Slot) -> bool {
    slot.choices.iter().any(|choice| choice.reach == Reach::Beginning)
}

fn hits(results: &SearchResults<Key>, choice: usize, cost: u32) -> impl Iterator<Item = Hit> {
    let keys = results.hits.iter().filter_map(|hit| Uuid::parse_str(&hit.result.id).ok());
    keys.map(move |key| Hit { key, choice: Some(choice), cost })
}

fn facets(results: &[SearchResults<Key>]) -> Vec<(Facet, Vec<(String, u64)>)> {
    let of = |facet: Facet| {
        let mut counts: HashMap<String, u64> = HashMap::new();
        let told =
            results.iter().filter_map(|results| results.facet_distribution.as_ref()?.get(facet.name()));
        for (value, count) in told.flatten().filter(|(value, _)| !value.is_empty()) {
            *counts.entry(value.clone()).or_default() += u64::try_from(*count).unwrap_or(u64::MAX);
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
        (facet, counts)
    };
    Facet::ALL.into_iter().map(of).collect()
}

#[async_trait]
impl MedicationIndex for Meilisearch {
    fn engine(&self) -> &'static str {
        "meilisearch"
    }

    async fn search(&self, query: Query) -> Result<Found, IndexError> {
        let Some(pivot) = query.pivot() else { return Ok(Found::default()) };
        let choices = &query.slots[pivot].choices;
        let index = self.searching.index(&self.name);
        let texts: Vec<String> = (0..choices.len()).map(|choice| words(&query, pivot, choice)).collect();
        let (filter, names) = (filter(&query), Facet::ALL.map(Facet::name));
        let limit = if choices.len() > 1 { query.limit.min(OF_EACH) } else { query.limit };
        // Numbers stand at the end, where the engine gives them up first; an unfinished word must stand last itself.
        let begun = query.slots.iter().any(is_unfinished);
        let strategy = if begun { MatchingStrategies::FREQUENCY } else { MatchingStrategies::LAST };
        let mut multi = self.searching.multi_search();
        for text in &texts {
            let mut search = SearchQuery::new(&index);
            search.with_query(text).with_limit(limit).with_attributes_to_retrieve(Selectors::Some(&["id"]));
            search.with_matching_strategy(strategy.clone());
            if let Some(filter) = &filter {
                search.with_filter(filter);
            }
            if query.counting {
                search.with_facets(Selectors::Some(&names));
            }
            multi.with_search_query(search);
        }
        let results = match multi.execute::<Key>().await {
            Ok(answer) => answer.results,
            Err(error) if is_missing(&error) => return Ok(Found::default()),
            Err(error) => return Err(error.into()),
        };
        let of = |(choice, results)| hits(results, choice, choices[choice].cost);
        let total = results.iter().filter_map(|results| results.estimated_total_hits).sum::<usize>();
        Ok(Found {
            hits: results.iter().enumerate().flat_map(of).collect(),
            total: u64::try_from(total).unwrap_or(u64::MAX),
            facets: if query.counting { facets(&results) } else { Vec::new() },
        })
    }

    async fn apply(&self, changes: Vec<Change>, position: i64) -> Result<(), IndexError> {
        self.ensure(&self.name).await?;
        let changes = newest(changes);
        let keys: Vec<String> = changes.keys().map(|key| key.simple().to_string()).collect();
        let known = self.versions(&keys).await?;
        let (mut put, mut deleted) = (Vec::new(), Vec::new());
        for (key, change) in changes {
            let key = key.simple().to_string();
            if known.get(&key).is_some_and(|version| *version > change.key().1) {
                continue;
            }
            match change {
                Change::Put(document) => put.push(Row::of(&document)),
                Change::Delete(..) => deleted.push(key),
            }
        }
        if !put.is_empty() {
            finish(&self.writing, self.index().add_or_replace(&put, Some("id")).await?).await?;
        }
        if !deleted.is_empty() {
            finish(&self.writing, self.index().delete_documents(&deleted).await?).await?;
        }
        self.remember(position).await
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, IndexError> {
        let next = format!("{}-next", self.name);
        self.ensure(&self.name).await?;
        let old = self.writing.delete_index(&next).await?;
        // A rebuild that was cut off may have left one behind; that there was none is no failure.
        match finish(&self.writing, old).await {
            Ok(()) | Err(IndexError::Failed(_)) => {}
            Err(error) => return Err(error),
        }
        self.ensure(&next).await?;
        let state = self.state.clone();
        Ok(Box::new(Building {
            client: self.writing.clone(),
            name: self.name.clone(),
            next,
            state,
            last: None,
        }))
    }

    async fn status(&self) -> Result<IndexStatus, IndexError> {
        let documents = match self.index().get_stats().await {
            Ok(stats) => u64::try_from(stats.number_of_documents).unwrap_or(u64::MAX),
            Err(error) if is_missing(&error) => 0,
            Err(error) => return Err(error.into()),
        };
        let position = match self.writing.index(&self.state).get_document::<Position>(&self.name).await {
            Ok(row) => row.position,
            Err(error) if is_missing(&error) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(IndexStatus { name: self.name.clone(), documents, position })
    }
}

/// A fresh index beside the one in use.
struct Building {
    client: Client<Http>,
    name: String,
    next: String,
    state: String,
    /// Tasks end in their order: the last one stands for all.
    last: Option<TaskInfo>,
}

#[async_trait]
impl Rebuild for Building {
    async fn add(&mut self, documents: Vec<Document>) -> Result<(), IndexError> {
        let rows: Vec<Row> = documents.iter().map(Row::of).collect();
        let task = self.client.index(&self.next).add_or_replace(&rows, Some("id")).await?;
        // At most one batch waits at the engine, so that its queue stays short.
        if let Some(before) = self.last.replace(task) {
            finish(&self.client, before).await?;
        }
        Ok(())
    }

    async fn swap(mut self: Box<Self>, position: i64) -> Result<(), IndexError> {
        if let Some(last) = self.last.take() {
            finish(&self.client, last).await?;
        }
        let pair = SwapIndexes { indexes: (self.name.clone(), self.next.clone()), rename: None };
        finish(&self.client, self.client.swap_indexes([&pair]).await?).await?;
        let row = Position { id: self.name.clone(), position };
        let told = self.client.index(&self.state).add_or_replace(&[row], Some("id")).await?;
        finish(&self.client, told).await?;
        finish(&self.client, self.client.delete_index(&self.next).await?).await
    }
}
