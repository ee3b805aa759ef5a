//! The route table and the handlers, one module a resource.

mod archive;
mod build;
mod containers;
mod events;
mod exec;
pub(crate) mod images;
mod later;
mod networks;
mod platform;
mod streams;
mod swarm;
mod system;
mod transfer;
mod volumes;

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharf_api::Filters;
use wharf_engine::Engine;

use crate::buildkit;
use crate::call::Result;
use crate::dispatch::Route;
use crate::failure::Failure;
use crate::when;

/// One request to the engine.
type Call = crate::call::Call<Engine>;

/// Everything that is served.
pub(crate) const ROUTES: &[Route<Engine>] = routes![Engine;
    GET "/_ping" => system::ping;
    HEAD "/_ping" => system::ping;
    GET "/version" => system::version;
    GET "/info" => system::info;
    GET "/events" => events::follow;
    GET "/system/df" => system::disk_usage;
    POST "/auth" => transfer::login;
    POST "/wharf/check" => system::check;

    GET "/containers/json" => containers::list;
    POST "/containers/create" => containers::create;
    POST "/containers/prune" => containers::prune;
    GET "/containers/{name}/json" => containers::inspect;
    POST "/containers/{name}/start" => containers::start;
    POST "/containers/{name}/stop" => containers::stop;
    POST "/containers/{name}/kill" => containers::kill;
    POST "/containers/{name}/restart" => containers::restart;
    POST "/containers/{name}/pause" => containers::pause;
    POST "/containers/{name}/unpause" => containers::unpause;
    POST "/containers/{name}/rename" => containers::rename;
    POST "/containers/{name}/update" => containers::update;
    POST "/containers/{name}/resize" => containers::resize;
    POST "/containers/{name}/wait" => streams::wait;
    POST "/containers/{name}/attach" => streams::attach;
    GET "/containers/{name}/attach/ws" => later::not_yet;
    GET "/containers/{name}/logs" => streams::logs;
    GET "/containers/{name}/stats" => streams::stats;
    GET "/containers/{name}/top" => containers::top;
    GET "/containers/{name}/changes" => containers::changes;
    GET "/containers/{name}/export" => transfer::export;
    GET "/containers/{name}/archive" => archive::get;
    HEAD "/containers/{name}/archive" => archive::stat;
    PUT "/containers/{name}/archive" => archive::put;
    POST "/containers/{name}/exec" => exec::create;
    GET "/containers/{name}/checkpoints" => later::checkpoint;
    POST "/containers/{name}/checkpoints" => later::checkpoint;
    DELETE "/containers/{name}" => containers::remove;

    POST "/exec/{id}/start" => exec::start;
    POST "/exec/{id}/resize" => exec::resize;
    GET "/exec/{id}/json" => exec::inspect;

    GET "/images/json" => images::list;
    GET "/images/get" => transfer::save;
    GET "/images/search" => transfer::search;
    POST "/images/create" => transfer::create_image;
    POST "/images/load" => transfer::load;
    POST "/images/prune" => images::prune;
    GET "/images/{name}/json" => images::inspect;
    GET "/images/{name}/history" => images::history;
    GET "/images/{name}/get" => transfer::save;
    POST "/images/{name}/tag" => images::tag;
    POST "/images/{name}/push" => transfer::push;
    DELETE "/images/" => images::remove;
    DELETE "/images/{name}" => images::remove;
    POST "/commit" => containers::commit;
    GET "/distribution/{name}/json" => transfer::distribution;

    GET "/networks" => networks::list;
    GET "/networks/" => networks::list;
    POST "/networks/create" => networks::create;
    POST "/networks/prune" => networks::prune;
    POST "/networks/{name}/connect" => networks::connect;
    POST "/networks/{name}/disconnect" => networks::disconnect;
    GET "/networks/{name}" => networks::inspect;
    DELETE "/networks/{name}" => networks::remove;

    GET "/volumes" => volumes::list;
    POST "/volumes/create" => volumes::create;
    POST "/volumes/prune" => volumes::prune;
    GET "/volumes/{name}" => volumes::inspect;
    PUT "/volumes/{name}" => volumes::update;
    DELETE "/volumes/{name}" => volumes::remove;

    POST "/build" => build::classic;
    POST "/build/prune" => build::prune;
    POST "/build/cancel" => build::cancel;
    POST "/build/session" => build::session;
    POST "/build/shell" => build::shell;
    POST "/grpc" => buildkit::grpc;
    POST "/session" => buildkit::session;

    GET "/plugins" => swarm::no_plugins;
    GET "/plugins/privileges" => swarm::no_installing;
    POST "/plugins/create" => swarm::no_installing;
    POST "/plugins/pull" => swarm::no_installing;
    GET "/plugins/{name}/json" => swarm::no_such_plugin;
    POST "/plugins/{name}/enable" => swarm::no_such_plugin;
    POST "/plugins/{name}/disable" => swarm::no_such_plugin;
    POST "/plugins/{name}/push" => swarm::no_such_plugin;
    POST "/plugins/{name}/set" => swarm::no_such_plugin;
    POST "/plugins/{name}/upgrade" => swarm::no_such_plugin;
    DELETE "/plugins/{name}" => swarm::no_such_plugin;

    POST "/swarm/init" => swarm::not_supported;
    POST "/swarm/join" => swarm::not_supported;
    POST "/swarm/leave" => swarm::not_a_member;
    GET "/swarm" => swarm::not_a_manager;
    GET "/swarm/unlockkey" => swarm::not_a_manager;
    POST "/swarm/unlock" => swarm::not_a_manager;
    POST "/swarm/update" => swarm::not_a_manager;
    GET "/nodes" => swarm::not_a_manager;
    GET "/nodes/{id}" => swarm::not_a_manager;
    POST "/nodes/{id}/update" => swarm::not_a_manager;
    DELETE "/nodes/{id}" => swarm::not_a_manager;
    GET "/services" => swarm::not_a_manager;
    POST "/services/create" => swarm::not_a_manager;
    GET "/services/{id}" => swarm::not_a_manager;
    GET "/services/{id}/logs" => swarm::not_a_manager;
    POST "/services/{id}/update" => swarm::not_a_manager;
    DELETE "/services/{id}" => swarm::not_a_manager;
    GET "/tasks" => swarm::not_a_manager;
    GET "/tasks/{id}" => swarm::not_a_manager;
    GET "/tasks/{id}/logs" => swarm::not_a_manager;
    GET "/secrets" => swarm::not_a_manager;
    POST "/secrets/create" => swarm::not_a_manager;
    GET "/secrets/{id}" => swarm::not_a_manager;
    POST "/secrets/{id}/update" => swarm::not_a_manager;
    DELETE "/secrets/{id}" => swarm::not_a_manager;
    GET "/configs" => swarm::not_a_manager;
    POST "/configs/create" => swarm::not_a_manager;
    GET "/configs/{id}" => swarm::not_a_manager;
    POST "/configs/{id}/update" => swarm::not_a_manager;
    DELETE "/configs/{id}" => swarm::not_a_manager;
];

/// What a prune call removes, by creation time and labels: `until`, `label` and `label!`, besides the keys that the
/// caller reads itself.
fn prune_filter(
    filters: Filters,
    own_keys: &[&str],
) -> Result<impl Fn(Timestamp, &BTreeMap<String, String>) -> bool + Send + 'static> {
    filters.validate(&[&["until", "label", "label!"], own_keys].concat())?;
    let mut until = filters.get("until");
    let before = until.next().map(|text| when::parse(text, Timestamp::now())).transpose()?;
    if until.next().is_some() {
        return Err(Failure::invalid("more than one until filter specified"));
    }
    drop(until);
    Ok(move |created: Timestamp, labels: &BTreeMap<String, String>| {
        before.is_none_or(|before| created < before)
            && filters.matches_map("label", labels)
            && !(filters.contains("label!") && filters.matches_map("label!", labels))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Method;

    use super::*;
    use crate::dispatch::find;

    /// Methods and paths of API 1.51 and of what clients were seen to call, from the published description.
    const PATHS: &str = include_str!("../../tests/fixtures/paths.txt");

    #[test]
    fn every_documented_path_is_served() {
        for line in PATHS.lines() {
            let (method, path) = line.split_once(' ').unwrap();
            let method: Method = method.parse().unwrap();
            // Names have slashes and colons.
            let path = path.replace("{name}", "reg:5000/a/b").replace("{id}", "0123/ab");
            assert!(find(ROUTES, &method, &path).is_some(), "{line}");
        }
    }

    #[test]
    fn first_fitting_route_wins() {
        let route = |method, path| find(ROUTES, &method, path).map(|(route, name)| (route.path, name));
        assert_eq!(route(Method::GET, "/containers/json"), Some(("/containers/json", "")));
        assert_eq!(route(Method::GET, "/images/a/json/json"), Some(("/images/{name}/json", "a/json")));
        assert_eq!(route(Method::GET, "/networks/a/b"), Some(("/networks/{name}", "a/b")));
        assert_eq!(route(Method::DELETE, "/containers/a/b"), Some(("/containers/{name}", "a/b")));
        assert_eq!(route(Method::DELETE, "/version"), None);
    }

    #[test]
    fn pruning() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let labels = |text: &[&str]| text.iter().map(|key| (key.to_string(), "1".to_owned())).collect();
        let filter = |text: &str| prune_filter(Filters::parse(text).unwrap(), &["all"]);
        let wanted = filter(r#"{"until":["1000"],"label":["a"],"label!":["b=1"]}"#).unwrap();
        assert!(wanted(at(999), &labels(&["a"])));
        assert!(!wanted(at(1000), &labels(&["a"])) && !wanted(at(1), &labels(&[])));
        assert!(!wanted(at(1), &labels(&["a", "b"])));
        assert!(filter(r#"{"all":["1"]}"#).unwrap()(at(1), &labels(&[])));
        assert_eq!(filter(r#"{"x":["1"]}"#).err().unwrap().to_string(), "invalid filter 'x'");
        assert!(filter(r#"{"until":["1","2"]}"#).is_err() && filter(r#"{"until":["x"]}"#).is_err());
    }
}
