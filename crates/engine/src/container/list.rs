//! `ps`: which containers a listing shows.

use std::{collections::BTreeMap, sync::Arc};

use wharf_api::Filters;

use super::{Container, Entry};
use crate::{Engine, Error, Result};

/// The keys `ps --filter` knows.
const KEYS: [&str; 17] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "until",
    "volume",
];

/// What a listing asks for.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Also those that do not run.
    pub all: bool,
    /// Only this many of the newest, in any state; 0 or less for no limit.
    pub limit: i64,
    /// Conditions, all of which must hold.
    pub filters: Filters,
}

impl Engine {
    /// The containers a listing shows, the newest first.
    ///
    /// # Errors
    /// An unknown filter or filter value, in Docker's words.
    pub fn list_containers(&self, options: &ListOptions) -> Result<Vec<Arc<Entry>>> {
        let filter = Filter::new(self, &options.filters)?;
        let mut entries: Vec<_> =
            self.containers.all().into_iter().map(|entry| (entry.get(), entry)).collect();
        entries.sort_by(|(a, _), (b, _)| b.created.cmp(&a.created).then_with(|| b.id.cmp(&a.id)));
        let everything = options.all || options.limit > 0 || options.filters.contains("status");
        let exited = options.filters.contains("exited") || options.filters.contains("since");
        let shown = entries
            .into_iter()
            .filter(|(container, _)| !container.state.removed)
            .filter(|(container, _)| {
                everything
                    || exited
                    || container.state.status.is_running()
                    || options.filters.contains("before")
            })
            .filter(|(container, _)| filter.accepts(container));
        let limit = usize::try_from(options.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Ok(shown.take(limit).map(|(_, entry)| entry).collect())
    }
}

/// A filter whose references to other containers and images are resolved.
struct Filter<'a> {
    filters: &'a Filters,
    before: Option<Arc<Container>>,
    since: Option<Arc<Container>>,
    ancestors: Vec<String>,
    networks: Vec<String>,
}

impl<'a> Filter<'a> {
    fn new(engine: &Engine, filters: &'a Filters) -> Result<Self> {
        filters.validate(&KEYS).map_err(|error| Error::invalid(error.to_string()))?;
        for status in filters.get("status") {
            const STATES: [&str; 7] =
                ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
            if !STATES.contains(&status) {
                return Err(Error::invalid(format!(
                    "invalid filter 'status={status}': invalid value for state ({status}): must be one of {}",
                    STATES.join(", ")
                )));
            }
        }
        for health in filters.get("health") {
            if !["none", "starting", "healthy", "unhealthy"].contains(&health) {
                return Err(Error::invalid(format!(
                    "invalid filter 'health={health}': invalid value for health ({health}): must be one of none, starting, unhealthy, healthy"
                )));
            }
        }
        let find = |key: &str| {
            let found = filters.get(key).next().map(|name| engine.containers.find(name));
            Ok::<_, Error>(found.transpose()?.map(|entry| entry.get()))
        };
        let mut ancestors = Vec::new();
        for name in filters.get("ancestor") {
            ancestors.extend(engine.images.with_descendants(name)?.iter().map(ToString::to_string));
        }
        let networks = filters
            .get("network")
            .map(|name| engine.network(name).map_or_else(|_| name.to_owned(), |network| network.id))
            .collect();
        Ok(Filter { filters, before: find("before")?, since: find("since")?, ancestors, networks })
    }

    fn accepts(&self, container: &Container) -> bool {
        let any = |key: &str, test: &dyn Fn(&str) -> bool| {
            !self.filters.contains(key) || self.filters.get(key).any(test)
        };
        let name = format!("/{}", container.name);
        let later = |other: &Option<Arc<Container>>, wanted: bool| {
            other
                .as_ref()
                .is_none_or(|other| other.id != container.id && (container.created > other.created) == wanted)
        };
        any("id", &|id| container.id.starts_with(id))
            && (self.filters.matches("name", &name) || self.filters.matches("name", &container.name))
            && any("status", &|status| container.state.status.as_str() == status)
            && any("exited", &|code| {
                container.state.status == super::Status::Exited
                    && container.state.exit_code.to_string() == code
            })
            && labels_match(self.filters, container)
            && any("ancestor", &|_| self.ancestors.contains(&container.image))
            && any("network", &|wanted| self.in_network(container, wanted))
            && any("volume", &|wanted| {
                container.mounts.iter().any(|mount| mount.name == wanted || mount.destination == wanted)
            })
            && any("publish", &|port| published(container, port))
            && any("expose", &|port| exposed(container, port))
            && any("health", &|health| container.health_word() == health)
            && later(&self.before, false)
            && later(&self.since, true)
    }

    fn in_network(&self, container: &Container, wanted: &str) -> bool {
        container
            .networks
            .iter()
            .any(|(name, endpoint)| name == wanted || self.networks.contains(&endpoint.settings.network_id))
    }
}

/// Whether the labels are those of `label` and none of those of `label!`.
pub(crate) fn labels_match(filters: &Filters, container: &Container) -> bool {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let labels = container.config.labels.as_ref().unwrap_or(&NONE);
    filters.matches_map("label", labels)
        && (!filters.contains("label!") || !filters.matches_map("label!", labels))
}

/// Splits `80/tcp`; the protocol is TCP if not given.
fn port_key(text: &str) -> String {
    if text.contains('/') { text.to_owned() } else { format!("{text}/tcp") }
}

/// Whether `port` (or `port/protocol`) is published, as host port.
fn published(container: &Container, port: &str) -> bool {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    container.host_config.port_bindings.iter().flatten().any(|(key, bindings)| {
        key.ends_with(protocol) && bindings.iter().flatten().any(|binding| binding.host_port == number)
    })
}

fn exposed(container: &Container, port: &str) -> bool {
    container.config.exposed_ports.keys().any(|key| port_key(key) == port_key(port))
}
