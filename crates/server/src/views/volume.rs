//! Volumes as `inspect` and the list show them.

use wharf_engine::Engine;
use wharf_engine::volume::Volume;

/// The answer of `GET /volumes/{name}`.
pub(crate) fn volume(engine: &Engine, volume: Volume) -> wharf_api::volume::Volume {
    wharf_api::volume::Volume {
        // Volumes have no fractions of seconds.
        created_at: volume.created.round(jiff::Unit::Second).unwrap_or(volume.created).to_string(),
        driver: volume.driver,
        labels: Some(volume.labels).filter(|labels| !labels.is_empty()),
        mountpoint: engine.paths.volume_data(&volume.name).display().to_string(),
        name: volume.name,
        options: volume.options,
        scope: "local".to_owned(),
        ..wharf_api::volume::Volume::default()
    }
}
