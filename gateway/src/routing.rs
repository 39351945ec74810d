//! Which path goes to which upstream, under which options: a table built out of what the upstreams
//! say of themselves. Must not know any service of ours by name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use caremesh_proto::options::v1::{Exposure, MethodPolicy};
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::frame::Arity;
use crate::upstream::Upstream;
use crate::upstream::learn::Contract;

/// The extension of `google.protobuf.MethodOptions` that carries a [`MethodPolicy`].
const METHOD_POLICY: &str = "caremesh.options.v1.method";

/// Who answers a method.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A service behind the gateway.
    Upstream(Arc<Upstream>),
    /// The gateway itself: reflection and health.
    Here,
}

/// One method, as far as the edge must know it.
#[derive(Debug)]
pub(crate) struct Route {
    /// `/package.Service/Method`.
    pub(crate) path: PathAndQuery,
    /// Reachable through the gateway.
    pub(crate) exposed: bool,
    /// Needs no credentials.
    pub(crate) anyone: bool,
    /// Besides, the caller must be an operator. For the gateway's own methods only: who may call a
    /// service's method is decided there.
    pub(crate) operators_only: bool,
    /// The longest a call may take; for a stream its maximum life.
    pub(crate) deadline: Duration,
    /// How many messages the request carries.
    pub(crate) requests: Arity,
    /// How many messages the answer carries.
    pub(crate) answers: Arity,
    /// Who answers.
    pub(crate) target: Target,
}

/// Every method that the gateway knows now. Replaced as a whole, never changed.
#[derive(Debug, Default)]
pub(crate) struct Table {
    routes: HashMap<String, Arc<Route>>,
    /// Exposed services and who serves them.
    pub(crate) services: BTreeMap<String, Arc<Upstream>>,
    /// The descriptor files that the exposed services need, verbatim, by name.
    pub(crate) files: BTreeMap<String, Bytes>,
    /// False while a configured upstream has never been learned: an unknown path may be one of its.
    pub(crate) complete: bool,
}

impl Table {
    /// The route of a request path.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<Route>> {
        self.routes.get(path).cloned()
    }

    /// Every path that can be called from outside.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.routes.values().filter(|route| route.exposed).map(|route| route.path.as_str())
    }
}

/// The present table, and what it was built of.
pub(crate) struct Routing {
    current: ArcSwap<Table>,
    expected: usize,
    own: Vec<Arc<Route>>,
    learned: Mutex<BTreeMap<String, (Arc<Upstream>, Contract)>>,
}

impl Routing {
    /// Knows the gateway's `own` methods only, and waits for `expected` upstreams.
    pub(crate) fn new(own: Vec<Route>, expected: usize) -> Self {
        let own: Vec<_> = own.into_iter().map(Arc::new).collect();
        let current = ArcSwap::from_pointee(build(&own, &BTreeMap::new(), expected));
        Self { current, expected, own, learned: Mutex::default() }
    }

    /// The table of this moment.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.current.load_full()
    }

    /// The route of a request path, without keeping the table.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<Route>> {
        self.current.load().find(path)
    }

    /// Takes in what an upstream serves now. False when nothing has changed.
    pub(crate) fn learn(&self, upstream: &Arc<Upstream>, contract: Contract) -> bool {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.get(upstream.name()).is_some_and(|(_, known)| *known == contract) {
            return false;
        }
        learned.insert(upstream.name().to_owned(), (upstream.clone(), contract));
        self.current.store(Arc::new(build(&self.own, &learned, self.expected)));
        true
    }
}

fn build(
    own: &[Arc<Route>],
    learned: &BTreeMap<String, (Arc<Upstream>, Contract)>,
    expected: usize,
) -> Table {
    let mut table = Table { complete: learned.len() >= expected, ..Table::default() };
    for route in own {
        table.routes.insert(route.path.as_str().to_owned(), route.clone());
    }
    for (upstream, contract) in learned.values() {
        add_contract(&mut table, upstream, contract);
    }
    table
}

fn add_contract(table: &mut Table, upstream: &Arc<Upstream>, contract: &Contract) {
    let pool = match DescriptorPool::decode(descriptor_set(contract.files.values()).as_slice()) {
        Ok(pool) => pool,
        Err(error) => {
            tracing::error!(
                upstream.name = upstream.name(),
                error = %error,
                "The descriptors of an upstream do not fit together; none of it is routed."
            );
            return;
        }
    };
    for service in pool.services().filter(|service| contract.services.contains(service.full_name())) {
        if table.services.contains_key(service.full_name()) {
            tracing::error!(
                upstream.name = upstream.name(),
                rpc.service = service.full_name(),
                "Two upstreams serve the same service; the first keeps it."
            );
            continue;
        }
        let routes: Vec<_> = service.methods().filter_map(|it| route_of(&it, upstream)).collect();
        if routes.iter().any(|route| route.exposed) {
            table.services.insert(service.full_name().to_owned(), upstream.clone());
            add_files(&mut table.files, service.parent_file().name(), &pool, contract);
        }
        for route in routes {
            table.routes.insert(route.path.as_str().to_owned(), Arc::new(route));
        }
    }
}

/// `None` for a method without a policy: it is as good as not there, and said so once.
fn route_of(method: &MethodDescriptor, upstream: &Arc<Upstream>) -> Option<Route> {
    let policy = policy_of(method);
    let deadline = policy.as_ref().and_then(|it| Duration::try_from(it.deadline?).ok());
    let (Some(policy), Some(deadline)) = (policy, deadline) else {
        tracing::error!(
            upstream.name = upstream.name(),
            rpc.method = method.full_name(),
            "A method declares no policy or no deadline; it is not routed."
        );
        return None;
    };
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    Some(Route {
        path: path.parse().ok()?,
        exposed: policy.exposure() == Exposure::Edge,
        anyone: policy.anyone,
        operators_only: false,
        deadline,
        requests: arity(method.is_client_streaming()),
        answers: arity(method.is_server_streaming()),
        target: Target::Upstream(upstream.clone()),
    })
}

fn arity(streaming: bool) -> Arity {
    if streaming { Arity::Many } else { Arity::One }
}

/// Reads the policy through the upstream's own descriptor of the option, so that an upstream that is
/// newer than the gateway is understood as far as the gateway goes.
fn policy_of(method: &MethodDescriptor) -> Option<MethodPolicy> {
    let extension = method.parent_pool().get_extension_by_name(METHOD_POLICY)?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message()?.transcode_to().ok()
}

/// A file and everything it imports.
fn add_files(files: &mut BTreeMap<String, Bytes>, root: &str, pool: &DescriptorPool, contract: &Contract) {
    let mut waiting = vec![root.to_owned()];
    let mut seen = HashSet::new();
    while let Some(name) = waiting.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        if let Some(file) = pool.get_file_by_name(&name) {
            waiting.extend(file.dependencies().map(|import| import.name().to_owned()));
        }
        if let Some(bytes) = contract.files.get(&name) {
            files.entry(name).or_insert_with(|| bytes.clone());
        }
    }
}

/// An encoded `FileDescriptorSet` out of encoded files, byte for byte: going through prost-types
/// would drop the options.
pub(crate) fn descriptor_set<'a>(files: impl Iterator<Item = &'a Bytes>) -> Vec<u8> {
    let mut set = Vec::new();
    for file in files {
        prost::encoding::bytes::encode(1, file, &mut set);
    }
    set
}
